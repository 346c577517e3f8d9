"""The command line of the main job: its options, checked, beside Beam's own."""

import argparse
import dataclasses
import difflib
import os
import re
import uuid
from collections.abc import Sequence
from typing import NoReturn

import apache_beam as beam
import pyarrow as pa
from apache_beam.options import pipeline_options
from apache_beam.options.pipeline_options import (
    DirectOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    PrismRunnerOptions,
    SetupOptions,
    StandardOptions,
    TestOptions,
    TypeOptions,
    WorkerOptions,
)

from transforms import Policy, ReadMessages, ReadSessions, WriteMetrics, bigquery
from transforms.batches import ColumnNames
from transforms.errors import JobError
from transforms.files import is_local
from transforms.reading import check_inputs
from transforms.values import to_instants

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_LOCAL_RUNNERS = ("directrunner", "fnapirunner", "switchingdirectrunner", "prismrunner")
_DAY_US = 86_400_000_000


class UsageError(Exception):
    """The command line can't be followed. The text is one line."""


@dataclasses.dataclass(frozen=True)
class Job:
    """What the command line asks for."""

    read_messages: ReadMessages
    read_sessions: ReadSessions
    policy: Policy
    write_metrics: WriteMetrics
    beam_options: PipelineOptions

    @property
    def runs_here(self) -> bool:
        """Whether the workers are on this machine, and in no container."""
        environment = self.beam_options.view_as(PortableOptions).environment_type
        return _runner(self.beam_options) in _LOCAL_RUNNERS and environment in (None, "LOOPBACK")

    @property
    def is_dry_run(self) -> bool:
        """Whether a service's runner only checks the job, and nothing is changed anywhere."""
        return not self.runs_here and bool(self.beam_options.view_as(TestOptions).dry_run)

    @property
    def handed_over(self) -> str | None:
        """What to say where the job's end is not waited for; None where it is."""
        template = self.beam_options.view_as(GoogleCloudOptions).template_location
        if self.runs_here:
            return None
        if self.is_dry_run:
            return "dry run: the job is well-formed; nothing was submitted"
        if template:
            return f"the job is described in {template}; nothing runs yet"
        if self.beam_options.view_as(StandardOptions).no_wait_until_finish:
            return f"submitted; the job publishes in {self.write_metrics.shown} when it ends"
        return None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}. --help lists the options")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="session-metrics",
        description="Computes the six MessagingSessionMetrics records of each closed messaging session.",
        epilog="Beam's own options (--runner, --temp_location, ...) may be given besides.",
        allow_abbrev=False,
    )
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
    out = parser.add_argument_group("output")
    out.add_argument("--output", metavar="DIR", help="directory for the records")
    out.add_argument(
        "--output_table",
        metavar="PROJECT:DATASET.TABLE",
        help="BigQuery table for the records, with or without --output: what it has of the range "
        "of --closed_from and --closed_until is replaced",
    )
    out.add_argument("--output_format", choices=["avro", "parquet", "csv", "jsonl"], default="avro")
    out.add_argument(
        "--partition_by",
        choices=["none", "day"],
        default="none",
        help="day: a directory created_date=YYYY-MM-DD per day",
    )
    out.add_argument("--rejects", metavar="DIR", help="by default DIR/rejects")
    out.add_argument(
        "--max_reject_ratio",
        type=_ratio,
        default=0.01,
        metavar="SHARE",
        help="with more of an input's rows rejected the run fails (default 0.01)",
    )
    out.add_argument("--summary", metavar="FILE", help="the counters as JSON")
    which = parser.add_argument_group("which sessions: dates or instants, UTC, half open")
    for name, what in (("closed", "end"), ("created", "creation")):
        which.add_argument(f"--{name}_from", type=_instant, metavar="WHEN", help=f"first {what}")
        which.add_argument(f"--{name}_until", type=_instant, metavar="WHEN", help=f"{what} before")
    rules = parser.add_argument_group("rules")
    rules.add_argument(
        "--response_from",
        choices=["first_message", "last_message"],
        default="first_message",
        help="message of the other side's turn that a response is timed from",
    )
    rules.add_argument(
        "--bots",
        choices=["ignore", "answer"],
        default="ignore",
        help="answer: a bot's turn stops the agent's clock",
    )
    rules.add_argument("--rounding", choices=["half_up", "floor", "ceil"], default="half_up")
    rules.add_argument("--late_messages", choices=["include", "exclude"], default="include")
    return parser


def parse(argv: Sequence[str]) -> Job:
    """Makes a job of a command line.

    Raises:
      UsageError: an unknown option, a value that there is not, options that do not go together.
      JobError: an input or the output is not to be had.
    """
    parser = _parser()
    args, rest = parser.parse_known_args(list(argv))
    _check_beam_options(rest, parser)
    needed = ["messages", "sessions", *([] if args.output_table else ["output"])]
    if missing := [f"--{name}" for name in needed if not getattr(args, name)]:
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
    if _runner(beam_options) in _LOCAL_RUNNERS:
        worker = beam_options.view_as(WorkerOptions)  # its noise would drown our lines
        worker.default_sdk_harness_log_level = worker.default_sdk_harness_log_level or "CRITICAL"
    if not beam_options.view_as(PrismRunnerOptions).prism_location:
        # DirectRunner would fetch Prism first, with no limit to how long that takes; not so a
        # pipeline with this option, which is of no other consequence to one without triggers.
        beam_options.view_as(TypeOptions).allow_unsafe_triggers = True
    for name in ("closed", "created"):
        start, end = getattr(args, f"{name}_from"), getattr(args, f"{name}_until")
        if start is not None and end is not None and start >= end:
            raise UsageError(f"--{name}_from must be before --{name}_until")
    days: tuple[str | None, str | None] = (None, None)
    if args.partition_by == "day":
        days = _day(args.closed_from, "from"), _day(args.closed_until, "until")
    output, table = args.output, _table_range(args)
    if table and not output:
        output = _output_on_the_way(args, beam_options)
    if args.summary and is_local(args.summary):
        parent = os.path.dirname(os.path.abspath(args.summary))
        if not os.path.isdir(parent) and not _within(parent, output):
            raise UsageError(f"--summary {args.summary}: {parent} is no directory")
        if os.path.isdir(parent) and not os.access(parent, os.W_OK):
            raise UsageError(f"--summary {args.summary}: {parent} can't be written")
        if os.path.isdir(args.summary):
            raise UsageError(f"--summary {args.summary}: is a directory; name a file")
    job = Job(
        ReadMessages(tuple(args.messages), _columns(args.message_columns, "message")),
        ReadSessions(
            tuple(args.sessions),
            _columns(args.session_columns, "session"),
            tuple(args.channels),
            args.assume_platform and args.assume_platform.capitalize(),
            (args.closed_from, args.closed_until),
        ),
        Policy(
            args.response_from,
            args.bots,
            args.rounding,
            args.late_messages,
            args.closed_from,
            args.closed_until,
            args.created_from,
            args.created_until,
        ),
        WriteMetrics(
            output,
            args.output_format,
            args.partition_by,
            days,
            args.rejects,
            args.max_reject_ratio,
            args.summary,
            table,
            keep_files=bool(args.output),
        ),
        beam_options,
    )
    check_inputs(args.messages, ColumnNames.of("messages", job.read_messages.columns))
    check_inputs(args.sessions, ColumnNames.of("sessions", job.read_sessions.columns))
    check_inputs(args.channels, ColumnNames.of("channels"))
    if table:
        table.check()
    return job


def _table_range(args: argparse.Namespace) -> bigquery.TableRange | None:
    """The rows that the records replace in `--output_table`."""
    if not args.output_table:
        return None
    if args.output_format != "avro":
        raise UsageError("--output_table takes Avro files; leave --output_format out")
    if args.created_from is not None or args.created_until is not None:
        raise UsageError(
            "--output_table is replaced by when sessions ended, so sessions that --created_from and "
            "--created_until leave out would be removed; use --closed_from and --closed_until"
        )
    try:
        table = bigquery.parse_table(args.output_table)
    except JobError as error:
        raise UsageError(f"--output_table {error}") from None
    return bigquery.TableRange(table, (args.closed_from, args.closed_until))


def _output_on_the_way(args: argparse.Namespace, beam_options: PipelineOptions) -> str:
    """A directory of this run's own for files that only a table gets."""
    if args.partition_by != "none":
        raise UsageError("--partition_by is of --output, which is not given")
    temp_location = beam_options.view_as(GoogleCloudOptions).temp_location
    if not temp_location:
        raise UsageError(
            "--output_table without --output needs --temp_location gs://BUCKET/DIR for the files "
            "that are loaded"
        )
    return f"{temp_location.rstrip('/')}/session-metrics-{uuid.uuid4().hex}"


def _within(path: str, directory: str) -> bool:
    top = os.path.abspath(directory)
    return path == top or path.startswith(top + os.sep)


def _check_beam_options(rest: Sequence[str], parser: argparse.ArgumentParser) -> None:
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
    if threads and _runner(options) in _LOCAL_RUNNERS:
        raise UsageError(
            "--direct_running_mode=multi_threading with more than one worker loses rows; "
            "use --direct_running_mode=multi_processing"
        )


def _check_dataflow_paths(options: PipelineOptions, args: argparse.Namespace) -> None:
    if _runner(options) != "dataflowrunner":
        return
    for name in ("messages", "sessions", "channels", "output", "rejects", "summary"):
        value = getattr(args, name) or []
        for path in [value] if isinstance(value, str) else value:
            if is_local(path) and not bigquery.is_table(path):
                raise UsageError(
                    f"--{name} {path}: Dataflow has no files of this machine; use gs://"
                )


def _runner(options: PipelineOptions) -> str:
    return (options.view_as(StandardOptions).runner or "DirectRunner").rsplit(".")[-1].lower()


def _ratio(text: str) -> float:
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


def _day(micros: int | None, which: str) -> str | None:
    if micros is None:
        return None
    if micros % _DAY_US:
        raise UsageError(
            f"--partition_by day replaces whole days; --closed_{which} must be a date or midnight UTC"
        )
    return str(pa.scalar(micros // _DAY_US, pa.int32()).cast(pa.date32()))


def _columns(text: str | None, kind: str) -> dict[str, str]:
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
