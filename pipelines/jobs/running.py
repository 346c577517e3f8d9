"""Runs any job: prepares its outputs, runs its pipeline, reports how it ended."""

import argparse
import contextlib
import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import IO, NamedTuple, TypeVar, cast

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    StandardOptions,
    TestOptions,
)
from apache_beam.runners.runner import PipelineResult, PipelineState
from rich.console import Console

from pipelines import streams
from pipelines.command_line import FAILED, PUBLISHED, USAGE, Ending, UsageError
from pipelines.jobs import console
from pipelines.jobs.beam_options import (
    LOCAL_RUNNERS,
    SUBMITTING_RUNNERS,
    parse_options,
    refusal,
    runner_of,
)
from pipelines.jobs.cancelling import cancel
from pipelines.jobs.endings import EndedError, RunsOnError, explain, of_a_job_that_runs_on
from pipelines.jobs.failures import logged_errors, reason_of
from pipelines.jobs.flink import failures_of
from pipelines.jobs.overheads import reduce_overheads
from transforms.batches import Counts
from transforms.errors import JobError, find_job_error
from transforms.plumbing.coders import spilling
from transforms.plumbing.counters import NAMESPACE, STAGES, counters_of
from transforms.publishing.publish import PreparedOutputs
from transforms.publishing.staging import RUN, check_file, hidden_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """A run of a job, as far as all jobs are alike; each job adds its transforms.

    Attributes:
      beam_options: Beam's options.
      outputs: the directories that are published, all or nothing.
      files: the files that are written after the outputs.
      page: a file that is published by itself.
      tables: the BigQuery tables whose rows are replaced.
      published_in: where the output is, once published, in words.
      run: the name of the run, under which it takes its outputs; empty if its workers take them.
    """

    beam_options: PipelineOptions
    outputs: Sequence[str] = ()
    files: Sequence[str] = ()
    page: str | None = None
    tables: Sequence[str] = ()
    published_in: str
    run: str

    @property
    def runs_here(self) -> bool:
        """Whether the workers are on this machine, and in no container."""
        environment = self.beam_options.view_as(PortableOptions).environment_type
        return runner_of(self.beam_options) in LOCAL_RUNNERS and environment in (None, "LOOPBACK")

    @property
    def is_dry_run(self) -> bool:
        """Whether a service's runner only checks the job, and nothing is changed anywhere."""
        return not self.runs_here and bool(self.beam_options.view_as(TestOptions).dry_run)

    @property
    def checked_files(self) -> list[str]:
        """The files that are tried before any work."""
        taken = [] if self.run else [*self.outputs, *filter(None, [self.page])]
        beside = [f"{hidden_of(path)}/{RUN}" for path in taken]
        return [] if self.is_dry_run else [*beside, *self.files]

    @property
    def handed_over(self) -> str | None:
        """The last line of a command that does not wait for the job's end; None for one that does."""
        if self.runs_here:
            return None
        if self.is_dry_run:
            return "dry run: the job is well-formed; nothing was submitted"
        if template := self.beam_options.view_as(GoogleCloudOptions).template_location:
            return f"the job is described in {template}; nothing runs yet"
        if self.beam_options.view_as(StandardOptions).no_wait_until_finish:
            return f"submitted; the job publishes in {self.published_in} when it ends"
        return None


AnyJob = TypeVar("AnyJob", bound=Job)
Build = Callable[[beam.Pipeline, AnyJob], beam.PCollection]


def run_job(
    program: str,
    args: argparse.Namespace,
    words: Sequence[str],
    *,
    make: Callable[[argparse.Namespace, PipelineOptions], AnyJob],
    build: Build[AnyJob],
    tell: Callable[[Console, AnyJob, Counts, Counts], None],
) -> Ending:
    """Runs a job; returns how it has ended.

    Args:
      program: the name with which each line of an error begins.
      args: the job's own options.
      words: the words of the command line that are Beam's.
      make: makes the job of its options and Beam's. Raises UsageError or JobError.
      build: adds the job to a pipeline.
      tell: prints the last lines of a run that has published, from the counts of its rows and of its
        stages.
    """
    out = Console(
        file=cast(IO[str], streams.Stderr()), emoji=False, highlight=False, soft_wrap=True
    )

    def end(status: int, line: str) -> Ending:
        return Ending(status, f"{program}: {line}")

    reduce_overheads()
    prepared = PreparedOutputs((), "")
    try:
        job = make(args, parse_options(words))
        if job.run and not job.is_dry_run:
            prepared = PreparedOutputs(job.outputs, job.run, [job.page] if job.page else [])
        with prepared:
            for path in job.checked_files:
                check_file(path)
            with console.progress(out) if job.runs_here else contextlib.nullcontext():
                outcome = _run(job, build)
            if outcome.runs_on:
                prepared.leave()
    except (UsageError, JobError) as error:
        return end(USAGE, str(error))
    except (KeyboardInterrupt, Exception) as error:
        return end(FAILED, explain(error, prepared.fates))
    if isinstance(outcome.failure, UsageError):
        return end(USAGE, str(outcome.failure))
    if outcome.failure is not None:
        reason = None if job.runs_here else reason_of(outcome.failure, outcome.logged)
        fates = prepared.fates
        if fates:
            fates = fates | dict.fromkeys(job.tables, "unknown")
        return end(FAILED, explain(outcome.failure, fates, reason))
    if outcome.runs_on:
        return end(PUBLISHED, str(job.handed_over))
    tell(out, job, outcome.counts, outcome.stages)
    return Ending(PUBLISHED)


class _Outcome(NamedTuple):
    """The outcome of a run.

    Attributes:
      counts: of rows, where the job has published.
      stages: of what went through each stage, where the job has published.
      failure: the error; None where there was none.
      logged: what Beam has logged as a warning or an error.
      runs_on: whether the job may still be running, with its files in the staging directories.
    """

    counts: Counts
    stages: Counts
    failure: BaseException | None = None
    logged: Sequence[str] = ()
    runs_on: bool = False


def _run(job: AnyJob, build: Build[AnyJob]) -> _Outcome:
    """Runs the pipeline of a job, and waits for its end unless the job is handed over."""
    # A worker in this process logs what it raises, of which the user gets one line at the end.
    for name, level in (("apache_beam", logging.INFO), ("apache_beam.io", logging.WARNING)):
        logging.getLogger(name).setLevel(logging.CRITICAL if job.runs_here else level)
    result = None
    with logged_errors() as logged:
        try:
            with spilling() if job.runs_here else contextlib.nullcontext():
                pipeline = beam.Pipeline(options=job.beam_options)
                build(pipeline, job)
                result = _submit(pipeline, job)
                if job.handed_over:
                    return _Outcome({}, {}, runs_on=True)
                _wait(job, result)
            counts, stages = (counters_of(result, namespace) for namespace in (NAMESPACE, STAGES))
        except (KeyboardInterrupt, Exception) as error:
            runs_on = isinstance(error, RunsOnError)
            logged += _told_by_flink(job, result)
            return _Outcome({}, {}, failure=error, logged=logged, runs_on=runs_on)
        return _Outcome(counts, stages)


def _submit(pipeline: beam.Pipeline, job: Job) -> PipelineResult:
    """Runs a pipeline; raises UsageError where no job server takes it, so that no work has begun."""
    try:
        return pipeline.run()
    except Exception as error:
        if runner_of(job.beam_options) not in SUBMITTING_RUNNERS or find_job_error(error):
            raise
        raise refusal(job.beam_options, error) from error


def _wait(job: Job, result: PipelineResult) -> None:
    """Waits for the end of a pipeline; raises where that is no success, or can't be had."""
    try:
        state = result.wait_until_finish()
    except (KeyboardInterrupt, Exception) as error:
        if job.runs_here or (has_ended := _has_ended(result)):
            raise
        if isinstance(error, KeyboardInterrupt) and (state := _cancel(job, result)):
            raise EndedError(f"interrupted; the job ended as {state}") from error
        line = of_a_job_that_runs_on(
            job.published_in, job.beam_options, has_ended is not None, error
        )
        raise RunsOnError(line) from error
    if state not in (None, PipelineState.DONE):
        raise EndedError(f"the job ended as {state}")


def _cancel(job: Job, result: PipelineResult) -> str | None:
    """The state in which a job has ended for sure, as it was cancelled; None if that is not sure."""
    try:
        return cancel(job.beam_options, result)
    except (KeyboardInterrupt, Exception):  # each service has errors of its own
        return None


def _told_by_flink(job: Job, result: PipelineResult | None) -> list[str]:
    """Why a job has failed, as Flink's JobManager tells it."""
    job_id = None if job.runs_here else getattr(result, "_job_id", None)
    try:
        return failures_of(job.beam_options, job_id) if job_id else []
    except Exception:  # it may be the JobManager that has failed
        return []


def _has_ended(result: PipelineResult) -> bool | None:
    """Whether a job has ended; None if the service does not say."""
    try:
        return PipelineState.is_terminal(result.state)
    except Exception:  # each service has errors of its own
        return None
