"""Why a job that runs elsewhere has failed."""

import logging

import pytest

from pipelines.jobs.failures import logged_errors, reason_of

JAVA = """Pipeline failed in state FAILED: java.util.concurrent.ExecutionException: {}
\tat org.apache.flink.runtime.Execution.deploy(Execution.java:1)
"""

FOUND = {
    "java.io.IOException: Insufficient number of network buffers: required 512, but only 40 available.": (
        "Flink has too few network buffers; give each TaskManager more of taskmanager.memory.network"
    ),
    "java.lang.OutOfMemoryError: Java heap space": (
        "a TaskManager ran out of memory; give it more of taskmanager.memory"
    ),
    "java.lang.OutOfMemoryError: Metaspace": "a TaskManager's metaspace is full; start it anew",
    "java.lang.OutOfMemoryError: Direct buffer memory": (
        "a TaskManager ran out of direct memory; give it more of taskmanager.memory.task.off-heap.size"
    ),
    "o.a.f.NoResourceAvailableException: Could not acquire the minimum required resources.": (
        "the cluster has fewer free slots than --parallelism asks for"
    ),
    "java.util.concurrent.TimeoutException: Heartbeat of TaskManager with id tm-1 timed out.": (
        "a TaskManager was lost"
    ),
    'java.io.IOException: Cannot run program "docker": error=2': (
        "there is no Docker, which workers need unless --environment_type is EXTERNAL or PROCESS"
    ),
    'fork/exec: "session-metrics-worke": executable file not found in $PATH': (
        "session-metrics-worke of --environment_config is no program there"
    ),
    "HTTP Error 404: Not Found": (
        "the jar of the job server can't be had; name one with --flink_job_server_jar"
    ),
    "x\nCaused by: java.lang.A: one\nCaused by: java.net.ConnectException: Connection refused: h/1:2\n": (
        "ConnectException: Connection refused: h/1:2"
    ),
    "x\nCaused by: java.lang.InterruptedException\n": "InterruptedException",
}


@pytest.mark.parametrize(("text", "reason"), FOUND.items(), ids=map(str, range(len(FOUND))))
def test_a_reason_is_found_in_the_error_or_in_what_was_logged(text, reason):
    assert reason_of(RuntimeError(JAVA.format(text))) == reason
    assert reason_of(RuntimeError("failed"), ["begun", JAVA.format(text), "ended"]) == reason


def test_no_reason():
    """An error of a worker in Python may have a customer's words in its text."""
    error = RuntimeError("Traceback (most recent call last):\npyarrow.lib.ArrowInvalid: 'my words'")
    assert reason_of(error, ["job ended"]) is None


def test_what_beam_logs_is_kept(caplog):
    logger = logging.getLogger("apache_beam.runners")
    with caplog.at_level(logging.INFO, "apache_beam"), logged_errors() as found:
        logger.info("begun")
        logger.error("failed: %s", "why")
    logger.error("later")
    assert found == ["failed: why"]
