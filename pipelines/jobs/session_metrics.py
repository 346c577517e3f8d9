"""The main job: its transforms, its pipeline, the last lines of its run."""

import argparse
import dataclasses
import uuid
from collections.abc import Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from rich.console import Console

from pipelines import option_values, options
from pipelines.command_line import Ending, UsageError
from pipelines.jobs import console, inputs, running
from pipelines.jobs.beam_options import name_run
from transforms import (
    ComputeSessionMetrics,
    ReadMessages,
    ReadMessagesAndSessions,
    ReadSessions,
    ReportPage,
    WriteMetrics,
)
from transforms.batches import Counts
from transforms.bigquery import is_table_name, parse_table
from transforms.policy import SWITCHES
from transforms.writing.outputs import Output
from transforms.writing.records import RECORDS_OUTPUT
from transforms.writing.summary_rows import SUMMARIES_OUTPUT
from transforms.writing.tables import TableRange


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job(running.Job):
    """A run of the main job: its transforms."""

    read_messages: ReadMessages
    read_sessions: ReadSessions
    compute_metrics: ComputeSessionMetrics
    write_metrics: WriteMetrics


def make(args: argparse.Namespace, beam_options: PipelineOptions) -> Job:
    """Makes the job of its options, which have been checked, and Beam's.

    Raises:
      UsageError: a table without a place for the files that are loaded.
      JobError: a table can't be had.
    """
    read_messages, read_sessions = inputs.readers(args)
    write_metrics = _write_metrics(args, beam_options)
    compute_metrics = ComputeSessionMetrics(
        inputs.policy_of(args, **{switch: getattr(args, switch) for switch in SWITCHES}),
        args.metrics,
        summarize=write_metrics.summaries is not None or write_metrics.report is not None,
    )
    for table in write_metrics.tables:
        table.check()
    return Job(
        beam_options=beam_options,
        outputs=write_metrics.outputs,
        files=write_metrics.files_beside,
        tables=[str(one.table) for one in write_metrics.tables],
        published_in=write_metrics.shown,
        run=write_metrics.run,
        read_messages=read_messages,
        read_sessions=read_sessions,
        compute_metrics=compute_metrics,
        write_metrics=write_metrics,
    )


def _write_metrics(args: argparse.Namespace, beam_options: PipelineOptions) -> WriteMetrics:
    """The transform that writes what the options ask for."""
    return WriteMetrics(
        args.output or _directory_for_loading(beam_options),
        output_format=args.output_format,
        partition_by=args.partition_by,
        days=option_values.whole_days(args) if args.partition_by == "day" else (None, None),
        rejects=args.rejects,
        max_reject_ratio=args.max_reject_ratio,
        allow_no_messages=args.allow_no_messages == "true",
        counts_file=args.summary,
        table=_table_range(args, args.output_table, RECORDS_OUTPUT) if args.output_table else None,
        summaries=_summaries(args),
        report=_report(args),
        keep_files=bool(args.output),
        run=name_run(beam_options),
    )


def _table_range(args: argparse.Namespace, name: str, rows: Output) -> TableRange:
    """The rows that are replaced in a table."""
    return TableRange(parse_table(name), (args.closed_from, args.closed_until), rows)


def _summaries(args: argparse.Namespace) -> str | TableRange | None:
    """Where the summaries of the sessions go."""
    place = args.session_summary
    if place and is_table_name(place):
        return _table_range(args, place, SUMMARIES_OUTPUT)
    return place or None


def _report(args: argparse.Namespace) -> ReportPage | None:
    """The page of the report."""
    if not args.report:
        return None
    asked = [
        f"{name.removesuffix('_us')}={option_values.instant_text(micros)}"
        for name, micros in options.ranges_us(args).items()
        if micros is not None
    ]
    settings = (("Range", " ".join(asked) or "all closed sessions"),)
    return ReportPage(args.report, args.report_time_zone or "UTC", settings)


def _directory_for_loading(beam_options: PipelineOptions) -> str:
    """A directory of this run's own for the files of a table, where no directory is asked for."""
    temp_location = beam_options.view_as(GoogleCloudOptions).temp_location
    if not temp_location:
        raise UsageError(
            "--output_table without --output needs --temp_location gs://BUCKET/DIR for the files "
            "that are loaded"
        )
    return f"{temp_location.rstrip('/')}/session-metrics-{uuid.uuid4().hex}"


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


def run(program: str, args: argparse.Namespace, words: Sequence[str]) -> Ending:
    """Runs the job; returns how it has ended. For the arguments see `running.run_job`."""
    return running.run_job(program, args, words, make=make, build=build, tell=tell)
