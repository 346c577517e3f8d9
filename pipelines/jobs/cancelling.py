"""Ends a job that runs elsewhere, where it is sure that it ends: on Dataflow and on Flink."""

import time
from collections.abc import Callable
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineState

from pipelines.jobs import flink
from pipelines.jobs.beam_options import runner_of

_LONGEST_S = 300.0
_EACH_S = 1.0


def cancel(options: PipelineOptions, result: Any) -> str | None:
    """Cancels a job, and waits until it has ended.

    Beam's own `cancel` is not enough for Flink: its job server says that the job is cancelled, and Flink
    goes on.

    Args:
      options: Beam's options.
      result: the job, a `PipelineResult` of its runner.

    Returns:
      The state in which it has ended, which may be that it was done already; None if it is not sure
      that it has ended.
    """
    if runner_of(options) == "dataflowrunner":
        result.cancel()
        return _wait(lambda: str(result.state), PipelineState.is_terminal)
    jobs = flink.find_jobs(options, result._job_id)
    running = [job for job, state in jobs.items() if state not in flink.ENDED]
    if len(running) != 1:
        return None
    flink.cancel(running[0])
    return _wait(lambda: flink.state_of(running[0]), flink.ENDED.__contains__)


def _wait(state_of: Callable[[], str], has_ended: Callable[[str], bool]) -> str | None:
    end = time.monotonic() + _LONGEST_S
    while not has_ended(state := state_of()):
        if time.monotonic() > end:
            return None
        time.sleep(_EACH_S)
    return state
