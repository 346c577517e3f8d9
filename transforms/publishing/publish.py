"""Puts staged files in the place of an earlier output, all of them or none.

The files of an output are staged in a hidden directory beside it (`staging.staging_of`). What follows
depends on where the output is:

- `LocalDirectory` exchanges two directories, one system call: whoever looks, even after a kill, finds
  the earlier output or the new one, whole. `directories.py` lists the steps.
- `ObjectStore` can't exchange anything. It writes down what is to be done, moves the files one after
  the other, and brings back `_SUCCESS` at the very end: with `_SUCCESS` the set is whole.
  `object_stores.py` lists the steps.

An output that is one file, such as a page, appears at once in either place: `files.py`.

A job on the command line prepares its outputs before any work and keeps them to itself until its end:

    with PreparedOutputs(["metrics"], "4f2a") as prepared:
        write_file("/data/.metrics.staging/4f2a/metrics-00000-of-00001.avro", ...)  # in a worker
        publish("metrics", ["metrics-00000-of-00001.avro"], owned, "4f2a")          # in a worker
    prepared.fates  # {"metrics": "published"}

The workers may be other processes, and go on when the command is gone. The next run takes the output
from them: it has another name, which it writes down beside what is staged, and `publish` looks there. So
a run that was left behind publishes nothing, and its files are in a directory of its own.

A pipeline of somebody else's, and a job that a template describes, have no `PreparedOutputs`. The workers
take and release the outputs there (`take.py`): of two runs at once the later one publishes.
"""

from collections.abc import Iterable
from types import TracebackType
from typing import ClassVar, Protocol

from transforms.files import is_local
from transforms.publishing.directories import LocalDirectory
from transforms.publishing.files import LocalFile, StoredFile
from transforms.publishing.object_stores import ObjectStore
from transforms.publishing.staging import Fate, Owned, staging_of, write_file


class Store(Protocol):
    """One output, in one place."""

    def prepare(self) -> None:
        """Makes an empty staging directory and keeps other runs off it, until `discard`.

        First ends, or takes back, what a run before this one has left unfinished.

        Raises:
          OutputError: the output can't be written, or another run is at work on it.
        """

    def take(self) -> None:
        """Takes the output as `prepare` does, but keeps nobody off it.

        Changes nothing if it is repeated.

        Raises:
          OutputError: the output can't be written, or a process keeps other runs off it.
        """

    def release(self) -> None:
        """Removes what `take` has left beside the output, unless another run has taken it since."""

    def check_taken(self) -> None:
        """Raises OutputError where another run has taken the output since."""

    def publish(self, files: set[str], owned: Owned) -> None:
        """Puts the staged files in place; see the function `publish`."""

    def discard(self) -> Fate:
        """Removes the staging directory and lets other runs in; returns what became of the output.

        Called once, after `prepare`.
        """


def store_of(output: str, run: str) -> Store:
    """The store of an output directory, on any filesystem that Beam knows.

    Args:
      output: the directory.
      run: the name of the run that takes the output, or has taken it.
    """
    return LocalDirectory(output, run) if is_local(output) else ObjectStore(output, run)


def file_of(path: str, run: str) -> Store:
    """The store of an output that is one file; for the arguments see `store_of`."""
    return LocalFile(path, run) if is_local(path) else StoredFile(path, run)


class PreparedOutputs:
    """Keeps outputs to this process, from before the first work on them until the end of the run.

    A context manager. On entry each output is prepared, so that a path that can't be written is known
    before any work; at the exit what is still staged is discarded.

    Args:
      outputs: the directories.
      run: the name of the run, which no other run has.
      files: outputs that are one file each.

    Attributes:
      fates: what became of each output, after the exit; empty after `leave`.

    Raises (on entry):
      OutputError: an output can't be written, or another run is at work on it. Those prepared before
        it have been discarded.
    """

    _of_this_process: ClassVar[dict[str, Store]] = {}

    def __init__(self, outputs: Iterable[str], run: str, files: Iterable[str] = ()):
        self.fates: dict[str, Fate] = {}
        self._run = run
        self._makers = dict.fromkeys(outputs, store_of) | dict.fromkeys(files, file_of)
        self._prepared: dict[str, Store] = {}

    def __enter__(self) -> "PreparedOutputs":
        try:
            for output, make in self._makers.items():
                self._prepare(output, make(output, self._run))
        except BaseException:
            self._discard()
            raise
        return self

    def _prepare(self, output: str, store: Store) -> None:
        # First of all, so that it is discarded if an interrupt comes once it has been prepared.
        self._prepared[output] = store
        try:
            store.prepare()
        except BaseException:
            # The store has given up by itself what it had begun.
            del self._prepared[output]
            raise
        self._of_this_process[staging_of(output, self._run)] = store

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._discard()

    def leave(self) -> None:
        """Leaves the outputs to a job that runs on elsewhere: nothing is discarded at the exit.

        What keeps other runs off stays until this process ends.
        """
        self._prepared.clear()

    def _discard(self) -> None:
        while self._prepared:
            output = next(iter(self._prepared))
            self._of_this_process.pop(staging_of(output, self._run), None)
            self.fates[output] = self._prepared.pop(output).discard()

    @classmethod
    def find(cls, output: str, run: str) -> Store | None:
        """The store of an output that this process has prepared for a run; None if it has not."""
        return cls._of_this_process.get(staging_of(output, run))


def check_taken(output: str, run: str) -> None:
    """Looks whether an output is still that of a run.

    Raises:
      OutputError: another run has taken it.
    """
    store_of(output, run).check_taken()


def publish(output: str, files: Iterable[str], owned: Owned, run: str) -> None:
    """Puts the staged files in the place of those files of the output that are owned; others stay.

    Called by a worker, in the process that has prepared the output or in another. A call that is
    repeated, because a runner tries a bundle again, changes nothing.

    Args:
      output: the directory.
      files: the staged files, by their path within; whatever else is staged is dropped.
      owned: which files of the earlier output are replaced or removed.
      run: the name of the run that has taken the output, in this process or another.

    Raises:
      OutputError: the filesystem refuses, or another run has taken the output since. The earlier output
        is untouched or, in an object store, the text says that it may not be.
    """
    store = PreparedOutputs.find(output, run) or store_of(output, run)
    store.publish(set(files), owned)


def publish_file(path: str, content: bytes, run: str) -> None:
    """Writes an output that is one file.

    Args:
      path: the file.
      content: its bytes.
      run: the name of the run that has taken it.

    Raises:
      OutputError: the filesystem refuses, or another run has taken the file since.
    """
    check_taken(path, run)
    write_file(path, [content])
