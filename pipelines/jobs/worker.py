r"""An SDK worker as a process of its own, started by a runner on each machine: `session-metrics-worker`.

    session-metrics --runner FlinkRunner --flink_master jobmanager:8081 --environment_type PROCESS \
        --environment_config '{"command": "session-metrics-worker"}' ...

A runner gives it an id, and the endpoint at which all else is to be asked for. A container of Beam's does
the same with a program in Go, `boot`, which also installs packages; here they are installed already.
"""

import argparse
import os
import sys
from collections.abc import Sequence

import grpc
from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc
from apache_beam.runners.worker import sdk_worker_main
from google.protobuf import json_format, text_format

_ANSWER_S = 60
"""How long the runner may take to answer."""


def environment_of(worker_id: str, endpoint: str) -> dict[str, str]:
    """Asks the runner for what a worker must know; gives it as the variables that Beam's worker reads.

    Args:
      worker_id: the id that the runner has given to the worker.
      endpoint: the runner's provision service, HOST:PORT.

    Raises:
      grpc.RpcError: the runner does not answer.
    """
    with grpc.insecure_channel(endpoint) as channel:
        service = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        answer = service.GetProvisionInfo(
            beam_provision_api_pb2.GetProvisionInfoRequest(),
            metadata=[("worker_id", worker_id)],
            timeout=_ANSWER_S,
            wait_for_ready=True,
        )
    info = answer.info
    endpoints = {
        "CONTROL_API_SERVICE_DESCRIPTOR": info.control_endpoint,
        "LOGGING_API_SERVICE_DESCRIPTOR": info.logging_endpoint,
        "STATUS_API_SERVICE_DESCRIPTOR": info.status_endpoint,
    }
    return {
        "WORKER_ID": worker_id,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
        **{name: text_format.MessageToString(one) for name, one in endpoints.items() if one.url},
    }


def main(argv: Sequence[str]) -> int:
    """Works until the runner ends the worker; returns the exit status."""
    parser = argparse.ArgumentParser(
        "session-metrics-worker",
        description="A worker that a runner starts, where --environment_type is PROCESS.",
        allow_abbrev=False,
    )
    parser.add_argument("--id", required=True, help="the worker's id")
    parser.add_argument(
        "--provision_endpoint", required=True, metavar="HOST:PORT", help="the runner's service"
    )
    # Some runners name the other endpoints, too, which the answer has as well.
    args, _ = parser.parse_known_args(argv)
    try:
        # Prism puts the id in quotes, as for a shell, which there is none.
        os.environ.update(environment_of(args.id.strip("'"), args.provision_endpoint))
    except grpc.RpcError as error:
        print(f"{parser.prog}: {args.provision_endpoint}: {error.details()}", file=sys.stderr)
        return 1
    sdk_worker_main.main(sys.argv)
    return 0


def run() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))
