"""The report alone: its transforms, its pipeline, the last line of its run."""

import argparse
import dataclasses
from collections.abc import Iterable, Sequence

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions
from rich.console import Console

from pipelines import option_values
from pipelines.command_line import Ending
from pipelines.jobs import running
from pipelines.jobs.beam_options import name_run
from transforms import BuildReport, ReadSummaries, ReportPage
from transforms.batches import Counts
from transforms.errors import InputError
from transforms.files import absolute
from transforms.plumbing.counters import emit_counts
from transforms.publishing.publish import publish_file
from transforms.publishing.take import Outputs, release, run_of
from transforms.rejects import rejects_in
from transforms.reporting.measures import Report
from transforms.writing.stage_rejects import KeepRejects

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


def make(args: argparse.Namespace, beam_options: PipelineOptions) -> Job:
    """Makes the job of its options, which have been checked, and Beam's."""
    return Job(
        beam_options=beam_options,
        page=args.output,
        run=name_run(beam_options),
        published_in=args.output,
        read_summaries=ReadSummaries(tuple(args.summaries)),
        report_page=ReportPage(args.output, args.report_time_zone or "UTC"),
        counts=option_values.counts_in(args.counts) if args.counts else None,
    )


def build(pipeline: beam.Pipeline, job: Job) -> beam.PCollection:
    """Adds the job to a pipeline; returns the number of sessions, once the page is written."""
    read = pipeline | "ReadSummaries" >> job.read_summaries
    rejects = read.rejects | "KeepRejects" >> KeepRejects(1)
    # Workers may have another working directory.
    page = dataclasses.replace(job.report_page, path=absolute(job.report_page.path))
    outputs = Outputs(files=[page.path])
    run = run_of(job.run, pipeline, outputs)
    published = (
        read.batches
        | "BuildReport" >> BuildReport(page.zone)
        | "WritePage" >> beam.Map(_write, page, run, job.counts, beam.pvalue.AsIter(rejects))
    )
    release(run, published, outputs)
    return published


def _write(
    report: Report,
    report_page: ReportPage,
    run: str,
    counts: Counts | None,
    rejects: Iterable[pa.RecordBatch],
) -> int:
    # Summaries are written by a program. One that is wrong means that the whole file is.
    for batch in rejects:
        reject = rejects_in(batch)[0]
        raise InputError(
            f"{reject.source}: row {reject.row}: {reject.reason}; nothing was published"
        )
    publish_file(report_page.path, report_page.render(report, counts), run)
    list(emit_counts({_SESSIONS: report.sessions}))
    return report.sessions


def tell(out: Console, job: Job, counts: Counts, stages: Counts) -> None:
    """Prints the last line of a run that has written the page."""
    out.print(
        f"{counts.get(_SESSIONS, 0):,} sessions; the page is {job.published_in}", markup=False
    )


def run(program: str, args: argparse.Namespace, words: Sequence[str]) -> Ending:
    """Runs the job; returns how it has ended. For the arguments see `running.run_job`."""
    return running.run_job(program, args, words, make=make, build=build, tell=tell)
