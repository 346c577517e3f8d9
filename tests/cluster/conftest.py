"""The log that every runner is given, and what the FnApiRunner makes of it."""

import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from benchmarks import load
from tests.cluster import portable
from tests.support.cli import output_bytes

ROOT = pathlib.Path(__file__).parent.parent.parent
MESSAGES = 1_000_000
BAD = "ConversationId,MessageIdentifier,ServerReceivedTimestamp,ActorType,EntryType\n" + "".join(
    f"0Mw{number},{number},yesterday,Agent,Text\n" for number in range(100)
)


class Done(NamedTuple):
    """How a run ended, and what it had to say."""

    status: int
    said: list[str]

    @property
    def last_words(self) -> str:
        return self.said[-1]


class Job:
    """The main job on a log of messages: by day, so that there are several files, with some rejects."""

    def __init__(self, log: pathlib.Path):
        self._log = log

    def start(self, output: pathlib.Path, *args: str) -> subprocess.Popen[str]:
        """The job in a process of its own, and in a group of its own."""
        command = [
            *(sys.executable, "-m", "pipelines.session_metrics"),
            *("--messages", f"{self._log}/messages-*.parquet", f"{self._log}/bad.csv"),
            *("--sessions", f"{self._log}/sessions.parquet"),
            *("--partition_by", "day", "--output", str(output), *args),
        ]
        return subprocess.Popen(
            command,
            cwd=self._log,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, output: pathlib.Path, *args: str) -> Done:
        """The job, to its end; nothing of what it has started stays behind."""
        process = self.start(output, *args)
        done = end_of(process)
        portable.wait_for("the end of all it has started", lambda: not _is_alive(process.pid))
        return done


def end_of(process: subprocess.Popen[str]) -> Done:
    """Waits for a job; one that hangs is ended, with all that it has started."""
    try:
        said = process.communicate(timeout=120)[1]
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


def make_log(directory: pathlib.Path, num_messages: int) -> Job:
    load.write(num_messages, "parquet", directory)
    (directory / "bad.csv").write_text(BAD)
    return Job(directory)


@pytest.fixture(scope="session")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return make_log(tmp_path_factory.mktemp("log"), MESSAGES)


@pytest.fixture(scope="session")
def expected(job: Job, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Each file that the FnApiRunner writes, among them the counts."""
    output = tmp_path_factory.mktemp("expected") / "out"
    done = job.run(output, "--runner=FnApiRunner", f"--summary={output}/summary.json")
    assert done.status == 0, done.said
    files = output_bytes(output)
    assert len(files) >= 3 and files["rejects/rejects-00000-of-00001.jsonl"].count(b"\n") == 100
    return files


Check = Callable[..., Done]


@pytest.fixture
def same_bytes(job: Job, expected: dict[str, bytes], tmp_path: pathlib.Path) -> Check:
    """Runs the job with some options; its output is that of the FnApiRunner."""

    def check(*args: str, output: pathlib.Path = tmp_path / "out") -> Done:
        done = job.run(output, *args, f"--summary={output}/summary.json")
        assert done.status == 0, "\n".join(done.said[-40:])
        assert output_bytes(output) == expected
        return done

    return check
