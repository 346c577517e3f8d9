"""The command line of the main job: its options, checked, beside Beam's own; and what others share."""

import abc
import argparse
import dataclasses
import datetime
import difflib
import os
import re
import uuid
import zoneinfo
from collections.abc import Collection, Sequence
from typing import NoReturn

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
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

from schemas import metric_types
from transforms import (
    ComputeSessionMetrics,
    Policy,
    ReadMessages,
    ReadSessions,
    ReportPage,
    WriteMetrics,
    bigquery,
)
from transforms.batches import ColumnNames
from transforms.encoding import Kind
from transforms.errors import JobError
from transforms.files import is_local
from transforms.metrics import DEFAULT_METRICS, METRICS
from transforms.reading import check_inputs
from transforms.records import RECORDS
from transforms.summaries import SUMMARIES
from transforms.values import to_instants

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
_LOCAL_RUNNERS = ("directrunner", "fnapirunner", "switchingdirectrunner", "prismrunner")
_DAY_US = 86_400_000_000


class UsageError(Exception):
    """The command line can't be followed. The text is one line."""


class Runnable(abc.ABC):
    """A job, as whoever runs it sees it.

    Attributes:
      beam_options: Beam's own.
    """

    beam_options: PipelineOptions

    @property
    @abc.abstractmethod
    def outputs(self) -> list[str]:
        """The directories that are published."""

    @property
    @abc.abstractmethod
    def shown(self) -> str:
        """Where the output is, once published, in words."""

    @property
    @abc.abstractmethod
    def files_beside(self) -> list[str]:
        """The files that are written beside the outputs."""

    @property
    def tables(self) -> list[str]:
        """The tables whose rows are replaced."""
        return []

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
            return f"submitted; the job publishes in {self.shown} when it ends"
        return None


@dataclasses.dataclass(frozen=True)
class Job(Runnable):
    """What the command line asks for."""

    read_messages: ReadMessages
    read_sessions: ReadSessions
    compute_metrics: ComputeSessionMetrics
    write_metrics: WriteMetrics
    beam_options: PipelineOptions

    @property
    def tables(self) -> list[str]:
        """The tables whose rows are replaced."""
        return [str(one.table) for one in self.write_metrics.tables]

    @property
    def outputs(self) -> list[str]:
        """The directories that are published."""
        return self.write_metrics.outputs

    @property
    def shown(self) -> str:
        """Where the output is, once published, in words."""
        return self.write_metrics.shown

    @property
    def files_beside(self) -> list[str]:
        """The files that are written beside the outputs."""
        return self.write_metrics.files_beside


class Parser(argparse.ArgumentParser):
    """Tells of a mistake by an exception."""

    def error(self, message: str) -> NoReturn:
        """Raises UsageError."""
        raise UsageError(f"{message}. --help lists the options")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="session-metrics",
        description="Computes the six MessagingSessionMetrics records of each closed messaging session.",
        epilog="Beam's own options (--runner, --temp_location, ...) may be given besides.",
        allow_abbrev=False,
    )
    add_inputs(parser)
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
        type=ratio,
        default=0.01,
        metavar="SHARE",
        help="with more of an input's rows rejected the run fails (default 0.01)",
    )
    out.add_argument("--summary", metavar="FILE", help="the counters as JSON")
    out.add_argument(
        "--session_summary",
        metavar="DIR|PROJECT:DATASET.TABLE",
        help="directory or BigQuery table for one row per session: its response times in microseconds, "
        "their number, total, median and more",
    )
    out.add_argument(
        "--metrics",
        type=_metrics,
        default=",".join(DEFAULT_METRICS),
        metavar="TYPE,...",
        help=f"types of the records; by default the first six of {', '.join(metric_types())}",
    )
    out.add_argument("--report", metavar="FILE", help="a page of HTML to look at, FILE.html")
    add_time_zone(out)
    add_ranges(parser)
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


def parse(argv: Sequence[str]) -> Job:
    """Makes a job of a command line.

    Raises:
      UsageError: an unknown option, a value that there is not, options that do not go together.
      JobError: an input or the output is not to be had.
    """
    parser = _parser()
    args, rest = parser.parse_known_args(list(argv))
    check_beam_options(rest, parser)
    given = ["messages", "sessions", *([] if args.output_table else ["output"])]
    beam_options = check_common(args, rest, given)

    days: tuple[str | None, str | None] = (None, None)
    if args.partition_by == "day":
        days = _day(args.closed_from, "from"), _day(args.closed_until, "until")
    output, table = args.output, _table_range(args, "output_table", RECORDS)
    if table and not output:
        output = _output_on_the_way(args, beam_options)
    summaries = _summaries(args, output)
    if args.summary:
        check_file("summary", args.summary, within=output)
    report = _report(args, output)
    job = Job(
        *readers(args),
        ComputeSessionMetrics(
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
            args.metrics,
            summarize=summaries is not None or report is not None,
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
            summaries,
            report,
            keep_files=bool(args.output),
        ),
        beam_options,
    )
    needed = [column for name in args.metrics if (column := METRICS[name].needs)]
    check_readers(job.read_messages, job.read_sessions, needed)
    for table in job.write_metrics.tables:
        table.check()
    return job


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
    if _runner(beam_options) in _LOCAL_RUNNERS:
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


def _table_range(args: argparse.Namespace, option: str, kind: Kind) -> bigquery.TableRange | None:
    """The rows that are replaced in the table that an option names."""
    name = getattr(args, option)
    if not name:
        return None
    if args.output_format != "avro":
        raise UsageError(f"--{option} takes Avro files; leave --output_format out")
    if args.created_from is not None or args.created_until is not None:
        raise UsageError(
            f"--{option} is replaced by when sessions ended, so sessions that --created_from and "
            "--created_until leave out would be removed; use --closed_from and --closed_until"
        )
    try:
        table = bigquery.parse_table(name)
    except JobError as error:
        raise UsageError(f"--{option} {error}") from None
    return bigquery.TableRange(table, (args.closed_from, args.closed_until), kind)


def _summaries(args: argparse.Namespace, output: str) -> str | bigquery.TableRange | None:
    """Where the summaries of the sessions go."""
    place = args.session_summary
    if not place:
        return None
    if _is_table(place):
        return _table_range(args, "session_summary", SUMMARIES)
    one, other = (os.path.abspath(p) if is_local(p) else p.rstrip("/") for p in (place, output))
    if _within(one, other) or _within(other, one):
        raise UsageError(
            f"--session_summary {place}: must be a directory of its own, neither in nor around {output}"
        )
    return place


def _report(args: argparse.Namespace, output: str) -> ReportPage | None:
    """The page of the report."""
    if not args.report:
        if args.report_time_zone:
            raise UsageError("--report_time_zone is of --report, which is not given")
        return None
    check_file("report", args.report, within=output)
    if args.report == args.summary:
        raise UsageError(f"--report {args.report}: is the file of --summary, too")
    asked = [
        f"{name}_{edge}={_words(micros)}"
        for name in ("closed", "created")
        for edge in ("from", "until")
        if (micros := getattr(args, f"{name}_{edge}")) is not None
    ]
    settings = (("Range", " ".join(asked) or "all closed sessions"),)
    return ReportPage(args.report, args.report_time_zone or "UTC", settings)


def _words(micros: int) -> str:
    """An instant as `_instant` takes it."""
    at = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=micros)
    return f"{at.isoformat()}Z"


def _is_table(place: str) -> bool:
    return ":" in place and bool(bigquery.TABLE.fullmatch(place))


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


def _within(path: str, top: str) -> bool:
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
    if threads and _runner(options) in _LOCAL_RUNNERS:
        raise UsageError(
            "--direct_running_mode=multi_threading with more than one worker loses rows; "
            "use --direct_running_mode=multi_processing"
        )


def _check_dataflow_paths(options: PipelineOptions, args: argparse.Namespace) -> None:
    if _runner(options) != "dataflowrunner":
        return
    for name in _PATHS:
        value = getattr(args, name, None) or []
        for path in [value] if isinstance(value, str) else value:
            if is_local(path) and not bigquery.is_table(path) and not _is_table(path):
                raise UsageError(
                    f"--{name} {path}: Dataflow has no files of this machine; use gs://"
                )


def _runner(options: PipelineOptions) -> str:
    return (options.view_as(StandardOptions).runner or "DirectRunner").rsplit(".")[-1].lower()


def check_file(option: str, path: str, within: str | None = None) -> None:
    """Raises UsageError where a local file, the value of an option, can't be written.

    Its directory must be there, unless it is in or below `within`, which the run makes.
    """
    if not is_local(path):
        return
    parent = os.path.dirname(os.path.abspath(path))
    is_made = within is not None and _within(parent, os.path.abspath(within))
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


def _metrics(text: str) -> tuple[str, ...]:
    """Types, in the order of the records, whatever the order in which they are asked for."""
    asked = {name.strip() for name in text.split(",")}
    if unknown := sorted(asked - set(METRICS)):
        raise argparse.ArgumentTypeError(
            f"{unknown[0]!r} is no metric; there are {', '.join(METRICS)}"
        )
    return tuple(name for name in METRICS if name in asked)


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
