"""A cluster on the loopback interface, and the main job as a command that runs on it.

Prism is the job service; a worker pool starts the SDK workers. The job, the service and the worker are
separate processes, as on any cluster with Beam's portable job interface. They share the filesystem only.
"""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from benchmarks import load
from tests.support.cli import ROOT

PRISM = ROOT / "build" / "cluster" / "prism"
BAD = "ConversationId,MessageIdentifier,ServerReceivedTimestamp,ActorType,EntryType\n" + "".join(
    f"0Mw{number},{number},yesterday,Agent,Text\n" for number in range(100)
)
DEADLINE_S = 30

T = TypeVar("T")


def wait_for(what: str, look: Callable[[], T], within_s: float = DEADLINE_S) -> T:
    """Calls `look` until it returns a true value; returns the value."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if found := look():
                return found
        time.sleep(0.005)
    raise TimeoutError(f"{what}: not within {within_s} s")


class Cluster:
    """The processes of a cluster, which run until `close`; `directory` has the logs of the processes."""

    def __init__(self, directory: pathlib.Path):
        service, pool = (f"127.0.0.1:{port}" for port in free_ports(2))
        self.options = [
            "--runner=PortableRunner",
            f"--job_endpoint={service}",
            "--environment_type=EXTERNAL",
            f"--environment_config={pool}",
        ]
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._directory = directory
        worker_pool = "apache_beam.runners.worker.worker_pool_main"
        try:
            self._start("service", service, str(PRISM), "--job_port={port}", "--serve_http=false")
            self._start("pool", pool, sys.executable, "-m", worker_pool, "--service_port={port}")
        except BaseException:
            self.close()
            raise

    def _start(self, name: str, address: str, *command: str) -> None:
        host, _, port = address.partition(":")
        # The pool starts its workers with the `python` that is found first.
        path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
        with (self._directory / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [word.replace("{port}", port) for word in command],
                env=os.environ | {"PATH": path},
                stdout=log,
                stderr=log,
            )
        wait_for(name, lambda: _listens(host, int(port)))

    def worker(self) -> int:
        """Waits for an SDK worker of the job; returns its process id."""
        pool = self.processes["pool"].pid
        return wait_for("a worker", lambda: children_of(pool))[-1]

    def kill(self, name: str) -> None:
        """Kills a process by a signal that it cannot handle."""
        process = self.processes[name]
        process.send_signal(signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        """Ends all processes of the cluster."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def children_of(process: int) -> list[int]:
    """The ids of the processes that a process has started, in order."""
    threads = pathlib.Path(f"/proc/{process}/task")
    found = [path.read_text().split() for path in threads.glob("*/children")]
    return sorted(int(child) for some in found for child in some)


def wait_for_work(worker: int, log: pathlib.Path) -> None:
    """Waits until a worker has a file of the job's log open."""

    def reads() -> bool:
        opened = [
            descriptor.readlink() for descriptor in pathlib.Path(f"/proc/{worker}/fd").iterdir()
        ]
        return any(path.is_relative_to(log) for path in opened)

    wait_for("a worker at work", reads)


def has_ended(process: int) -> bool:
    """Whether a process has ended, even if its exit status has not been collected."""
    try:
        stat = pathlib.Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def _listens(host: str, port: int) -> bool:
    with socket.create_connection((host, port), timeout=1):
        return True


def free_ports(number: int) -> list[int]:
    """Ports on which nobody listens."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def running(directory: pathlib.Path) -> Iterator[Cluster]:
    """A cluster that runs while the context lasts."""
    cluster = Cluster(directory)
    try:
        yield cluster
    finally:
        cluster.close()


class Done(NamedTuple):
    """The exit status of a run, and the lines that it printed to standard error."""

    status: int
    said: list[str]

    @property
    def last_words(self) -> str:
        # Another thread of the runner may have written a part of a line before it.
        return self.said[-1].strip()


class Job:
    """The main job on a log of messages; it writes a file for each day, and some rejects.

    Attributes:
      directory: of the log; the command runs in it.
    """

    def __init__(self, log: pathlib.Path):
        self.directory = log

    def start(self, output: pathlib.Path, *args: str) -> subprocess.Popen[str]:
        """Starts the job in a process and a process group of its own."""
        command = [
            *(sys.executable, "-m", "pipelines.session_metrics"),
            *("--messages", f"{self.directory}/messages-*.parquet", f"{self.directory}/bad.csv"),
            *("--sessions", f"{self.directory}/sessions.parquet"),
            *("--partition_by", "day", "--output", str(output), *args),
        ]
        return subprocess.Popen(
            command,
            cwd=self.directory,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, output: pathlib.Path, *args: str) -> Done:
        """Runs the job; returns when the job and all processes of its group have ended."""
        process = self.start(output, *args)
        done = end_of(process)
        wait_for("the end of all it has started", lambda: not _is_alive(process.pid))
        return done


def end_of(process: subprocess.Popen[str], within_s: float = 240) -> Done:
    """Waits for the end of a job; kills the whole process group if the job hangs."""
    try:
        said = process.communicate(timeout=within_s)[1]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return Done(process.returncode, said.splitlines())


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def make_log(directory: pathlib.Path, num_messages: int, by: str = "session") -> Job:
    """Writes a log of valid messages and 100 bad rows; returns the job that reads the log.

    Args:
      directory: a new or empty one.
      num_messages: how many are valid.
      by: what messages name, their `session` or their `conversation`; they are the same messages.
    """
    load.write(num_messages, "parquet", directory, by=by)
    (directory / "bad.csv").write_text(BAD)
    return Job(directory)
