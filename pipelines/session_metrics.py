"""The main job: message and session exports in, six records per closed session out."""

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
from transforms.counting import NAMESPACE, STAGES  # noqa: E402
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
            for output in job.write_metrics.outputs:
                publishing.prepare(output)
                prepared.append(output)
        except (options.UsageError, JobError) as error:
            out.print(f"session-metrics: {error}", markup=False)
            return USAGE
        with console.progress(out):
            counts, stages = _run(job)
    except SystemExit as end:  # --help
        return int(end.code or 0)
    except (KeyboardInterrupt, Exception) as error:
        failure = _explain(error)
    else:
        out.print(console.closing_table(counts))
        if table := console.stage_table(stages):
            out.print(table)
        out.print(f"published in {job.write_metrics.output}", markup=False)
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


def _run(job: options.Job) -> tuple[Counts, Counts]:
    """Runs the job; returns what became of rows, and what went through each stage."""
    # A worker in this process logs what it raises; the reader gets one line of it, from `main`.
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL if job.runs_here else logging.INFO)
    with coders.spilling() if job.runs_here else contextlib.nullcontext():
        pipeline = beam.Pipeline(options=job.beam_options)
        build(pipeline, job)
        result = pipeline.run()
        state = result.wait_until_finish()
    if state not in (None, PipelineState.DONE):
        raise JobError(f"the job ended as {state}; nothing was published")
    counts, stages = (_counters(result, namespace) for namespace in (NAMESPACE, STAGES))
    return counts, stages


def _counters(result: PipelineResult, namespace: str) -> Counts:
    found = result.metrics().query(beam.metrics.MetricsFilter().with_namespace(namespace))
    return dict(sorted((c.key.metric.name, c.result) for c in found["counters"]))


def run() -> None:
    """The console script: `main`, then out at once, whatever threads an interrupted runner left."""
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    run()
