"""The main job: message and session exports in, six records per closed session out."""

import atexit
import contextlib
import logging
import os
import sys
from collections.abc import Sequence

logging.basicConfig(level=logging.ERROR)  # before Beam, which has a lot to say when it is imported

import apache_beam as beam  # noqa: E402
from apache_beam.runners.runner import PipelineResult, PipelineState  # noqa: E402
from rich.console import Console  # noqa: E402

from pipelines import console, options  # noqa: E402
from transforms import ComputeSessionMetrics, ReadMessagesAndSessions, coders, publishing  # noqa: E402
from transforms.batches import Counts  # noqa: E402
from transforms.counting import NAMESPACE, STAGES, add_counts  # noqa: E402
from transforms.errors import JobError, find_job_error  # noqa: E402

PUBLISHED, FAILED, USAGE = 0, 1, 2


def build(pipeline: beam.Pipeline, job: options.Job) -> beam.PCollection:
    """Adds the whole job to a pipeline; gives the counts of the run, once published."""
    read = ReadMessagesAndSessions(job.read_messages, job.read_sessions)
    return (
        pipeline
        | "ReadMessagesAndSessions" >> read
        | "ComputeSessionMetrics" >> ComputeSessionMetrics(job.policy)
        | "WriteMetrics" >> job.write_metrics
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job that a command line asks for; returns the exit status."""
    out = Console(stderr=True, highlight=False, soft_wrap=True)
    prepared: list[str] = []
    try:
        try:
            job = options.parse(sys.argv[1:] if argv is None else argv)
            for output in [] if job.is_dry_run else job.write_metrics.outputs:
                publishing.prepare(output)
                prepared.append(output)
            if job.write_metrics.summary and not job.is_dry_run:
                publishing.check_file(job.write_metrics.summary)
        except (options.UsageError, JobError) as error:
            out.print(f"session-metrics: {error}", markup=False)
            return USAGE
        with console.progress(out) if job.runs_here else contextlib.nullcontext():
            counted = _run(job)
    except SystemExit as end:  # --help
        return int(end.code or 0)
    except _RunsOnError as error:
        prepared.clear()  # the job has its files there
        failure = str(error)
    except (KeyboardInterrupt, Exception) as error:
        failure = _explain(error)
    else:
        if counted is None:
            prepared.clear()
            out.print(f"session-metrics: {job.handed_over}", markup=False)
            return PUBLISHED
        counts, stages = counted
        out.print(console.closing_table(counts))
        if table := console.stage_table(stages):
            out.print(table)
        out.print(f"published in {job.write_metrics.shown}", markup=False)
        if not job.write_metrics.keep_files and any("_rejected_" in name for name in counts):
            out.print(f"rejects are in {job.write_metrics.rejects_directory}", markup=False)
        return PUBLISHED
    finally:
        for output in prepared:
            publishing.discard(output)
    out.print(f"session-metrics: {failure}", markup=False)
    return FAILED


def _explain(error: BaseException) -> str:
    """The one line for what ended a run; where that is no line's matter, the traceback is logged."""
    if isinstance(error, KeyboardInterrupt) or "KeyboardInterrupt" in str(error):  # in a worker
        return "interrupted; nothing was published"
    if found := find_job_error(error):
        return found
    logging.getLogger(__name__).error("The pipeline failed", exc_info=error)
    return f"the pipeline failed: {type(error).__name__}; nothing was published"


class _RunsOnError(Exception):
    """The job can't be waited for any more, and has not ended. The text is one line."""


def _run(job: options.Job) -> tuple[Counts, Counts] | None:
    """Runs the job; returns what became of rows, and what went through each stage.

    Returns None where the job's end is not to be waited for.
    """
    # A worker in this process logs what it raises; the reader gets one line of it, from `main`.
    for name, level in (("apache_beam", logging.INFO), ("apache_beam.io", logging.WARNING)):
        logging.getLogger(name).setLevel(logging.CRITICAL if job.runs_here else level)
    with coders.spilling() if job.runs_here else contextlib.nullcontext():
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
                f"publishes in {job.write_metrics.shown}; cancel it where it runs"
            ) from error
    if state not in (None, PipelineState.DONE):
        raise JobError(f"the job ended as {state}; nothing was published")
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


def run() -> None:
    """The console script: `main`, then out at once, whatever threads an interrupted runner left."""
    status = main()
    atexit._run_exitfuncs()  # ends a job server that the runner has started, such as Prism
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    run()
