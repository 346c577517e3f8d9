"""The command line of the main job: its options, checked, beside Beam's own; and what others share."""

import argparse
import difflib
import os
import re
import zoneinfo
from collections.abc import Collection, Sequence
from typing import NoReturn

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.options import pipeline_options
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    PrismRunnerOptions,
    SetupOptions,
    StandardOptions,
    TypeOptions,
    WorkerOptions,
)

from transforms import ReadMessages, ReadSessions
from transforms.bigquery import TABLE, is_table
from transforms.errors import JobError
from transforms.files import is_local
from transforms.reading.columns import ColumnNames
from transforms.reading.inputs import check_inputs
from transforms.reading.values import to_instants

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")

_PATHS = (
    "messages",
    "sessions",
    "channels",
    "output",
    "rejects",
    "summary",
    "session_summary",
    "report",
    "records",
    "summaries",
)

LOCAL_RUNNERS = ("directrunner", "fnapirunner", "switchingdirectrunner", "prismrunner")


class UsageError(Exception):
    """The command line can't be followed. The text is one line."""


class Parser(argparse.ArgumentParser):
    """Tells of a mistake by an exception."""

    def error(self, message: str) -> NoReturn:
        """Raises UsageError."""
        raise UsageError(f"{message}. --help lists the options")


def add_inputs(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Adds the options that say what is read."""
    files = parser.add_argument_group(
        "inputs: .avro .parquet .jsonl .ndjson .json .csv (text also .gz), "
        "bigquery:PROJECT.DATASET.TABLE"
    )
    files.add_argument("--messages", nargs="+", metavar="PATTERN", help="files of messages")
    files.add_argument("--sessions", nargs="+", metavar="PATTERN", help="files of sessions")
    files.add_argument(
        "--channels",
        nargs="+",
        metavar="PATTERN",
        default=[],
        help="files with MessagingChannel's Id and PlatformType, where sessions lack the platform",
    )
    files.add_argument(
        "--message_columns",
        metavar="NAME=THEIRS,...",
        help="columns of the messages that have other names; nested ones with dots",
    )
    files.add_argument("--session_columns", metavar="NAME=THEIRS,...", help="the same for sessions")
    files.add_argument(
        "--assume_platform",
        choices=["enhanced", "standard"],
        help="platform of sessions for which nobody states it; by default they are rejected",
    )
    return files


def add_time_zone(out: argparse._ActionsContainer) -> None:
    """Adds the option that says how a report's page tells days and hours."""
    out.add_argument(
        "--report_time_zone",
        metavar="ZONE",
        type=time_zone,
        help="time zone of days and hours, such as Europe/Berlin (default UTC)",
    )


def add_ranges(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say which sessions."""
    which = parser.add_argument_group("which sessions: dates or instants, UTC, half open")
    for name, what in (("closed", "end"), ("created", "creation")):
        which.add_argument(f"--{name}_from", type=_instant, metavar="WHEN", help=f"first {what}")
        which.add_argument(f"--{name}_until", type=_instant, metavar="WHEN", help=f"{what} before")


def check_common(
    args: argparse.Namespace, rest: Sequence[str], given: Sequence[str]
) -> PipelineOptions:
    """Checks what the jobs have in common, and makes Beam's options fit for them.

    Args:
      args: the job's own options.
      rest: Beam's.
      given: options that must be given.
    """
    if missing := [f"--{name}" for name in given if not getattr(args, name)]:
        raise UsageError(f"{', '.join(missing)} must be given. --help lists the options")
    beam_options = PipelineOptions(rest)
    _check_direct_options(beam_options)
    _check_dataflow_paths(beam_options, args)
    setup = beam_options.view_as(SetupOptions)
    # Nothing that a worker needs is in __main__, whatever the runner's default.
    setup.save_main_session = bool(setup.save_main_session)
    try:
        beam.Pipeline(options=beam_options)
    except (ValueError, ImportError) as error:
        raise UsageError(" ".join(str(error).split())) from None
    if runner_of(beam_options) in LOCAL_RUNNERS:
        worker = beam_options.view_as(WorkerOptions)  # its noise would drown our lines
        worker.default_sdk_harness_log_level = worker.default_sdk_harness_log_level or "CRITICAL"
    if not beam_options.view_as(PrismRunnerOptions).prism_location:
        # DirectRunner would fetch Prism first, with no limit to how long that takes; not so a
        # pipeline with this option, which is of no other consequence to one without triggers.
        beam_options.view_as(TypeOptions).allow_unsafe_triggers = True
    for name in ("closed", "created"):
        start, end = (getattr(args, f"{name}_{edge}", None) for edge in ("from", "until"))
        if start is not None and end is not None and start >= end:
            raise UsageError(f"--{name}_from must be before --{name}_until")
    return beam_options


def readers(args: argparse.Namespace) -> tuple[ReadMessages, ReadSessions]:
    """What reads the messages and the sessions that are asked for."""
    return (
        ReadMessages(tuple(args.messages), columns_of(args.message_columns, "message")),
        ReadSessions(
            tuple(args.sessions),
            columns_of(args.session_columns, "session"),
            tuple(args.channels),
            args.assume_platform and args.assume_platform.capitalize(),
            (args.closed_from, args.closed_until),
        ),
    )


def check_readers(
    messages: ReadMessages, sessions: ReadSessions, needed: Collection[str] = ()
) -> None:
    """Looks at the inputs, as `check_inputs` does; `needed` are columns of the sessions."""
    check_inputs(messages.patterns, ColumnNames.of("messages", messages.columns))
    check_inputs(sessions.patterns, ColumnNames.of("sessions", sessions.columns), needed)
    check_inputs(sessions.channels, ColumnNames.of("channels"))


def is_table_name(place: str) -> bool:
    """Whether a place for output is a BigQuery table, and no directory."""
    return ":" in place and bool(TABLE.fullmatch(place))


def is_within(path: str, top: str) -> bool:
    """Whether a local path is a directory or in it."""
    return path == top or path.startswith(top + os.sep)


def check_beam_options(rest: Sequence[str], parser: argparse.ArgumentParser) -> None:
    """Beam takes no notice of an option that it does not know; a person would like to."""
    beams = pipeline_options._BeamArgumentParser(allow_abbrev=False, add_help=False)
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(beams)
    beams.error = parser.error  # type: ignore[method-assign]
    _, unknown = beams.parse_known_args(list(rest))
    if not unknown:
        return
    word = unknown[0].split("=")[0]
    known = [o for p in (parser, beams) for action in p._actions for o in action.option_strings]
    near = difflib.get_close_matches(word, known, 1, 0.8)
    hint = f"; did you mean {near[0]}?" if near else ". --help lists the options"
    raise UsageError(f"unknown {'option' if word.startswith('-') else 'argument'} {word}{hint}")


def _check_direct_options(options: PipelineOptions) -> None:
    direct = options.view_as(DirectOptions)
    threads = direct.direct_running_mode == "multi_threading" and direct.direct_num_workers != 1
    if threads and runner_of(options) in LOCAL_RUNNERS:
        raise UsageError(
            "--direct_running_mode=multi_threading with more than one worker loses rows; "
            "use --direct_running_mode=multi_processing"
        )


def _check_dataflow_paths(options: PipelineOptions, args: argparse.Namespace) -> None:
    if runner_of(options) != "dataflowrunner":
        return
    for name in _PATHS:
        value = getattr(args, name, None) or []
        for path in [value] if isinstance(value, str) else value:
            if is_local(path) and not is_table(path) and not is_table_name(path):
                raise UsageError(
                    f"--{name} {path}: Dataflow has no files of this machine; use gs://"
                )


def runner_of(options: PipelineOptions) -> str:
    """The runner's name, in lower case and without its module."""
    return (options.view_as(StandardOptions).runner or "DirectRunner").rsplit(".")[-1].lower()


def check_file(option: str, path: str, within: str | None = None) -> None:
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


def time_zone(text: str) -> str:
    """The type of an option for a time zone: its IANA name."""
    known = zoneinfo.available_timezones()
    try:
        if text not in known:
            raise ValueError
        pc.local_timestamp(pa.array([0], pa.timestamp("us", text)))  # Arrow has a list of its own
    except (ValueError, pa.ArrowException):
        near = difflib.get_close_matches(text, sorted(known), 1)
        hint = f"; did you mean {near[0]}?" if near else ", such as Europe/Berlin or UTC"
        raise argparse.ArgumentTypeError(f"{text!r} is no IANA time zone{hint}") from None
    return text


def ratio(text: str) -> float:
    """A share."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share from 0 to 1")
    return value


def _instant(text: str) -> int:
    """A date or an instant as microseconds since the epoch."""
    full = f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text
    (micros,) = to_instants(pa.array([full])).to_pylist()
    if micros is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a date (2024-10-02) nor an instant (2024-10-02T12:00:00Z)"
        )
    return micros


def columns_of(text: str | None, kind: str) -> dict[str, str]:
    """The columns that are mapped; `kind` as in the name of the option."""
    columns = {}
    for pair in (text or "").split(",") if text else []:
        name, equals, theirs = pair.partition("=")
        if not (name and equals and theirs):
            raise UsageError(f"--{kind}_columns: {pair!r} is not of the form name=Their.Name")
        columns[name.strip()] = theirs.strip()
    try:
        ColumnNames.of(f"{kind}s", columns)
    except JobError as error:
        raise UsageError(f"--{kind}_columns: {error}") from None
    return columns
