"""Why a job that runs elsewhere has failed: the reason, found in what the runner says and logs."""

import contextlib
import logging
import re
from collections.abc import Iterable, Iterator

import grpc

_MOST_LOGGED = 1000

_KNOWN = {
    r"Insufficient number of network buffers": (
        "Flink has too few network buffers; give each TaskManager more of taskmanager.memory.network"
    ),
    r"OutOfMemoryError: Metaspace": "a TaskManager's metaspace is full; start it anew",
    r"OutOfMemoryError: (?:Direct buffer memory|Can't allocate enough direct buffer"
    r"|Cannot reserve \d+ bytes of direct buffer)|OutOfDirectMemoryError": (
        "a TaskManager ran out of direct memory; give it more of taskmanager.memory.task.off-heap.size"
    ),
    r"OutOfMemoryError": "a TaskManager ran out of memory; give it more of taskmanager.memory",
    r"NoResourceAvailableException|Could not acquire the minimum required resources": (
        "the cluster has fewer free slots than --parallelism asks for"
    ),
    # Flink says it in other words for each step in which it notices it.
    r"Connection unexpectedly closed by remote task manager|remote task manager (?:was|has been) lost"
    r"|Connecting to remote task manager .* has failed|Lost connection to task manager"
    r"|Sending the partition request to .* failed|Heartbeat of TaskManager"
    r"|TaskManager .* is no longer reachable|TaskManager\) for deployment is no longer alive"
    r"|TaskManager \(.*\) not responding|This indicates a restart of the TaskManager"
    r"|The TaskExecutor is shutting down|RemoteRpcInvocation\(TaskExecutorGateway\.": (
        "a TaskManager was lost"
    ),
    r'Cannot run program "docker"|"docker": executable file not found'
    r"|failed to connect to the docker API|Cannot connect to the Docker daemon": (
        "there is no Docker, which workers need unless --environment_type is EXTERNAL or PROCESS"
    ),
    r'Cannot run program "([^"]+)"|"([^"]+)": executable file not found': (
        "{0} of --environment_config is no program there"
    ),
    r"Connection refused: \S*?([\w.-]+:\d+)": (
        "nobody answers at {0}; with --environment_type EXTERNAL a worker pool must be there"
    ),
    r"(?:HTTP Error 404|Unable to fetch remote job server jar)": (
        "the jar of the job server can't be had; name one with --flink_job_server_jar"
    ),
}
"""What is found in an error, and what it means."""

# The text of a runner; that of a worker in Python, which may have a customer's words, has a traceback.
_OF_RUNNER = re.compile(r"failed in state \w+: ([^\n]+)")
_MOST_CHARACTERS = 300

# An error of Java's names its class with its package.
_CAUSE = re.compile(r"Caused by: (?:[\w$]+\.)+([\w$]+)(?:: ([^\n]+))?")

# A worker says so, for instance where a thread of its TaskManager found no memory.
_CLOSED = "RuntimeError: Channel closed prematurely"


@contextlib.contextmanager
def logged_errors() -> Iterator[list[str]]:
    """Keeps the texts of what Beam logs as a warning or an error meanwhile, the last ones of many."""
    found: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())
            del found[:-_MOST_LOGGED]

    handler = Keep(logging.WARNING)
    logger = logging.getLogger("apache_beam")
    logger.addHandler(handler)
    try:
        yield found
    finally:
        logger.removeHandler(handler)


def reason_of(error: BaseException, logged: Iterable[str] = ()) -> str | None:
    """The reason for the failure of a job; None if none is found.

    >>> reason_of(RuntimeError("... Caused by: java.io.IOException: Disk quota exceeded"))
    'IOException: Disk quota exceeded'
    >>> reason_of(RuntimeError("Pipeline job-1 failed in state FAILED: no such environment"))
    'no such environment'

    Args:
      error: what was raised.
      logged: what was logged before.
    """
    texts = [str(error), *reversed(list(logged))]
    for sought, reason in _KNOWN.items():
        for text in texts:
            if match := re.search(sought, text):
                return reason.format(next(filter(None, match.groups()), ""))
    for text in texts:
        # The last one is the first cause.
        for name, said in reversed(_CAUSE.findall(text)):
            said, of_worker, _ = said.partition(": Traceback (most recent call last)")
            if of_worker and _CLOSED in text:
                return "a worker lost its connection to the runner"
            return f"{name}: {said.strip()}"[:_MOST_CHARACTERS] if said else name
    if "Traceback" not in texts[0] and (match := _OF_RUNNER.search(texts[0])):
        return match[1][:_MOST_CHARACTERS]
    return None


def briefly(error: BaseException) -> str:
    """An error in a few words: of a service its status, such as `UNAVAILABLE: Socket closed`."""
    if isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call):
        return f"{error.code().name}: {error.details()}"
    return type(error).__name__
