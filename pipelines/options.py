"""The options that several jobs share: what is read, and which sessions."""

import argparse
import os
from collections.abc import Collection
from typing import Any, get_args

from pipelines import option_values
from pipelines.command_line import UsageError
from transforms.files import FileFormat, is_local
from transforms.instants import SECOND_US
from transforms.policy import DEFAULT_LEAD_US


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


def check_inputs(args: argparse.Namespace, needed: Collection[str] = ()) -> list[str]:
    """Looks at the inputs of `add_inputs`, so that a mistake is found before any work.

    Args:
      args: the options.
      needed: columns of the sessions that must be there beside the required ones.

    Returns:
      What `check_input` says of each input.

    Raises:
      UsageError: a mapping of columns or of words that is wrong.
      JobError: as `check_input` does.
    """
    for kind in ("message", "session", "channel", "participant"):
        option_values.columns_of(getattr(args, f"{kind}_columns"), kind)
    for kind in ("message", "session"):
        option_values.words_of(getattr(args, f"{kind}_values"), kind)
    return [
        *check_input(args, "messages", has_participants=bool(args.participants)),
        *check_input(args, "sessions", needed),
        *check_input(args, "channels"),
        *check_input(args, "participants"),
    ]


def check_input(
    args: argparse.Namespace,
    kind: str,
    needed: Collection[str] = (),
    has_participants: bool = False,
) -> list[str]:
    """Looks at the first file of each pattern of one input.

    Args:
      args: the options.
      kind: the option with the patterns, which is also the kind of `ColumnNames`.
      needed: columns that must be there beside the required ones.
      has_participants: of messages, whether participants are read as well.

    Returns:
      With `--verbose` what `transforms.reading.inputs.check_inputs` says of each of these files.

    Raises:
      UsageError: a mapping of columns that is wrong.
      JobError: as `transforms.reading.inputs.check_inputs` does.
    """
    # These modules need Arrow, which `--help` does without.
    from transforms.reading import inputs
    from transforms.reading.names import ColumnNames

    one = kind.removesuffix("s")
    columns = option_values.columns_of(getattr(args, f"{one}_columns", None), one)
    names = ColumnNames.of(kind, columns, has_participants)
    file_format = getattr(args, f"{one}_format", None)
    lines = inputs.check_inputs(getattr(args, kind), names, needed, file_format)
    return lines if args.verbose else []


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
