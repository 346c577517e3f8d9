"""Ends a job that runs elsewhere, where it is sure that it ends: on Dataflow and on Flink."""

import json
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from apache_beam.options.pipeline_options import FlinkRunnerOptions, PipelineOptions
from apache_beam.runners.runner import PipelineState

from pipelines.jobs.beam_options import runner_of

# Flink's own states, https://nightlies.apache.org/flink/flink-docs-stable/docs/internals/job_scheduling.
_ENDED = {"CANCELED", "FAILED", "FINISHED"}

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
    master = options.view_as(FlinkRunnerOptions).flink_master
    # Words such as [auto] stand for a Flink of the job server's own.
    if ":" in master:
        return _cancel_on_flink(master if "://" in master else f"http://{master}", result._job_id)
    return None


def _cancel_on_flink(master: str, job_id: str) -> str | None:
    """Cancels a job by Flink's REST API.

    Args:
      master: the URL of the JobManager.
      job_id: the job server's name of the job: Flink's, `_` and a random part.
    """
    name = job_id.rpartition("_")[0]
    found = [
        job["jid"]
        for job in _ask(f"{master}/jobs/overview")["jobs"]
        if job["name"] == name and job["state"] not in _ENDED
    ]
    if len(found) != 1:
        return None
    place = f"{master}/jobs/{found[0]}"
    _ask(f"{place}?mode=cancel", "PATCH")
    return _wait(lambda: _ask(place)["state"], _ENDED.__contains__)


def _ask(url: str, method: str = "GET") -> Any:
    request = urllib.request.Request(url, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or b"null")


def _wait(state_of: Callable[[], str], has_ended: Callable[[str], bool]) -> str | None:
    end = time.monotonic() + _LONGEST_S
    while not has_ended(state := state_of()):
        if time.monotonic() > end:
            return None
        time.sleep(_EACH_S)
    return state
