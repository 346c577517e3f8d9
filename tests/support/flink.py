"""A Flink cluster on the loopback interface: a JobManager, two TaskManagers, workers as processes.

The job server is the jar that `FLINK_JOB_SERVER_JAR` names. Flink's own jars, of the version that the job
server was built for, come from PyPI:

    FLINK_JOB_SERVER_JAR=beam-runners-flink-1.20-job-server.jar python -m tests.support.flink DIR

installs them in DIR/flink-1.20, unless they are there.
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from typing import Any

from pipelines.jobs.flink import ENDED
from tests.support.cli import ROOT
from tests.support.portable import free_ports, wait_for

JAR = os.environ.get("FLINK_JOB_SERVER_JAR", "")
if JAR:
    JAR = os.path.abspath(JAR)
DIRECTORY = ROOT / "build" / "cluster"

_START_S = 90
"""How long Flink's processes may take to start, and to notice that one of them is gone."""

# A file of Flink's own, which a job server has in it with the rest of Flink.
_PROPERTIES = ".flink-runtime.version.properties"

# What Flink's own scripts give to Java 17.
_JAVA_17 = [
    *(
        f"--add-exports={name}=ALL-UNNAMED"
        for name in (
            "java.base/sun.net.util",
            "java.rmi/sun.rmi.registry",
            "java.security.jgss/sun.security.krb5",
        )
    ),
    *(
        f"--add-opens=java.base/{name}=ALL-UNNAMED"
        for name in (
            "java.io",
            "java.lang",
            "java.lang.reflect",
            "java.net",
            "java.nio",
            "java.text",
            "java.time",
            "java.util",
            "java.util.concurrent",
            "java.util.concurrent.atomic",
            "java.util.concurrent.locks",
            "sun.nio.ch",
        )
    ),
]

# The memory of docs/cluster.md. Without Flink's scripts each part of it is to be given.
_SETTINGS = {
    "jobmanager.rpc.address": "127.0.0.1",
    "taskmanager.host": "127.0.0.1",
    "taskmanager.numberOfTaskSlots": 2,
    "taskmanager.load-balance.mode": "SLOTS",
    "taskmanager.cpu.cores": 2,
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.framework.off-heap.size": "128m",
    "taskmanager.memory.task.heap.size": "1100m",
    "taskmanager.memory.task.off-heap.size": "384m",
    "taskmanager.memory.managed.size": "128m",
    "taskmanager.memory.network.min": "256m",
    "taskmanager.memory.network.max": "256m",
    "taskmanager.memory.jvm-metaspace.size": "384m",
    "taskmanager.memory.jvm-overhead.min": "192m",
    "taskmanager.memory.jvm-overhead.max": "192m",
    # How long a job waits for slots.
    "slot.request.timeout": 20000,
    # A TaskManager that is killed is gone sooner than after Flink's own 50 s.
    "heartbeat.interval": 2000,
    "heartbeat.timeout": 20000,
}
_MEMORY = ["-Xmx1228m", "-XX:MaxDirectMemorySize=768m", "-XX:MaxMetaspaceSize=384m"]

# Too little for a million messages: settings, and options of the JVM.
TOO_LITTLE: dict[str, tuple[dict[str, str], list[str]]] = {
    # Otherwise it would depend on the thread that finds no room what becomes of the job, which may hang.
    "heap": (
        {"taskmanager.memory.task.heap.size": "24m"},
        ["-Xmx152m", "-XX:+ExitOnOutOfMemoryError"],
    ),
    "direct memory": ({}, ["-XX:MaxDirectMemorySize=290m"]),
    "network buffers": (
        dict.fromkeys(["taskmanager.memory.network.min", "taskmanager.memory.network.max"], "16m"),
        [],
    ),
}

_RESTARTS = {
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": 100,
    "restart-strategy.fixed-delay.delay": "1 s",
}

_LOG4J = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = console
appender.console.name = console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1} %m%n
"""


def version_of(jar: str) -> str:
    """The version of Flink, such as 1.20, for which a job server was built.

    Raises:
      ValueError: neither the jar nor its name says.
    """
    texts = [pathlib.Path(jar).name]
    with zipfile.ZipFile(jar) as entries:
        if _PROPERTIES in entries.namelist():
            texts.insert(0, entries.read(_PROPERTIES).decode())
    for text in texts:
        if found := re.search(r"(?:project\.version=|flink-)(\d+\.\d+)", text):
            return found[1]
    raise ValueError(f"{jar}: neither {_PROPERTIES} in it nor its name says which Flink it is for")


def home_of(version: str, directory: pathlib.Path = DIRECTORY) -> pathlib.Path:
    """Where the jars of a version of Flink are."""
    return directory / f"flink-{version}"


def fetch(directory: pathlib.Path) -> None:
    """Installs the jars of Flink in a directory, unless they are there."""
    version = version_of(JAR)
    home = home_of(version, directory)
    if home.exists():
        return
    print(f"Installing Flink {version}, once", file=sys.stderr)
    partial = home.with_name(f"{home.name}.partial")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--upgrade", "--target", str(partial)),
            f"apache-flink-libraries=={version}.*",
        ],
        check=True,
    )
    partial.rename(home)


class Flink:
    """The processes of a cluster, which run until `close`; `directory` has their logs.

    Args:
      directory: a new or empty one.
      restarts: whether Flink starts a job anew if a TaskManager is lost.
      lacks: of what the TaskManagers have too little, a key of `TOO_LITTLE`; empty if of nothing.
    """

    def __init__(self, directory: pathlib.Path, restarts: bool, lacks: str):
        self._directory = directory
        version = version_of(JAR)
        jars = home_of(version).rglob("lib/*.jar")
        self._java = ["java", *_JAVA_17, "-cp", os.pathsep.join(map(str, sorted(jars)))]
        rpc, rest = free_ports(2)
        self._url = f"http://127.0.0.1:{rest}"
        worker = pathlib.Path(sys.executable).with_name("session-metrics-worker")
        self.options = [
            "--runner=FlinkRunner",
            f"--flink_master=127.0.0.1:{rest}",
            f"--flink_version={version}",
            f"--flink_job_server_jar={JAR}",
            "--environment_type=PROCESS",
            f"--environment_config={json.dumps({'command': str(worker)})}",
        ]
        less, jvm = TOO_LITTLE.get(lacks, ({}, []))
        # Of an option that is given twice the JVM takes the last.
        self._memory = [*_MEMORY, *jvm]
        settings = {
            **_SETTINGS,
            **less,
            **(_RESTARTS if restarts else {}),
            "jobmanager.rpc.port": rpc,
            "rest.port": rest,
            "io.tmp.dirs": str(directory),
        }
        lines = "".join(f"{name}: {value}\n" for name, value in settings.items())
        (directory / "config.yaml").write_text(lines)
        (directory / "log4j.properties").write_text(_LOG4J)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        try:
            entrypoint = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
            self._start("jobmanager", "-Xmx768m", entrypoint)
            self.start_task_manager("one")
            self.start_task_manager("two")
            self.wait_for_task_managers("one", "two")
        except BaseException:
            self.close()
            raise

    def _start(self, name: str, *words: str) -> None:
        log4j = f"-Dlog4j.configurationFile={(self._directory / 'log4j.properties').as_uri()}"
        with (self._directory / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [*self._java, log4j, *words, f"--configDir={self._directory}"],
                # No Docker is found, even where there is one.
                env=os.environ | {"DOCKER_HOST": "unix:///nowhere"},
                stdout=log,
                stderr=log,
                # Its workers are in its group, and outlive it if it is killed.
                start_new_session=True,
            )

    def start_task_manager(self, name: str) -> None:
        """Starts a TaskManager with two slots; the JobManager knows of it some time later."""
        runner = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
        self._start(name, *self._memory, runner, f"-Dtaskmanager.resource-id={name}")

    def wait_for_task_managers(self, *names: str) -> None:
        """Waits until the JobManager knows of these TaskManagers alone, and all their slots are free."""

        def are_there() -> bool:
            for name in names:
                if self._processes[name].poll() is not None:
                    raise RuntimeError(f"{name} has ended: {self._directory / name}.log says why")
            found = self._ask("/taskmanagers")["taskmanagers"]
            return {one["id"] for one in found} == set(names) and all(
                one["freeSlots"] == _SETTINGS["taskmanager.numberOfTaskSlots"] for one in found
            )

        wait_for(f"the TaskManagers {', '.join(names)}", are_there, _START_S)

    def wait_for_work(self) -> None:
        """Waits until a quarter of the tasks of the job at work have finished."""

        def is_at_work() -> bool:
            tasks = [job["tasks"] for job in self._jobs() if job["state"] == "RUNNING"]
            return any(4 * one["finished"] >= one["total"] > 0 for one in tasks)

        wait_for("a job at work", is_at_work, _START_S)

    def wait_for_the_end_of_jobs(self) -> None:
        """Waits until no job is at work."""

        def have_ended() -> bool:
            return all(job["state"] in ENDED for job in self._jobs())

        wait_for("the end of all jobs", have_ended, _START_S)

    def kill(self, name: str) -> None:
        """Kills a process by a signal that it cannot handle, not its workers."""
        self._processes[name].kill()
        self._processes[name].wait()

    def close(self) -> None:
        """Ends all processes of the cluster."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _jobs(self) -> list[Any]:
        return self._ask("/jobs/overview")["jobs"]

    def _ask(self, path: str) -> Any:
        with urllib.request.urlopen(self._url + path, timeout=10) as answer:
            return json.load(answer)


@contextlib.contextmanager
def running(directory: pathlib.Path, restarts: bool = False, lacks: str = "") -> Iterator[Flink]:
    """A cluster that runs while the context lasts."""
    flink = Flink(directory, restarts, lacks)
    try:
        yield flink
    finally:
        flink.close()


if __name__ == "__main__":
    fetch(pathlib.Path(sys.argv[1]))
