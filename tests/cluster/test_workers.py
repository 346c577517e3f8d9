"""The main job with workers in other processes, and its output when a part of the cluster dies."""

import json
import os
import pathlib
import re
import signal
import sys

import pytest

from tests.support import portable
from tests.support.cli import output_bytes
from tests.support.portable import end_of
from tests.support.watching import files_of, watching


@pytest.fixture
def cluster(tmp_path):
    directory = tmp_path / "cluster"
    directory.mkdir()
    with portable.running(directory) as running:
        yield running


def test_the_same_bytes(cluster, same_bytes):
    same_bytes(*cluster.options)


def test_a_relative_path_begins_where_the_command_runs(cluster, job, same_bytes, tmp_path):
    """The pool, whose workers write the files, has another working directory."""
    output = pathlib.Path(os.path.relpath(tmp_path / "relative", job.directory))
    same_bytes(*cluster.options, output=output)


def test_workers_that_the_runner_starts_as_processes(cluster, same_bytes):
    command = pathlib.Path(sys.executable).with_name("session-metrics-worker")
    config = json.dumps({"command": str(command)})
    runner = cluster.options[:2]
    same_bytes(*runner, "--environment_type=PROCESS", f"--environment_config={config}")


def test_a_mistake_is_told_in_one_line(cluster, one_line):
    one_line(*cluster.options)


def test_no_pool(cluster, job, tmp_path):
    """Prism ends where it finds none."""
    cluster.kill("pool")
    done = job.run(tmp_path / "out", *cluster.options)
    assert done.status == 1
    pool = cluster.options[-1].removeprefix("--environment_config=")
    assert done.last_words.endswith(
        f": cancel it where it runs. --environment_config {pool}: nobody answers there "
        "(Connection refused); start the server first"
    )


@pytest.fixture
def no_docker(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")


def test_no_docker(no_docker, cluster, job, tmp_path):
    done = job.run(tmp_path / "out", *cluster.options[:2], "--environment_type=DOCKER")
    assert done.status == 1
    assert done.last_words == (
        "session-metrics: the pipeline failed: there is no Docker, which workers need unless "
        "--environment_type is EXTERNAL or PROCESS; nothing was published"
    )


@pytest.mark.parametrize("when", ["at work", "files staged"])
def test_a_worker_dies(when, cluster, job, same_bytes, published):
    earlier = output_bytes(published)
    staging = published.parent / f".{published.name}.staging"
    with watching(published) as seen:
        running = job.start(published, *cluster.options)
        worker = cluster.worker()
        if when == "at work":
            portable.wait_for_work(worker, job.directory)
        if when == "files staged":
            portable.wait_for(when, lambda: list(staging.rglob("metrics-*")))
        os.kill(worker, signal.SIGKILL)
        done = end_of(running)
    assert done.status == 1
    assert done.last_words.startswith("session-metrics: the pipeline failed")
    assert done.last_words.endswith("nothing was published")
    assert output_bytes(published) == earlier
    assert seen == {files_of(published)}
    assert not staging.exists()
    same_bytes(*cluster.options, output=published)


def test_the_pool_dies_and_its_worker_goes_on(cluster, job, expected, tmp_path):
    output = tmp_path / "out"
    running = job.start(output, *cluster.options, f"--summary={output}/summary.json")
    worker = cluster.worker()
    portable.wait_for_work(worker, job.directory)
    cluster.kill("pool")
    assert end_of(running).status == 0
    assert output_bytes(output) == expected


def test_the_service_dies(cluster, job, same_bytes, published, tmp_path_factory):
    earlier = output_bytes(published)
    with watching(published) as seen:
        running = job.start(published, *cluster.options)
        worker = cluster.worker()
        portable.wait_for_work(worker, job.directory)
        cluster.kill("service")
        done = end_of(running)
        portable.wait_for("the worker's end", lambda: portable.has_ended(worker))
    assert done.status == 1
    assert re.fullmatch(
        r"session-metrics: the job service does not answer any more \(UNAVAILABLE: .*\); if the job "
        rf"runs on, it publishes in {published}: cancel it where it runs",
        done.last_words,
    )
    assert output_bytes(published) == earlier
    assert seen == {files_of(published)}
    with portable.running(tmp_path_factory.mktemp("another")) as another:
        same_bytes(*another.options, output=published)


def test_the_command_dies_and_the_next_run_is_not_overwritten(cluster, job, same_bytes, published):
    """Its job goes on without it, and finds that the output is no longer its own."""
    staging = published.parent / f".{published.name}.staging"
    left = job.start(published, *cluster.options, "--rounding=floor")
    worker = cluster.worker()
    portable.wait_for_work(worker, job.directory)
    left.kill()
    left.communicate()
    same_bytes(*cluster.options, output=published)
    expected = output_bytes(published)
    portable.wait_for("the end of the job", lambda: portable.has_ended(worker))
    assert output_bytes(published) == expected
    assert not staging.exists()


def test_a_reader_finds_the_earlier_output_or_the_new_one(cluster, same_bytes, published):
    before = files_of(published)
    with watching(published) as seen:
        same_bytes(*cluster.options, output=published)
        after = files_of(published)
    without_summary = frozenset(file for file in after if file[0] != "summary.json")
    assert before in seen and seen <= {before, without_summary, after}
