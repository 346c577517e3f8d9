"""The main job: message and session exports in, six records per closed session out."""

import argparse
import dataclasses
import os
import uuid
from collections.abc import Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from rich.console import Console

from pipelines import console, option_values, options, running
from pipelines.command_line import Parser, UsageError, is_table_name, parse_words
from schemas import metric_types
from transforms import (
    ComputeSessionMetrics,
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
from transforms.instants import DAY_US, date_of_day
from transforms.policy import SWITCHES
from transforms.writing.outputs import Output
from transforms.writing.records import RECORDS_OUTPUT
from transforms.writing.summary_rows import SUMMARIES_OUTPUT
from transforms.writing.tables import TableRange

PROGRAM = "session-metrics"
_RULES = {
    "response_from": "message of the other side's turn that a response is timed from",
    "bots": "whether a bot's turn stops the agent's clock: with answer it does, with ignore bots are "
    "left out",
    "late_messages": "whether messages later than the session's end count",
    "rounding": "how averages and maxima are rounded to whole seconds",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job(running.Job):
    """A run of the main job: its transforms."""

    read_messages: ReadMessages
    read_sessions: ReadSessions
    compute_metrics: ComputeSessionMetrics
    write_metrics: WriteMetrics


def parser() -> Parser:
    """The parser of the job's own options."""
    parser = Parser(
        PROGRAM,
        "Computes the six MessagingSessionMetrics records of each closed messaging session.",
    )
    options.add_inputs(parser)
    out = parser.add_argument_group("output")
    out.add_argument(
        "--output",
        metavar="DIR",
        help="directory for the records: a run replaces the records of an earlier one there, or with "
        "--partition_by day those of its days",
    )
    out.add_argument(
        "--output_table",
        metavar="PROJECT:DATASET.TABLE",
        help="BigQuery table for the records, with or without --output: its rows in the range of "
        "--closed_from and --closed_until are replaced",
    )
    out.add_argument(
        "--output_format",
        choices=["avro", "parquet", "csv", "jsonl"],
        default="avro",
        help="format of the output files; csv has the three columns that Bulk API 2.0 can insert "
        "(default %(default)s)",
    )
    out.add_argument(
        "--partition_by",
        choices=["none", "day"],
        default="none",
        help="how the output is divided; day: a directory created_date=2024-10-02 for each day on "
        "which sessions ended, UTC (default %(default)s)",
    )
    out.add_argument(
        "--rejects",
        metavar="DIR",
        help="directory for the rows that can't be used (default rejects in --output)",
    )
    options.add_reject_ratio(out)
    # A Flex Template gives each option a value.
    out.add_argument(
        "--allow_no_messages",
        nargs="?",
        choices=["true", "false"],
        const="true",
        default="false",
        help="whether to publish if sessions are reported and not one message counts; else the run fails "
        "(default %(default)s)",
    )
    out.add_argument("--summary", metavar="FILE", help="file for the counts of the run, as JSON")
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
        help=f"types of the records, of {', '.join(metric_types())}; the last two need accepted_at "
        "and routed_at of the sessions (default the first six)",
    )
    out.add_argument(
        "--report",
        metavar="FILE",
        help="file for a page of HTML: sessions, messages and response times per day, by hour and by "
        "channel type",
    )
    options.add_time_zone(out)
    options.add_verbose(out)
    options.add_ranges(parser)
    rules = parser.add_argument_group("rules")
    options.add_session_lead(rules)
    for switch, values in SWITCHES.items():
        rules.add_argument(
            f"--{switch}",
            choices=values,
            default=values[0],
            help=f"{_RULES[switch]} (default %(default)s)",
        )
    return parser


def parse(argv: Sequence[str]) -> Job:
    """Makes a job of a command line.

    Raises:
      UsageError: an unknown option, a wrong value, options that do not go together.
      JobError: an input or the output can't be had.
    """
    required = ["messages", "sessions", "output|output_table"]
    args, beam_options = parse_words(parser(), argv, required)
    read_messages, read_sessions = options.readers(args)
    write_metrics = _write_metrics(args, beam_options)
    compute_metrics = ComputeSessionMetrics(
        options.policy_of(args, **{switch: getattr(args, switch) for switch in SWITCHES}),
        args.metrics,
        summarize=write_metrics.summaries is not None or write_metrics.report is not None,
    )
    needed = [column for name in args.metrics if (column := METRICS[name].needs)]
    said = options.check_readers(read_messages, read_sessions, needed)
    for table in write_metrics.tables:
        table.check()
    return Job(
        beam_options=beam_options,
        outputs=write_metrics.outputs,
        files=write_metrics.files_beside,
        tables=[str(one.table) for one in write_metrics.tables],
        published_in=write_metrics.shown,
        said=said if args.verbose else (),
        read_messages=read_messages,
        read_sessions=read_sessions,
        compute_metrics=compute_metrics,
        write_metrics=write_metrics,
    )


def _write_metrics(args: argparse.Namespace, beam_options: PipelineOptions) -> WriteMetrics:
    """The transform that writes what the options ask for."""
    days: tuple[str | None, str | None] = (None, None)
    if args.partition_by == "day":
        days = _day(args.closed_from, "from"), _day(args.closed_until, "until")
    output, table = args.output, _table_range(args, "output_table", RECORDS_OUTPUT)
    if table and not output:
        output = _directory_for_loading(args, beam_options)
    summaries = _summaries(args, output)
    if args.summary:
        options.check_local_file("summary", args.summary, within=output)
    return WriteMetrics(
        output,
        output_format=args.output_format,
        partition_by=args.partition_by,
        days=days,
        rejects=args.rejects,
        max_reject_ratio=args.max_reject_ratio,
        allow_no_messages=args.allow_no_messages == "true",
        counts_file=args.summary,
        table=table,
        summaries=summaries,
        report=_report(args, output),
        keep_files=bool(args.output),
    )


def _table_range(args: argparse.Namespace, option: str, rows: Output) -> TableRange | None:
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
    return TableRange(table, (args.closed_from, args.closed_until), rows)


def _summaries(args: argparse.Namespace, output: str) -> str | TableRange | None:
    """Where the summaries of the sessions go."""
    place = args.session_summary
    if not place:
        return None
    if is_table_name(place):
        return _table_range(args, "session_summary", SUMMARIES_OUTPUT)
    one, other = (os.path.abspath(p) if is_local(p) else p.rstrip("/") for p in (place, output))
    if options.is_within(one, other) or options.is_within(other, one):
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
    options.check_local_file("report", args.report, within=output)
    if args.report == args.summary:
        raise UsageError(f"--report {args.report}: is the file of --summary, too")
    asked = [
        f"{name.removesuffix('_us')}={option_values.instant_text(micros)}"
        for name, micros in options.ranges_us(args).items()
        if micros is not None
    ]
    settings = (("Range", " ".join(asked) or "all closed sessions"),)
    return ReportPage(args.report, args.report_time_zone or "UTC", settings)


def _directory_for_loading(args: argparse.Namespace, beam_options: PipelineOptions) -> str:
    """A directory of this run's own for the files of a table, where no directory is asked for."""
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
    """The type of the option for the types of the records; their order is that of the records."""
    asked = {name.strip() for name in text.split(",")}
    if unknown := sorted(asked - set(METRICS)):
        raise argparse.ArgumentTypeError(
            f"{unknown[0]!r} is no metric; there are {', '.join(METRICS)}"
        )
    return tuple(name for name in METRICS if name in asked)


def _day(micros: int | None, which: str) -> str | None:
    """The date at whose midnight a range begins or ends."""
    if micros is None:
        return None
    if micros % DAY_US:
        raise UsageError(
            f"--partition_by day replaces whole days; --closed_{which} must be a date or midnight UTC"
        )
    return date_of_day(micros // DAY_US)


def build(pipeline: beam.Pipeline, job: Job) -> beam.PCollection:
    """Adds the job to a pipeline; returns the counts of the run, once published."""
    end_early = job.write_metrics.max_reject_ratio < 1
    read = ReadMessagesAndSessions(job.read_messages, job.read_sessions, end_early=end_early)
    return (
        pipeline
        | "ReadMessagesAndSessions" >> read
        | "ComputeSessionMetrics" >> job.compute_metrics
        | "WriteMetrics" >> job.write_metrics
    )


def tell(out: Console, job: Job, counts: Counts, stages: Counts) -> None:
    """Prints the last lines of a run that has published: what was read, and where the output is."""
    out.print(console.closing_table(counts))
    if table := console.stage_table(stages):
        out.print(table)
    out.print(f"published in {job.published_in}", markup=False)
    if job.write_metrics.report:
        out.print(f"the page is {job.write_metrics.report.path}", markup=False)
    if not job.write_metrics.keep_files and any("_rejected_" in name for name in counts):
        out.print(f"rejects are in {job.write_metrics.rejects_directory}", markup=False)
    for line in console.doubts(counts):
        out.print(line, markup=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job that a command line asks for; returns the exit status."""
    return running.run_job(PROGRAM, argv, parse=parse, build=build, tell=tell)


def run() -> None:
    """The console script."""
    running.run_and_exit(main)


if __name__ == "__main__":
    run()
