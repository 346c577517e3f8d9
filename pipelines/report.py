"""The report alone: summaries of sessions in, one page of HTML out."""

import dataclasses
import json
import os
from collections.abc import Iterable, Sequence

import apache_beam as beam
import pyarrow as pa
from rich.console import Console

from pipelines import options, running
from pipelines.command_line import Parser, UsageError, parse_words
from transforms import BuildReport, ReadSummaries, ReportPage
from transforms.batches import Counts
from transforms.bigquery import is_table
from transforms.errors import InputError
from transforms.files import is_local, match, open_input
from transforms.plumbing.counters import emit_counts
from transforms.publishing.staging import write_file
from transforms.reading.inputs import check_inputs
from transforms.reading.names import ColumnNames
from transforms.rejects import rejects_in
from transforms.reporting.measures import Report
from transforms.writing.stage_rejects import KeepRejects

PROGRAM = "session-report"
_SESSIONS = "sessions_on_page"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job(running.Job):
    """A run of the report.

    Attributes:
      read_summaries: reads the summaries.
      report_page: the page.
      counts: of the run that wrote the summaries; None where they are not given.
    """

    read_summaries: ReadSummaries
    report_page: ReportPage
    counts: Counts | None


def parser() -> Parser:
    """The parser of the job's own options."""
    parser = Parser(PROGRAM, "Makes one page of HTML of the summaries of messaging sessions.")
    parser.add_argument(
        "--summaries",
        nargs="+",
        metavar="PATTERN",
        help="files or BigQuery tables that --session_summary of session-metrics has written: .avro "
        ".parquet .jsonl .csv (text also .gz .bz2 .zst), bigquery:PROJECT.DATASET.TABLE",
    )
    parser.add_argument("--output", metavar="FILE", help="file for the page, FILE.html")
    options.add_time_zone(parser)
    parser.add_argument(
        "--counts",
        metavar="FILE",
        help="file that --summary of session-metrics has written: the page then shows what was "
        "rejected, and why",
    )
    options.add_verbose(parser)
    return parser


def parse(argv: Sequence[str]) -> Job:
    """Makes a job of a command line.

    Raises:
      UsageError: an unknown option, a wrong value.
      JobError: an input can't be had.
    """
    args, beam_options = parse_words(parser(), argv, ["summaries", "output"])
    options.check_local_file("output", args.output)
    counts = _read_counts(args.counts) if args.counts else None
    said = check_inputs(args.summaries, ColumnNames.of("summaries"))
    _check_once(args.summaries)
    return Job(
        beam_options=beam_options,
        files=[args.output],
        published_in=args.output,
        said=said if args.verbose else (),
        read_summaries=ReadSummaries(tuple(args.summaries)),
        report_page=ReportPage(args.output, args.report_time_zone or "UTC"),
        counts=counts,
    )


def _read_counts(path: str) -> Counts:
    """The counts of a run from its file, for what the page says about rejects."""
    try:
        with open_input(path) as file:
            counts = json.loads(file.read())
    except OSError as error:
        raise UsageError(f"--counts {path}: {error.strerror or error}") from None
    except ValueError:
        counts = None
    if not isinstance(counts, dict) or not all(type(n) is int for n in counts.values()):
        raise UsageError(
            f"--counts {path}: has no counts; name the file that --summary of session-metrics wrote"
        )
    return counts


def _check_once(patterns: Sequence[str]) -> None:
    """Raises UsageError where a file or a table is named twice, as its sessions would count twice."""
    seen: set[str] = set()
    for pattern in patterns:
        of_table = is_table(pattern)
        for path in [pattern] if of_table else [path for path, _ in match(pattern)]:
            place = os.path.realpath(path) if is_local(path) and not of_table else path
            if place in seen:
                raise UsageError(f"--summaries: {path} is named twice")
            seen.add(place)


def build(pipeline: beam.Pipeline, job: Job) -> beam.PCollection:
    """Adds the job to a pipeline; returns the number of sessions, once the page is written."""
    read = pipeline | "ReadSummaries" >> job.read_summaries
    rejects = read.rejects | "KeepRejects" >> KeepRejects(1)
    return (
        read.batches
        | "BuildReport" >> BuildReport(job.report_page.zone)
        | "WritePage" >> beam.Map(_write, job.report_page, job.counts, beam.pvalue.AsIter(rejects))
    )


def _write(
    report: Report,
    report_page: ReportPage,
    counts: Counts | None,
    rejects: Iterable[pa.RecordBatch],
) -> int:
    # Summaries are written by a program. One that is wrong means that the whole file is.
    for batch in rejects:
        reject = rejects_in(batch)[0]
        raise InputError(
            f"{reject.source}: row {reject.row}: {reject.reason}; nothing was published"
        )
    write_file(report_page.path, [report_page.render(report, counts)])
    list(emit_counts({_SESSIONS: report.sessions}))
    return report.sessions


def tell(out: Console, job: Job, counts: Counts, stages: Counts) -> None:
    """Prints the last line of a run that has written the page."""
    out.print(
        f"{counts.get(_SESSIONS, 0):,} sessions; the page is {job.published_in}", markup=False
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job that a command line asks for; returns the exit status."""
    return running.run_job(PROGRAM, argv, parse=parse, build=build, tell=tell)


def run() -> None:
    """The console script."""
    running.run_and_exit(main)


if __name__ == "__main__":
    run()
