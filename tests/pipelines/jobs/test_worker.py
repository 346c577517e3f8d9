"""A worker that is a process of its own. `tests/cluster` runs the job with such workers."""

import concurrent.futures
import json
import os

import grpc
import pytest
from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc
from apache_beam.runners.worker import sdk_worker_main

from pipelines.jobs import worker


class Runner(beam_provision_api_pb2_grpc.ProvisionServiceServicer):
    """Says what a worker must know."""

    def GetProvisionInfo(self, request, context):  # noqa: N802  (the name in the service)
        self.asked_by = dict(context.invocation_metadata())["worker_id"]
        answer = beam_provision_api_pb2.GetProvisionInfoResponse()
        answer.info.control_endpoint.url = "runner:1"
        answer.info.logging_endpoint.url = "runner:2"
        answer.info.runner_capabilities.extend(["one", "two"])
        answer.info.pipeline_options.update({"beam:option:job_name:v1": "nightly"})
        return answer


@pytest.fixture
def runner():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    runner = Runner()
    beam_provision_api_pb2_grpc.add_ProvisionServiceServicer_to_server(runner, server)
    runner.endpoint = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield runner
    server.stop(None)


@pytest.mark.parametrize("worker_id", ["1-1", "'1-1'"])
def test_what_the_runner_says_is_what_beams_worker_reads(worker_id, runner, monkeypatch):
    monkeypatch.setattr(os, "environ", {"HOME": "/root"})
    begun = []
    monkeypatch.setattr(sdk_worker_main, "main", lambda _: begun.append(dict(os.environ)))
    words = [
        f"--id={worker_id}",
        f"--provision_endpoint={runner.endpoint}",
        "--control_endpoint=x:1",
    ]
    assert worker.main(words) == 0
    assert runner.asked_by == "1-1"
    (found,) = begun
    options = json.loads(found.pop("PIPELINE_OPTIONS"))
    assert options == {"beam:option:job_name:v1": "nightly"}
    assert found == {
        "HOME": "/root",
        "WORKER_ID": "1-1",
        "RUNNER_CAPABILITIES": "one two",
        "CONTROL_API_SERVICE_DESCRIPTOR": 'url: "runner:1"\n',
        "LOGGING_API_SERVICE_DESCRIPTOR": 'url: "runner:2"\n',
    }


def test_nobody_answers(monkeypatch, capsys):
    monkeypatch.setattr(worker, "_ANSWER_S", 0.01)
    assert worker.main(["--id=1-1", "--provision_endpoint=127.0.0.1:1"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("session-metrics-worker: 127.0.0.1:1: ") and said.count("\n") == 1
