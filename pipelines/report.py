"""The report alone: summaries of sessions in, one page of HTML out."""

import dataclasses
import json
import os
from collections.abc import Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from rich.console import Console

from pipelines import options, running
from pipelines.running import Runnable, perform
from transforms import BuildReport, ReadSummaries, ReportPage
from transforms.batches import Counts, Reject
from transforms.bigquery import is_table
from transforms.errors import InputError
from transforms.files import is_local, match, open_input
from transforms.plumbing.counters import emit_counts
from transforms.publishing import publish as publishing
from transforms.reading.columns import ColumnNames
from transforms.reading.inputs import check_inputs
from transforms.reporting.measures import Report

_SESSIONS = "sessions_on_page"


@dataclasses.dataclass(frozen=True)
class Job(Runnable):
    """What the command line asks for.

    Attributes:
      report_page: the page.
      counts: of the run that wrote the summaries; None where they are not given.
    """

    read_summaries: ReadSummaries
    report_page: ReportPage
    counts: Counts | None
    beam_options: PipelineOptions

    @property
    def outputs(self) -> list[str]:
        """None: the page is no directory."""
        return []

    @property
    def shown(self) -> str:
        """The page."""
        return self.report_page.path

    @property
    def files_beside(self) -> list[str]:
        """The page, too."""
        return [self.report_page.path]


def _parser() -> options.Parser:
    parser = options.Parser(
        prog="session-report",
        description="Makes one page of HTML of the summaries of messaging sessions.",
        epilog="Beam's own options (--runner, --temp_location, ...) may be given besides.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--summaries",
        nargs="+",
        metavar="PATTERN",
        help="what --session_summary of session-metrics has written: .avro .parquet .jsonl .csv (text "
        "also .gz), bigquery:PROJECT.DATASET.TABLE",
    )
    parser.add_argument("--output", metavar="FILE", help="the page, FILE.html")
    options.add_time_zone(parser)
    parser.add_argument(
        "--counts",
        metavar="FILE",
        help="what --summary of session-metrics has written: for what was rejected, and why",
    )
    return parser


def parse(argv: Sequence[str]) -> Job:
    """Makes a job of a command line.

    Raises:
      UsageError: an unknown option, a value that there is not.
      JobError: an input is not to be had.
    """
    parser = _parser()
    args, rest = parser.parse_known_args(list(argv))
    options.check_beam_options(rest, parser)
    beam_options = options.check_common(args, rest, ("summaries", "output"))
    options.check_file("output", args.output)
    counts = _read_counts(args.counts) if args.counts else None
    check_inputs(args.summaries, ColumnNames.of("summaries"))
    _check_once(args.summaries)
    return Job(
        ReadSummaries(tuple(args.summaries)),
        ReportPage(args.output, args.report_time_zone or "UTC"),
        counts,
        beam_options,
    )


def _read_counts(path: str) -> Counts:
    try:
        with open_input(path) as file:
            counts = json.loads(file.read())
    except OSError as error:
        raise options.UsageError(f"--counts {path}: {error.strerror or error}") from None
    except ValueError:
        counts = None
    if not isinstance(counts, dict) or not all(type(n) is int for n in counts.values()):
        raise options.UsageError(
            f"--counts {path}: has no counts; name the file that --summary of session-metrics wrote"
        )
    return counts


def _check_once(patterns: Sequence[str]) -> None:
    """Sessions that are read twice would count twice."""
    seen: set[str] = set()
    for pattern in patterns:
        of_table = is_table(pattern)
        for path in [pattern] if of_table else [path for path, _ in match(pattern)]:
            place = os.path.realpath(path) if is_local(path) and not of_table else path
            if place in seen:
                raise options.UsageError(f"--summaries: {path} is named twice")
            seen.add(place)


def build(pipeline: beam.Pipeline, job: Job) -> beam.PCollection:
    """Adds the whole job to a pipeline; gives the number of sessions, once the page is written."""
    read = pipeline | "ReadSummaries" >> job.read_summaries
    first_reject = read.rejects | "FirstReject" >> beam.combiners.Top.Smallest(
        1, key=lambda reject: (reject.source, reject.row)
    )
    return (
        read.batches
        | "BuildReport" >> BuildReport(job.report_page.zone)
        | "WritePage"
        >> beam.Map(_write, job.report_page, job.counts, beam.pvalue.AsSingleton(first_reject))
    )


def _write(
    report: Report, report_page: ReportPage, counts: Counts | None, rejects: list[Reject]
) -> int:
    # They are a program's work, not people's: one that is wrong means that the file is.
    for reject in rejects:
        raise InputError(
            f"{reject.source}: row {reject.row}: {reject.reason}; nothing was published"
        )
    publishing.write_file(report_page.path, [report_page.render(report, counts)])
    list(emit_counts({_SESSIONS: report.sessions}))
    return report.sessions


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job that a command line asks for; returns the exit status."""
    return perform("session-report", argv, parse, build, _tell)


def _tell(out: Console, job: Job, counts: Counts, stages: Counts) -> None:
    """Tells of a run that has written the page."""
    out.print(f"{counts.get(_SESSIONS, 0):,} sessions; the page is {job.shown}", markup=False)


def run() -> None:
    """The console script."""
    running.run(main)


if __name__ == "__main__":
    run()
