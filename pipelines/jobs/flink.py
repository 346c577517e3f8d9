"""Flink's JobManager, asked by its REST API for what Beam's job server does not do or tell.

The API, with the states of a job: https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api
"""

import json
import urllib.request
from typing import Any

from apache_beam.options.pipeline_options import FlinkRunnerOptions, PipelineOptions

ENDED = {"CANCELED", "FAILED", "FINISHED"}
"""The states of a job that has ended."""


def find_jobs(options: PipelineOptions, job_id: str) -> dict[str, str]:
    """The URL and the state of each job of a name: one job, unless `--job_name` was given before.

    Args:
      options: Beam's options; `flink_master` names the JobManager, else there are none.
      job_id: what the job server calls the job: Flink's name of it, `_` and a random part.

    Raises:
      OSError: the JobManager does not answer.
    """
    master = options.view_as(FlinkRunnerOptions).flink_master
    # Words such as [auto] stand for a Flink of the job server's own.
    if ":" not in master:
        return {}
    url = master if "://" in master else f"http://{master}"
    name = job_id.rpartition("_")[0]
    jobs = _ask(f"{url}/jobs/overview")["jobs"]
    return {f"{url}/jobs/{job['jid']}": job["state"] for job in jobs if job["name"] == name}


def cancel(job: str) -> None:
    """Has a job cancelled; does not wait."""
    _ask(f"{job}?mode=cancel", "PATCH")


def state_of(job: str) -> str:
    """The state of a job."""
    return _ask(job)["state"]


def failures_of(options: PipelineOptions, job_id: str) -> list[str]:
    """The error for which a job has failed, with all its causes; none if it is not known for sure.

    The job server hands over only the first cause, such as `error=2, No such file or directory`.
    For the arguments and the errors see `find_jobs`.
    """
    jobs = list(find_jobs(options, job_id))
    errors = [_ask(f"{job}/exceptions").get("root-exception") for job in jobs]
    return [error for error in errors if error and len(jobs) == 1]


def _ask(url: str, method: str = "GET") -> Any:
    request = urllib.request.Request(url, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or b"null")
