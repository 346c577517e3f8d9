"""The main job on Flink, and its output when a part of the cluster dies."""

import os
import signal

import pytest

from tests.support import flink, portable
from tests.support.cli import output_bytes
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


def test_a_task_manager_dies(job, same_bytes, published, tmp_path):
    earlier = output_bytes(published)
    (tmp_path / "flink").mkdir()
    with flink.running(tmp_path / "flink") as cluster:
        options = [*cluster.options, "--parallelism=4"]
        with watching(published) as seen:
            running = job.start(published, *options)
            cluster.wait_for_work()
            cluster.kill("two")
            done = portable.end_of(running)
        assert done.status == 1
        assert done.last_words.startswith("session-metrics: ")
        assert done.last_words.endswith("nothing was published")
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
            done = portable.end_of(running, within_s=300)
            after = files_of(published)
        assert done.status == 0, "\n".join(done.said[-40:])
        assert output_bytes(published) == expected
        without_summary = frozenset(file for file in after if file[0] != "summary.json")
        assert seen <= {before, without_summary, after}
