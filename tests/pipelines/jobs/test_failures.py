"""Why a job that runs elsewhere has failed."""

import functools
import logging
import re
import socket

import grpc
import pytest

from pipelines.jobs.failures import briefly, logged_errors, reason_of

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
    **dict.fromkeys(
        [
            "java.lang.OutOfMemoryError: Direct buffer memory",
            "java.lang.OutOfMemoryError: Can't allocate enough direct buffer for batch shuffle",
            "java.lang.OutOfMemoryError: Cannot reserve 4194304 bytes of direct buffer memory (limit: 1)",
            "i.n.u.internal.OutOfDirectMemoryError: failed to allocate 4194304 byte(s) of direct memory",
        ],
        "a TaskManager ran out of direct memory; give it more of taskmanager.memory.task.off-heap.size",
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
    "unable to create container image x with docker, err: failed to connect to the docker API at unix:": (
        "there is no Docker, which workers need unless --environment_type is EXTERNAL or PROCESS"
    ),
    "HTTP Error 404: Not Found": (
        "the jar of the job server can't be had; name one with --flink_job_server_jar"
    ),
    "x\nCaused by: java.lang.A: one\nCaused by: java.io.IOException: Disk quota exceeded\n": (
        "IOException: Disk quota exceeded"
    ),
    "io.netty.AnnotatedConnectException: finishConnect(..): Connection refused: pool/10.0.0.1:2\n": (
        "nobody answers at 10.0.0.1:2; with --environment_type EXTERNAL a worker pool must be there"
    ),
    "Connecting to remote task manager 'h/10.0.0.2:3' has failed. Connection refused: h/10.0.0.2:3": (
        "a TaskManager was lost"
    ),
    "org.apache.flink.runtime.rpc.exceptions.RecipientUnreachableException: Could not send message "
    "[RemoteRpcInvocation(TaskExecutorGateway.submitTask(TaskDeploymentDescriptor, JobMasterId, Time))]"
    " from sender [Actor[pekko://flink/temp/x]] to recipient [Actor[pekko.tcp://flink@h]]": (
        "a TaskManager was lost"
    ),
    "java.util.concurrent.TimeoutException: Invocation of [RemoteRpcInvocation(TaskExecutorGateway."
    "submitTask(TaskDeploymentDescriptor, JobMasterId, Time))] at recipient [pekko.tcp://h] timed out.": (
        "a TaskManager was lost"
    ),
    "Target slot (TaskManager) for deployment is no longer alive.": "a TaskManager was lost",
    "Cannot deploy task GroupByKey (1/4) - TaskManager (two) not responding after a timeout of 10 s": (
        "a TaskManager was lost"
    ),
    "Lost connection to task manager 'h'. This indicates that the remote task manager was lost.": (
        "a TaskManager was lost"
    ),
    'java.io.IOException: Cannot run program "/opt/worker": error=2, No such file or directory': (
        "/opt/worker of --environment_config is no program there"
    ),
    "x\nCaused by: java.lang.InterruptedException\n": "InterruptedException",
    "Caused by: java.lang.RuntimeException: Error received from SDK harness for instruction 5: Traceback "
    "(most recent call last):\n  File x\n    raise RuntimeError('Channel closed prematurely.')\n"
    "RuntimeError: Channel closed prematurely.\n": "a worker lost its connection to the runner",
    "RuntimeError: Channel closed prematurely.\nCaused by: java.io.IOException: Disk quota exceeded\n": (
        "IOException: Disk quota exceeded"
    ),
    "Caused by: java.lang.RuntimeException: Error received from SDK harness for instruction 5: Traceback "
    "(most recent call last):\n  File x\nValueError: what a customer wrote\n": (
        "RuntimeException: Error received from SDK harness for instruction 5"
    ),
}


@pytest.mark.parametrize(("text", "reason"), FOUND.items(), ids=map(str, range(len(FOUND))))
def test_a_reason_is_found_in_the_error_or_in_what_was_logged(text, reason):
    assert reason_of(RuntimeError(JAVA.format(text))) == reason
    assert reason_of(RuntimeError("failed"), ["begun", JAVA.format(text), "ended"]) == reason


def test_no_reason():
    """An error of a worker in Python may have a customer's words in its text."""
    error = RuntimeError("Traceback (most recent call last):\npyarrow.lib.ArrowInvalid: 'my words'")
    assert reason_of(error, ["job ended"]) is None


def test_what_the_runner_says_is_the_reason_if_no_other_is_found():
    failed = "Pipeline job-001 failed in state {}: {}"
    error = RuntimeError(failed.format("FAILED", "no environment for job-001" + " x" * 200))
    assert reason_of(error) == ("no environment for job-001" + " x" * 200)[:300]
    worker = RuntimeError(failed.format("FAILED", "my words\nTraceback (most recent call last):"))
    assert reason_of(worker) is None


def test_a_long_cause_is_cut():
    error = RuntimeError("Caused by: java.io.IOException: for command " + "x" * 300)
    assert reason_of(error) == ("IOException: for command " + "x" * 300)[:300]


def test_the_status_of_a_service(unanswered):
    with pytest.raises(grpc.RpcError) as error:
        unanswered()
    assert re.fullmatch(r"UNAVAILABLE: .*Connection refused.*", briefly(error.value), re.DOTALL)
    assert briefly(KeyboardInterrupt()) == "KeyboardInterrupt"


@pytest.fixture
def unanswered():
    """Asks a service where there is none."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with grpc.insecure_channel(f"127.0.0.1:{bound.getsockname()[1]}") as channel:
            yield functools.partial(channel.unary_unary("/a.Service/ask"), b"")


def test_what_beam_logs_is_kept(caplog):
    logger = logging.getLogger("apache_beam.runners")
    with caplog.at_level(logging.INFO, "apache_beam"), logged_errors() as found:
        logger.info("begun")
        logger.error("failed: %s", "why")
    logger.error("later")
    assert found == ["failed: why"]
