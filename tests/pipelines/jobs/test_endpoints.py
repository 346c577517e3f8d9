"""The servers that a job is submitted to."""

import socket

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.command_line import UsageError
from pipelines.jobs import endpoints
from pipelines.jobs.endpoints import check_endpoints, pool_problem


@pytest.fixture
def server():
    """The address of a server that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def nobody():
    """An address at which nobody answers."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def test_servers_that_answer(server):
    for words in (
        ["--job_endpoint", server],
        ["--flink_master", server],
        ["--flink_master", f"http://{server}"],
        ["--flink_master", "[auto]", "--job_endpoint", "embed"],
        [],
    ):
        check_endpoints(PipelineOptions(words))


@pytest.mark.parametrize("option", ["job_endpoint", "flink_master"])
def test_nobody_answers(option, nobody, monkeypatch):
    monkeypatch.setattr(endpoints, "_WAIT_S", 0.0)
    with pytest.raises(UsageError) as error:
        check_endpoints(PipelineOptions([f"--{option}", nobody]))
    said = "nobody answers there (Connection refused); start the server first"
    assert str(error.value) == f"--{option} {nobody}: {said}"


@pytest.mark.parametrize("place", ["localhost:", "host:port", ":80", "localhost:99999"])
def test_what_is_no_address(place):
    with pytest.raises(UsageError, match="is not of the form HOST:PORT"):
        check_endpoints(PipelineOptions(["--job_endpoint", place]))


def test_a_worker_pool(server, nobody):
    external = ["--environment_type", "EXTERNAL", "--environment_config"]
    assert pool_problem(PipelineOptions([*external, nobody])) == (
        f"--environment_config {nobody}: nobody answers there (Connection refused); start the server "
        "first"
    )
    for words in (
        [*external, server],
        [*external, '{"url": "localhost:1"}'],
        ["--environment_type", "PROCESS", "--environment_config", nobody],
        ["--environment_type", "EXTERNAL"],
        [],
    ):
        assert pool_problem(PipelineOptions(words)) is None
