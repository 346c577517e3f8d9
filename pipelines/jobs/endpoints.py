"""The servers that a job is submitted to: whether anybody answers there."""

import socket
import time
import urllib.parse

from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    PipelineOptions,
    PortableOptions,
)

from pipelines.command_line import UsageError

_WAIT_S = 8.0
"""How long a server may take to begin: it may have been started just before the command."""


def check_endpoints(options: PipelineOptions) -> None:
    """Looks whether the servers that the options name take connections; Beam itself waits for minutes.

    Raises:
      UsageError: one does not, for some seconds.
    """
    places = {
        "job_endpoint": options.view_as(PortableOptions).job_endpoint,
        "flink_master": options.view_as(FlinkRunnerOptions).flink_master,
    }
    for option, place in places.items():
        # Words stand for a server that Beam starts itself: [auto], [local], embed.
        if place and ":" in place and (problem := _problem_at(place, _WAIT_S)):
            raise UsageError(f"--{option} {place}: {problem}")


def is_of_this_machine(place: str | None) -> bool:
    """Whether HOST:PORT is an address that no other machine has."""
    host = urllib.parse.urlsplit(f"//{place}").hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def pool_problem(options: PipelineOptions) -> str | None:
    """That nobody answers at the worker pool, seen from this machine; None if somebody does.

    A pool may be one that only the runner can reach, so this is no reason to refuse a job. It may be the
    reason why one has failed: Prism ends where it finds no pool.
    """
    portable = options.view_as(PortableOptions)
    place = portable.environment_config
    if portable.environment_type != "EXTERNAL" or not place or place.startswith("{"):
        return None
    problem = _problem_at(place, 0.0)
    return problem and f"--environment_config {place}: {problem}"


def _problem_at(place: str, wait_s: float) -> str | None:
    """What is wrong with HOST:PORT, maybe with a scheme; None if somebody answers there."""
    parsed = urllib.parse.urlsplit(place if "//" in place else f"//{place}")
    try:
        host, port = parsed.hostname, parsed.port
    except ValueError:
        host = port = None
    if not host or not port:
        return "is not of the form HOST:PORT"
    end = time.monotonic() + wait_s
    while True:
        try:
            with socket.create_connection((host, port), timeout=max(0.5, end - time.monotonic())):
                return None
        except OSError as error:
            if time.monotonic() > end - 0.2 or isinstance(error, socket.gaierror):
                return f"nobody answers there ({error.strerror or error}); start the server first"
        time.sleep(0.2)
