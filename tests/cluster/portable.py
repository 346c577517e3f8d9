"""A cluster on the loopback interface: Prism as the job service, and a pool that starts SDK workers.

The job, the service and the worker are processes apart, as on any cluster that speaks Beam's portable
job interface: what they share is the filesystem.
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
from typing import TypeVar

PRISM = pathlib.Path(__file__).parent.parent.parent / "build" / "cluster" / "prism"
DEADLINE_S = 30
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")

T = TypeVar("T")


def wait_for(what: str, look: Callable[[], T]) -> T:
    """Looks until there is something; returns it."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if found := look():
                return found
        time.sleep(0.005)
    raise TimeoutError(f"{what}: not within {DEADLINE_S} s")


class Cluster:
    """Its processes run until `close`; their logs are in `directory`."""

    def __init__(self, directory: pathlib.Path):
        service, pool = (f"127.0.0.1:{port}" for port in _free_ports(2))
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
        """The process id of the job's SDK worker, once there is one."""
        threads = pathlib.Path(f"/proc/{self.processes['pool'].pid}/task")

        def started() -> list[int]:
            found = [path.read_text().split() for path in threads.glob("*/children")]
            return sorted(int(process) for some in found for process in some)

        return wait_for("a worker", started)[-1]

    def kill(self, name: str) -> None:
        """Ends a process as a power cut would."""
        process = self.processes[name]
        process.send_signal(signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        """Ends what was started."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def cpu_s(process: int) -> float:
    """Seconds of processor time that a process has had."""
    fields = _stat(process)
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def has_ended(process: int) -> bool:
    """Whether a process is no more, or only its exit status is."""
    try:
        return _stat(process)[0] == "Z"
    except OSError:
        return True


def _stat(process: int) -> list[str]:
    return pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def _listens(host: str, port: int) -> bool:
    with socket.create_connection((host, port), timeout=1):
        return True


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def running(directory: pathlib.Path) -> Iterator[Cluster]:
    """A cluster while the context lasts."""
    cluster = Cluster(directory)
    try:
        yield cluster
    finally:
        cluster.close()
