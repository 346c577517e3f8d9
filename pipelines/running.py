"""Runs any job: prepares its outputs, runs its pipeline, reports how it ended."""

import abc
import atexit
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

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

from pipelines import console, options
from pipelines.options import LOCAL_RUNNERS, runner_of
from transforms.batches import Counts
from transforms.errors import JobError, find_job_error
from transforms.plumbing.coders import spilling
from transforms.plumbing.counters import NAMESPACE, STAGES, add_counts
from transforms.publishing.publish import PreparedOutputs
from transforms.publishing.staging import Fate, check_file


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
        return runner_of(self.beam_options) in LOCAL_RUNNERS and environment in (None, "LOOPBACK")

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


PUBLISHED, FAILED, USAGE = 0, 1, 2

AnyJob = TypeVar("AnyJob", bound=Runnable)


def perform(
    program: str,
    argv: Sequence[str] | None,
    parse: Callable[[Sequence[str]], AnyJob],
    build: Callable[[beam.Pipeline, AnyJob], beam.PCollection],
    tell: Callable[[Console, AnyJob, Counts, Counts], None],
) -> int:
    """Runs the job of a program; returns the exit status.

    Args:
      program: its name, with which each line of an error begins.
      argv: the command line; None is this process's.
      parse: makes a job of it.
      build: adds the job to a pipeline.
      tell: tells of a run that has published: of the counts, and of those of the stages.
    """
    out = Console(stderr=True, highlight=False, soft_wrap=True)
    prepared = PreparedOutputs([])
    try:
        try:
            job = parse(sys.argv[1:] if argv is None else argv)
            prepared = PreparedOutputs([] if job.is_dry_run else job.outputs)
            prepared.__enter__()
            for path in [] if job.is_dry_run else job.files_beside:
                check_file(path)
        except (options.UsageError, JobError) as error:
            out.print(f"{program}: {error}", markup=False)
            return USAGE
        with console.progress(out) if job.runs_here else contextlib.nullcontext():
            counted = _run(job, build)
    except SystemExit as end:  # --help
        return int(end.code or 0)
    except (KeyboardInterrupt, Exception) as error:
        if isinstance(error, _RunsOnError):
            prepared.leave()  # the job has its files there
        failure = error
    else:
        if counted is None:
            prepared.leave()
            out.print(f"{program}: {job.handed_over}", markup=False)
            return PUBLISHED
        tell(out, job, *counted)
        return PUBLISHED
    finally:
        prepared.__exit__(None, None, None)
    fates = dict(prepared.fates)
    if fates:
        fates |= dict.fromkeys(job.tables, "unknown")
    out.print(f"{program}: {_explain(failure, fates)}", markup=False)
    return FAILED


_TOLD = {
    "published": "published already in {}",
    "begun": "publishing in {} had begun: the next run ends it, _SUCCESS is missing until then",
    "unknown": "whether {} was changed is not known",
}


def _explain(error: BaseException, fates: Mapping[str, Fate]) -> str:
    """The one line for what ended a run; where that is no line's matter, the traceback is logged.

    Args:
      error: what it was.
      fates: what has become of each output.
    """
    told = [_TOLD[fate].format(output) for output, fate in fates.items() if fate in _TOLD]
    if isinstance(error, _RunsOnError):
        return str(error)
    if isinstance(error, KeyboardInterrupt) or "KeyboardInterrupt" in str(error):  # in a worker
        said = "interrupted"
    elif isinstance(error, _EndedError):
        said = str(error)
    elif found := find_job_error(error):  # which tells the rest
        published = [output for output, fate in fates.items() if fate == "published"]
        return "; ".join([found, *(_TOLD["published"].format(output) for output in published)])
    else:
        logging.getLogger(__name__).error("The pipeline failed", exc_info=error)
        said = f"the pipeline failed: {type(error).__name__}"
    return "; ".join([said, *(told or ["nothing was published"])])


class _RunsOnError(Exception):
    """The job can't be waited for any more, and has not ended. The text is one line."""


class _EndedError(Exception):
    """The job has ended without success. The text is one line."""


def _run(
    job: AnyJob, build: Callable[[beam.Pipeline, AnyJob], beam.PCollection]
) -> tuple[Counts, Counts] | None:
    """Runs the job; returns what became of rows, and what went through each stage.

    Returns None where the job's end is not to be waited for.
    """
    # A worker in this process logs what it raises; the reader gets one line of it, from `main`.
    for name, level in (("apache_beam", logging.INFO), ("apache_beam.io", logging.WARNING)):
        logging.getLogger(name).setLevel(logging.CRITICAL if job.runs_here else level)
    with spilling() if job.runs_here else contextlib.nullcontext():
        pipeline = beam.Pipeline(options=job.beam_options)
        build(pipeline, job)
        result = pipeline.run()
        if job.handed_over:
            return None
        try:
            state = result.wait_until_finish()
        except (KeyboardInterrupt, Exception) as error:
            if job.runs_here or not _runs_on(result):
                raise
            raise _RunsOnError(
                f"no longer waiting ({type(error).__name__}), but the job was not ended and still "
                f"publishes in {job.shown}; cancel it where it runs"
            ) from error
    if state not in (None, PipelineState.DONE):
        raise _EndedError(f"the job ended as {state}")
    counts, stages = (_counters(result, namespace) for namespace in (NAMESPACE, STAGES))
    return counts, stages


def _runs_on(result: PipelineResult) -> bool:
    try:
        return not PipelineState.is_terminal(result.state)
    except Exception:  # whom we can't ask
        return True


def _counters(result: PipelineResult, namespace: str) -> Counts:
    found = result.metrics().query(beam.metrics.MetricsFilter().with_namespace(namespace))
    return add_counts({c.key.metric.name: c.result} for c in found["counters"])  # of all steps


def run(main: Callable[[], int]) -> None:
    """The console script: `main`, then out at once, whatever threads an interrupted runner left."""
    status = main()
    atexit._run_exitfuncs()  # ends a job server that the runner has started, such as Prism
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
