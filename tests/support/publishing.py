"""An output before and after publishing, and what a run does with it. Nothing here loads Beam."""

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from transforms.publishing.publish import PreparedOutputs, publish, store_of
from transforms.publishing.staging import staging_of, write_file

OLD = {
    "metrics-00000-of-00003.avro": b"old 0",
    "metrics-00001-of-00003.avro": b"old 1",
    "metrics-00002-of-00003.avro": b"old 2",
    "created_date=2024-10-01/metrics-00000-of-00001.avro": b"old day",
    "rejects/rejects-00000-of-00001.jsonl": b"old rejects",
    "metrics-00000-of-00001.avro": b"old, to be replaced",
}


NEW = {
    "metrics-00000-of-00001.avro": b"new",
    "created_date=2024-10-02/metrics-00000-of-00001.avro": b"new day",
}


RUN = "a-run"
"""The name of a run of which nothing depends on the name."""


NEXT = {"metrics-00000-of-00002.avro": b"next 0", "metrics-00001-of-00002.avro": b"next 1"}


USERS = {"notes.txt": b"mine", "sub/deep/mine.csv": b"mine too", "rejects/notes.txt": b"and mine"}


def owned(name: str) -> bool:
    return "metrics-" in name or "rejects-" in name


def put(top: Path, files: dict[str, bytes]) -> None:
    """Writes files into a local directory, by their path within."""
    for name, content in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)


def start_over(output: Path) -> None:
    """Puts an earlier output, with files of others in it, in place of all that is beside it."""
    shutil.rmtree(output.parent, ignore_errors=True)
    put(output, OLD | USERS)


@contextlib.contextmanager
def in_memory(directory: Path) -> Iterator[Path]:
    """A place for an output, in memory if this system can: thousands of files are written."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else directory) as top:
        yield Path(top, "parent", "out")


def prepared(output: str | Path, name: str = RUN) -> PreparedOutputs:
    """An output that a command prepares for its run."""
    return PreparedOutputs([str(output)], name)


def take(output: str | Path, run: str = RUN) -> None:
    """Takes an output, as a worker does for a run that no command has prepared."""
    store_of(str(output), run).take()


def release(output: str | Path, run: str = RUN) -> None:
    """Releases an output, as a worker does at the end of such a run."""
    store_of(str(output), run).release()


def stage(output: str | Path, files: dict[str, bytes], run: str = RUN) -> None:
    """Stages files of an output, as the workers of a run do."""
    for name, content in files.items():
        write_file(f"{staging_of(str(output), run)}/{name}", [content])


def publish_files(output: str | Path, files: dict[str, bytes], run: str = RUN) -> None:
    """Publishes staged files, as a worker does."""
    publish(str(output), list(files), owned, run)


def recover(output: str | Path) -> None:
    """A run that does nothing but put right what the one before it has left."""
    with prepared(output):
        pass


def run(output: str | Path, files: dict[str, bytes], name: str = RUN) -> None:
    """A whole run."""
    with prepared(output, name):
        stage(output, files, name)
        publish_files(output, files, name)


def left_behind(output: str | Path, files: dict[str, bytes], name: str) -> None:
    """A run whose command is killed when its workers, which are elsewhere, have staged all files."""
    child = os.fork()
    if not child:
        try:
            prepared(output, name).__enter__()
            stage(output, files, name)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
