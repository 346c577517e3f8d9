"""The main job on Flink, and its output when a part of the cluster dies."""

import os
import signal

import pytest

from tests.support import flink, portable
from tests.support.cli import output_bytes
from tests.support.portable import end_of
from tests.support.watching import files_of, watching

if not flink.JAR:
    pytest.skip(
        "FLINK_JOB_SERVER_JAR names no job server of Beam's for Flink", allow_module_level=True
    )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with flink.running(tmp_path_factory.mktemp("flink")) as running:
        yield running


@pytest.mark.parametrize("parallelism", [1, 2, 4])
def test_the_same_bytes(parallelism, cluster, same_bytes):
    same_bytes(*cluster.options, f"--parallelism={parallelism}")


def test_a_mistake_is_told_in_one_line(cluster, one_line):
    one_line(*cluster.options)


def test_the_command_dies_and_the_next_run_is_not_overwritten(cluster, job, same_bytes, published):
    """Its job goes on without it, and finds that the output is no longer its own."""
    options = [*cluster.options, "--parallelism=2"]
    left = job.start(published, *options, "--rounding=floor")
    try:
        cluster.wait_for_work()
        left.kill()
        same_bytes(*options, output=published)
        expected = output_bytes(published)
        cluster.wait_for_the_end_of_jobs()
        assert output_bytes(published) == expected
        assert not (published.parent / f".{published.name}.staging").exists()
    finally:
        # The job server that it has started lives in its group.
        os.killpg(left.pid, signal.SIGKILL)
        left.communicate()


def test_a_job_that_is_interrupted_is_cancelled(cluster, job, published):
    earlier = output_bytes(published)
    running = job.start(published, *cluster.options, "--parallelism=2")
    cluster.wait_for_work()
    running.send_signal(signal.SIGINT)
    done = end_of(running)
    assert done.status == 1
    assert done.last_words == (
        "session-metrics: interrupted; the job ended as CANCELED; nothing was published"
    )
    cluster.wait_for_the_end_of_jobs()
    assert output_bytes(published) == earlier
    assert not (published.parent / f".{published.name}.staging").exists()


def test_the_job_server_dies_and_the_job_goes_on(cluster, job, expected, published):
    running = job.start(published, *cluster.options, "--parallelism=2")
    cluster.wait_for_work()
    (server,) = portable.children_of(running.pid)
    os.kill(server, signal.SIGKILL)
    done = end_of(running)
    assert done.status == 1
    assert done.last_words.startswith("session-metrics: the job service does not answer any more (")
    assert done.last_words.endswith(
        f"); if the job runs on, it publishes in {published}: cancel it where it runs"
    )
    cluster.wait_for_the_end_of_jobs()
    without_summary = {name: data for name, data in expected.items() if name != "summary.json"}
    assert output_bytes(published) == without_summary


REASONS = {  # options: what the last line says
    ("--parallelism=8",): "the cluster has fewer free slots than --parallelism asks for",
    ("--environment_type=PROCESS", '--environment_config={"command": "/nowhere/worker"}'): (
        "/nowhere/worker of --environment_config is no program there"
    ),
    ("--environment_type=EXTERNAL", "--environment_config=127.0.0.1:1"): (
        "nobody answers at 127.0.0.1:1; with --environment_type EXTERNAL a worker pool must be there"
    ),
    ("--environment_type=DOCKER", "--environment_config=beam"): (
        "there is no Docker, which workers need unless --environment_type is EXTERNAL or PROCESS"
    ),
}


@pytest.mark.parametrize(("options", "reason"), REASONS.items(), ids=map(str, range(len(REASONS))))
def test_the_last_line_says_why(options, reason, cluster, job, tmp_path):
    names = {option.partition("=")[0] for option in options}
    others = [one for one in cluster.options if one.partition("=")[0] not in names]
    done = job.run(tmp_path / "out", *others, *options)
    assert done.status == 1
    assert done.last_words == (
        f"session-metrics: the pipeline failed: {reason}; nothing was published"
    )


TOO_LITTLE = {
    "heap": "a TaskManager was lost",
    "direct memory": (
        "a TaskManager ran out of direct memory; give it more of taskmanager.memory.task.off-heap.size"
    ),
    "network buffers": (
        "Flink has too few network buffers; give each TaskManager more of taskmanager.memory.network"
    ),
}


@pytest.mark.parametrize(("lacks", "reason"), TOO_LITTLE.items(), ids=TOO_LITTLE)
def test_too_little_memory(lacks, reason, job, tmp_path):
    (tmp_path / "flink").mkdir()
    with flink.running(tmp_path / "flink", lacks=lacks) as cluster:
        done = job.run(tmp_path / "out", *cluster.options, "--parallelism=4")
    assert done.status == 1
    assert done.last_words == (
        f"session-metrics: the pipeline failed: {reason}; nothing was published"
    )
    assert not (tmp_path / "out").exists()


def test_a_task_manager_dies(job, same_bytes, published, tmp_path):
    earlier = output_bytes(published)
    (tmp_path / "flink").mkdir()
    with flink.running(tmp_path / "flink") as cluster:
        options = [*cluster.options, "--parallelism=4"]
        with watching(published) as seen:
            running = job.start(published, *options)
            cluster.wait_for_work()
            cluster.kill("two")
            done = end_of(running)
        assert done.status == 1
        assert done.last_words == (
            "session-metrics: the pipeline failed: a TaskManager was lost; nothing was published"
        )
        assert output_bytes(published) == earlier
        assert seen == {files_of(published)}
        assert not (published.parent / f".{published.name}.staging").exists()
        cluster.start_task_manager("three")
        cluster.wait_for_task_managers("one", "three")
        same_bytes(*options, output=published)


def test_a_task_manager_dies_and_flink_starts_the_job_anew(job, expected, published, tmp_path):
    (tmp_path / "flink").mkdir()
    before = files_of(published)
    with flink.running(tmp_path / "flink", restarts=True) as cluster:
        options = [*cluster.options, "--parallelism=4"]
        with watching(published) as seen:
            running = job.start(published, *options, f"--summary={published}/summary.json")
            cluster.wait_for_work()
            cluster.kill("two")
            cluster.start_task_manager("three")
            done = end_of(running, within_s=300)
            after = files_of(published)
        assert done.status == 0, "\n".join(done.said[-40:])
        assert output_bytes(published) == expected
        without_summary = frozenset(file for file in after if file[0] != "summary.json")
        assert seen <= {before, without_summary, after}
