"""What several jobs make of their options: the transforms that read the inputs, and the policy."""

import argparse
from typing import Any

from pipelines import option_values, options
from transforms import Policy, ReadMessages, ReadParticipants, ReadSessions
from transforms.instants import SECOND_US


def policy_of(args: argparse.Namespace, **switches: Any) -> Policy:
    """The policy that the options ask for."""
    return Policy(
        **switches, **options.ranges_us(args), session_lead_us=args.session_lead * SECOND_US
    )


def readers(args: argparse.Namespace) -> tuple[ReadMessages, ReadSessions]:
    """The transforms that read the messages, with their participants, and the sessions."""
    participants = ReadParticipants(
        tuple(args.participants),
        columns=option_values.columns_of(args.participant_columns, "participant"),
        file_format=args.participant_format,
    )
    read_messages = ReadMessages(
        tuple(args.messages),
        columns=option_values.columns_of(args.message_columns, "message"),
        participants=participants if args.participants else None,
        time_zone=args.message_time_zone,
        values=option_values.words_of(args.message_values, "message"),
        file_format=args.message_format,
    )
    read_sessions = ReadSessions(
        tuple(args.sessions),
        columns=option_values.columns_of(args.session_columns, "session"),
        channels=tuple(args.channels),
        channel_columns=option_values.columns_of(args.channel_columns, "channel"),
        assume_platform=args.assume_platform and args.assume_platform.capitalize(),
        closed_us=(args.closed_from, args.closed_until),
        time_zone=args.session_time_zone,
        values=option_values.words_of(args.session_values, "session"),
        file_format=args.session_format,
        channel_format=args.channel_format,
    )
    return read_messages, read_sessions
