"""The main job: message and session exports in, six records per closed session out."""

import argparse
import dataclasses
import datetime
import os
import uuid
from collections.abc import Sequence

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from rich.console import Console

from pipelines import console, running
from pipelines.options import (
    Parser,
    UsageError,
    add_inputs,
    add_ranges,
    add_time_zone,
    check_beam_options,
    check_common,
    check_file,
    check_readers,
    is_table_name,
    is_within,
    ratio,
    readers,
)
from pipelines.running import Runnable, perform
from schemas import metric_types
from transforms import (
    ComputeSessionMetrics,
    Policy,
    ReadMessages,
    ReadMessagesAndSessions,
    ReadSessions,
    ReportPage,
    WriteMetrics,
)
from transforms.batches import Counts
from transforms.bigquery import parse_table
from transforms.errors import JobError
from transforms.files import is_local
from transforms.folding.metrics import DEFAULT_METRICS, METRICS
from transforms.instants import DAY_US
from transforms.writing.outputs import Output
from transforms.writing.records import RECORDS_OUTPUT
from transforms.writing.summary_rows import SUMMARIES_OUTPUT
from transforms.writing.tables import TableRange


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
    output, table = args.output, _table_range(args, "output_table", RECORDS_OUTPUT)
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
                response_from=args.response_from,
                bots=args.bots,
                rounding=args.rounding,
                late_messages=args.late_messages,
                closed_from_us=args.closed_from,
                closed_until_us=args.closed_until,
                created_from_us=args.created_from,
                created_until_us=args.created_until,
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


def _table_range(args: argparse.Namespace, option: str, kind: Output) -> TableRange | None:
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
        table = parse_table(name)
    except JobError as error:
        raise UsageError(f"--{option} {error}") from None
    return TableRange(table, (args.closed_from, args.closed_until), kind)


def _summaries(args: argparse.Namespace, output: str) -> str | TableRange | None:
    """Where the summaries of the sessions go."""
    place = args.session_summary
    if not place:
        return None
    if is_table_name(place):
        return _table_range(args, "session_summary", SUMMARIES_OUTPUT)
    one, other = (os.path.abspath(p) if is_local(p) else p.rstrip("/") for p in (place, output))
    if is_within(one, other) or is_within(other, one):
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


def _metrics(text: str) -> tuple[str, ...]:
    """Types, in the order of the records, whatever the order in which they are asked for."""
    asked = {name.strip() for name in text.split(",")}
    if unknown := sorted(asked - set(METRICS)):
        raise argparse.ArgumentTypeError(
            f"{unknown[0]!r} is no metric; there are {', '.join(METRICS)}"
        )
    return tuple(name for name in METRICS if name in asked)


def _day(micros: int | None, which: str) -> str | None:
    if micros is None:
        return None
    if micros % DAY_US:
        raise UsageError(
            f"--partition_by day replaces whole days; --closed_{which} must be a date or midnight UTC"
        )
    return str(pa.scalar(micros // DAY_US, pa.int32()).cast(pa.date32()))


def build(pipeline: beam.Pipeline, job: Job) -> beam.PCollection:
    """Adds the whole job to a pipeline; gives the counts of the run, once published."""
    read = ReadMessagesAndSessions(job.read_messages, job.read_sessions)
    return (
        pipeline
        | "ReadMessagesAndSessions" >> read
        | "ComputeSessionMetrics" >> job.compute_metrics
        | "WriteMetrics" >> job.write_metrics
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job that a command line asks for; returns the exit status."""
    return perform("session-metrics", argv, parse, build, _tell)


def _tell(out: Console, job: Job, counts: Counts, stages: Counts) -> None:
    """Tells of a run that has published."""
    out.print(console.closing_table(counts))
    if table := console.stage_table(stages):
        out.print(table)
    out.print(f"published in {job.shown}", markup=False)
    if job.write_metrics.report:
        out.print(f"the page is {job.write_metrics.report.path}", markup=False)
    if not job.write_metrics.keep_files and any("_rejected_" in name for name in counts):
        out.print(f"rejects are in {job.write_metrics.rejects_directory}", markup=False)


def run() -> None:
    """The console script."""
    running.run(main)


if __name__ == "__main__":
    run()
