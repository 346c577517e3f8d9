"""The options that several jobs share: what is read, and which sessions."""

import argparse
import os
from collections.abc import Collection
from typing import Any, get_args

from pipelines import option_values
from pipelines.command_line import UsageError
from transforms import Policy, ReadMessages, ReadParticipants, ReadSessions
from transforms.files import is_local
from transforms.instants import SECOND_US
from transforms.policy import DEFAULT_LEAD_US
from transforms.reading.inputs import FileFormat, check_inputs
from transforms.reading.names import ColumnNames


def add_inputs(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Adds the options for the inputs; returns their group."""
    files = parser.add_argument_group(
        "inputs: .avro .parquet .jsonl .ndjson .json .csv .tsv (text also .gz .bz2 .zst), "
        "bigquery:PROJECT.DATASET.TABLE"
    )
    files.add_argument(
        "--messages",
        nargs="+",
        metavar="PATTERN",
        help="files or BigQuery tables with the messages",
    )
    files.add_argument(
        "--sessions",
        nargs="+",
        metavar="PATTERN",
        help="files or BigQuery tables with the sessions",
    )
    files.add_argument(
        "--channels",
        nargs="+",
        metavar="PATTERN",
        default=[],
        help="files or BigQuery tables with MessagingChannel's Id and PlatformType, where the sessions "
        "lack the platform",
    )
    files.add_argument(
        "--participants",
        nargs="+",
        metavar="PATTERN",
        default=[],
        help="files or BigQuery tables with the participants of conversations and their roles, where the "
        "messages name a participant in place of a role",
    )
    for kind in ("message", "session", "participant", "channel"):
        more = (
            ", as sent_at=meta.time,sender_role=meta.from; nested ones with dots; @file is the name of "
            "the file"
        )
        files.add_argument(
            f"--{kind}_columns",
            action="append",
            metavar="NAME=THEIRS,...",
            help=f"columns of the {kind}s that have other names{more if kind == 'message' else ''}",
        )
    for kind in ("message", "session", "participant", "channel"):
        files.add_argument(
            f"--{kind}_format",
            choices=get_args(FileFormat),
            help=f"format of the files with the {kind}s, where their suffix does not tell it",
        )
    for kind, example in (("message", "sender_role:rep=Agent"), ("session", "status:done=Ended")):
        files.add_argument(
            f"--{kind}_values",
            action="append",
            metavar="NAME:THEIRS=OURS,...",
            help=f"words of another system in columns of the {kind}s, as {example}; the name may be left "
            "out where it is that of the word before",
        )
    for kind in ("message", "session"):
        files.add_argument(
            f"--{kind}_time_zone",
            type=option_values.time_zone,
            metavar="ZONE",
            help=f"IANA name of the time zone of whose wall clocks the instants of the {kind}s are, "
            "whatever zone they state (default none: each is what it states, or UTC)",
        )
    files.add_argument(
        "--assume_platform",
        choices=["enhanced", "standard"],
        help="platform of sessions for which nobody states it (default none: they are rejected)",
    )
    return files


def add_session_lead(rules: argparse._ActionsContainer) -> None:
    """Adds the option for how early a message that opens a session may be."""
    rules.add_argument(
        "--session_lead",
        type=option_values.seconds,
        default=DEFAULT_LEAD_US // SECOND_US,
        metavar="SECONDS",
        help="how long before its session begins a message may be that opened it, where messages name "
        "only their conversation (default %(default)s)",
    )


def add_reject_ratio(out: argparse._ActionsContainer) -> None:
    """Adds the option that limits how many rows may be rejected."""
    out.add_argument(
        "--max_reject_ratio",
        type=option_values.ratio,
        default=0.01,
        metavar="SHARE",
        help="share of an input's rows that may be rejected; with more the run fails and publishes "
        "nothing, and it ends at once where an input begins with a hundred thousand rejects, unless "
        "this is 1 (default %(default)s)",
    )


def add_verbose(out: argparse._ActionsContainer) -> None:
    """Adds the option that has the job say what it has found in its inputs."""
    out.add_argument(
        "--verbose",
        action="store_true",
        help="say of the first file of each pattern which columns were found, under which names, and "
        "which optional ones were not",
    )


def add_time_zone(out: argparse._ActionsContainer) -> None:
    """Adds the option for the time zone of a page's days and hours."""
    out.add_argument(
        "--report_time_zone",
        metavar="ZONE",
        type=option_values.time_zone,
        help="IANA name of the time zone of the page's days and hours, such as Europe/Berlin "
        "(default UTC)",
    )


def add_ranges(parser: argparse.ArgumentParser) -> None:
    """Adds the options for the ranges of the sessions."""
    which = parser.add_argument_group("which sessions: dates or instants, UTC, half open")
    for name, did in (("closed", "ended"), ("created", "were created")):
        for edge, when in (("from", "at {} or later"), ("until", "before {}")):
            which.add_argument(
                f"--{name}_{edge}",
                type=option_values.instant,
                metavar="WHEN",
                help=f"only sessions that {did} {when.format('this date or instant (UTC)')}",
            )


def ranges_us(args: argparse.Namespace) -> dict[str, Any]:
    """The ranges that `add_ranges` has parsed, under the names that `Policy` has for them."""
    edges = (f"{name}_{edge}" for name in ("closed", "created") for edge in ("from", "until"))
    return {f"{edge}_us": getattr(args, edge) for edge in edges}


def policy_of(args: argparse.Namespace, **switches: Any) -> Policy:
    """The policy that the options ask for."""
    return Policy(**switches, **ranges_us(args), session_lead_us=args.session_lead * SECOND_US)


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


def check_readers(
    read_messages: ReadMessages, read_sessions: ReadSessions, needed: Collection[str] = ()
) -> list[str]:
    """Looks at the first file of each pattern, so that a mistake is found before any work.

    Args:
      read_messages: reads the messages.
      read_sessions: reads the sessions.
      needed: columns of the sessions that must be there beside the required ones.

    Returns:
      What `check_inputs` says of each of these files.

    Raises:
      JobError: see `check_inputs`.
    """
    participants = read_messages.participants
    names = ColumnNames.of("messages", read_messages.columns, participants is not None)
    sessions = ColumnNames.of("sessions", read_sessions.columns)
    channels = ColumnNames.of("channels", read_sessions.channel_columns)
    lines = [
        *check_inputs(read_messages.patterns, names, file_format=read_messages.file_format),
        *check_inputs(read_sessions.patterns, sessions, needed, read_sessions.file_format),
        *check_inputs(read_sessions.channels, channels, file_format=read_sessions.channel_format),
    ]
    if participants is not None:
        named = ColumnNames.of("participants", participants.columns)
        lines += check_inputs(participants.patterns, named, file_format=participants.file_format)
    return lines


def is_within(path: str, top: str) -> bool:
    """Whether a local path is a directory or in it."""
    return path == top or path.startswith(top + os.sep)


def check_local_file(option: str, path: str, within: str | None = None) -> None:
    """Raises UsageError where a local file, the value of an option, can't be written.

    Its directory must be there, unless it is in or below `within`, which the run makes.
    """
    if not is_local(path):
        return
    parent = os.path.dirname(os.path.abspath(path))
    is_made = within is not None and is_within(parent, os.path.abspath(within))
    if not os.path.isdir(parent) and not is_made:
        raise UsageError(f"--{option} {path}: {parent} is no directory")
    if os.path.isdir(parent) and not os.access(parent, os.W_OK):
        raise UsageError(f"--{option} {path}: {parent} can't be written")
    if os.path.isdir(path):
        raise UsageError(f"--{option} {path}: is a directory; name a file")
