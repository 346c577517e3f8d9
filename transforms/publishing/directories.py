"""A local output directory: `LocalDirectory`.

The steps, in order, for an output `out`:

1. `prepare` makes `.out.staging` beside it and locks it (flock), so that a second run is refused. It
   puts right what an earlier run has left (step 6), empties the staging directory, and writes the name of
   the run there, `_run`. From here on a run that was left behind publishes nothing.
2. The workers stage files: each is written under a name of its own, then renamed.
   Killed until here: `out` is the earlier output. The next run empties the staging directory.
3. `publish` locks `_run`, and looks whether it has the name of its own run. Until step 5 no other run can
   take the output. It moves the staged files to `instead-of-N/new` where they are staged, N being the
   inode of `out`, and links the files of others from `out` beside them: that directory is the new
   output, whole.
   Killed on the way: as before. The same bundle, tried again, goes on where it was.
4. One system call exchanges `out` and `new` (Linux, `renameat2`).
   Killed after it: `out` is the new output. The earlier one lies in the staging directory, which the
   next run removes. The same bundle, tried again, finds an `out` with another inode than N, and
   therefore never puts the earlier output back.
5. Where directories can't be exchanged (macOS, some network filesystems): `out` is renamed to
   `.out.old`, and `new` to `out`.
   Killed between the two: there is no `out`. The next run's step 6 puts the earlier output back.
6. `.out.old` is removed if there is an `out`, and is renamed to `out` if there is none.
7. The staging directory is removed: by `discard` in a process that has prepared the output, or by
   `release`. If neither comes to that, the next run does; until then nothing is left there but names.
"""

import contextlib
import ctypes
import os
import shutil
from collections.abc import Iterator

from transforms.errors import OutputError
from transforms.publishing.ownership import keep_taken, take, try_lock
from transforms.publishing.staging import Fate, Owned, hidden_of, staging_of, taken_over

_INSTEAD_OF = "instead-of-"

# Of the system call renameat2(2).
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


class LocalDirectory:
    """An output in a directory of this machine.

    Args:
      output: the directory, which need not exist; a link to one stays a link.
      run: the name of the run that takes the output, or has taken it.
    """

    def __init__(self, output: str, run: str):
        self.output, self._run = output, run
        self._target = os.path.realpath(output)
        self._hidden, self._staging = hidden_of(output), staging_of(output, run)
        self._lock: int | None = None
        self._before: object = None

    def prepare(self) -> None:
        """Makes an empty staging directory and locks it, until `discard`.

        Raises:
          OutputError: the directory can't be replaced or written, or another run has the lock.
        """
        self._check_replaceable()
        try:
            os.makedirs(self._hidden, exist_ok=True)
            self._take_lock()
            with keep_taken(self._hidden, self.output):
                recover(self._target)
                self._remove_staging()
                os.makedirs(self._staging)
                self._take_lock()
                take(self._hidden, self._run)
            self._before = self._state()
        except BlockingIOError:
            raise OutputError(
                f"{self.output}: another run is writing it; wait for its end"
            ) from None
        except OutputError:
            self._unlock()
            raise
        except OSError as error:
            self._give_up()
            raise self._not_writable(error) from error
        except KeyboardInterrupt:
            self._give_up()
            raise

    def _not_writable(self, error: OSError) -> OutputError:
        return OutputError(f"{self.output}: can't be written: {error.strerror or error}")

    def _check_replaceable(self) -> None:
        target = self._target
        if os.path.exists(target) and not os.path.isdir(target):
            raise OutputError(f"{self.output}: is a file; name a directory")
        for what, found in (
            ("a mount point", os.path.ismount(target)),
            ("the working directory", os.path.commonpath([target, os.getcwd()]) == target),
        ):
            if found:
                raise OutputError(
                    f"{self.output}: is {what}, which can't be replaced; name a directory in it"
                )

    def _take_lock(self) -> None:
        """Locks the staging directory.

        Raises:
          BlockingIOError: another run has the lock.
        """
        if self._lock is not None:
            return
        descriptor = os.open(self._hidden, os.O_RDONLY)
        try:
            if not try_lock(descriptor):
                raise BlockingIOError
        except BaseException:
            os.close(descriptor)
            raise
        self._lock = descriptor

    def _remove_staging(self) -> None:
        shutil.rmtree(self._hidden, ignore_errors=True)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _give_up(self) -> None:
        """Removes the staging directory, unless another run has it."""
        with contextlib.suppress(OSError):
            self._take_lock()
            self._remove_staging()

    def publish(self, files: set[str], owned: Owned) -> None:
        """Puts the staged files in place of those of the directory that are owned.

        Raises:
          OutputError: a file is not staged, or the filesystem refuses; the earlier output is untouched.
        """
        try:
            with self._keep_own():
                self._replace(files, owned)
        except OSError as error:
            raise OutputError(f"{self.output}: can't be published: {error}") from error

    def check_taken(self) -> None:
        """Raises OutputError where another run has taken the output since."""
        with self._keep_own():
            pass

    def take(self) -> None:
        """Takes the output as `prepare` does, but keeps nobody off it."""
        try:
            with keep_taken(self._hidden, self.output) as run:
                # The bundle is tried again, and the workers may have staged files.
                if run == self._run:
                    return
        except OSError as error:
            raise self._not_writable(error) from error
        self.prepare()
        self._unlock()

    def release(self) -> None:
        """Removes what is left beside the output, unless another run has taken it since."""
        # All is published by then. What can't be removed now, the next run removes.
        with contextlib.suppress(OutputError, OSError), self._keep_own():
            self._remove_staging()

    @contextlib.contextmanager
    def _keep_own(self) -> Iterator[None]:
        """Keeps other runs from taking the output; raises OutputError where one has."""
        with keep_taken(self._hidden, self.output) as run:
            if run != self._run:
                shutil.rmtree(self._staging, ignore_errors=True)
                with contextlib.suppress(OSError):
                    os.rmdir(self._hidden)
                raise taken_over(self.output)
            yield

    def _replace(self, files: set[str], owned: Owned) -> None:
        recover(self._target)
        place = f"{_INSTEAD_OF}{_inode_of(self._target)}"
        ready = os.path.join(self._staging, place, "new")
        moved, waiting = set(_files_in(ready)), files & set(_files_in(self._staging))
        if gone := sorted(files - moved - waiting):
            if self._has_published(files, place, files & (moved | waiting)):
                return
            text = f"{gone[0]} is staged no more; does another run write there?"
            raise OutputError(f"{self._target}: {text}")
        for name in moved - files:
            os.remove(os.path.join(ready, name))
        os.makedirs(ready, exist_ok=True)
        for name in waiting:
            os.makedirs(os.path.dirname(os.path.join(ready, name)), exist_ok=True)
            os.replace(os.path.join(self._staging, name), os.path.join(ready, name))
        if not os.path.isdir(self._target):
            os.rename(ready, self._target)
            return
        _link_others(self._target, ready, files, owned)
        if exchange(ready, self._target):
            # The directory around it stays, and says to the same bundle that it has published.
            shutil.rmtree(ready, ignore_errors=True)
        else:
            old = old_of(self._target)
            os.rename(self._target, old)
            os.rename(ready, self._target)
            shutil.rmtree(old, ignore_errors=True)

    def _has_published(self, files: set[str], place: str, left: set[str]) -> bool:
        """Whether this bundle, now tried again, has published the files.

        Args:
          files: the files.
          place: the name of the directory that is made instead of the present output.
          left: those of the files that are still staged.
        """
        places = os.listdir(self._staging) if os.path.isdir(self._staging) else [_INSTEAD_OF]
        replaced = any(name.startswith(_INSTEAD_OF) and name != place for name in places)
        return replaced and not left and files <= set(_files_in(self._target))

    def discard(self) -> Fate:
        """Removes the staging directory and its lock; returns what became of the output."""
        # If the filesystem refuses, the next run puts the output right.
        with contextlib.suppress(OSError):
            recover(self._target)
        self._remove_staging()
        return "as it was" if self._state() == self._before else "published"

    def _state(self) -> object:
        """What each publication changes."""
        return _inode_of(self._target)


def _inode_of(target: str) -> int | None:
    """The inode of a directory, which each exchange changes; None if it does not exist."""
    return os.stat(target).st_ino if os.path.isdir(target) else None


def _files_in(top: str) -> list[str]:
    """The files and links at any depth of a directory, by their paths within."""
    found = []
    for folder, folders, files in os.walk(top):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        found += [os.path.relpath(os.path.join(folder, name), top) for name in files + links]
    return found


def _link_others(target: str, ready: str, files: set[str], owned: Owned) -> None:
    """Gives the new output what else the target has: files, empty directories, modes."""
    for folder, folders, names in os.walk(target, topdown=False):
        within = os.path.relpath(folder, target)
        copy = os.path.normpath(os.path.join(ready, within))
        if not folders and not names:
            os.makedirs(copy, exist_ok=True)
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in names + links:
            path = os.path.normpath(os.path.join(within, name))
            if path not in files and not owned(path):
                os.makedirs(copy, exist_ok=True)
                os.link(os.path.join(folder, name), os.path.join(copy, name), follow_symlinks=False)
        if os.path.isdir(copy):
            shutil.copymode(folder, copy)


def old_of(target: str) -> str:
    """The directory, beside the target, that holds what is about to be removed."""
    parent, name = os.path.split(target)
    return os.path.join(parent, f".{name}.old")


def recover(target: str) -> None:
    """Puts right what a kill between two renames, or while the old files were removed, has left."""
    old = old_of(target)
    if os.path.isdir(old):
        if os.path.exists(target):
            shutil.rmtree(old)
        else:
            os.rename(old, target)


def exchange(one: str, other: str) -> bool:
    """Exchanges two directories atomically; returns False if this system or filesystem can't."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    done = rename(
        _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), ctypes.c_uint(_RENAME_EXCHANGE)
    )
    return done == 0
