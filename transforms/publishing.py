"""All-or-nothing publishing of a directory of files.

Files are staged in a hidden directory beside the output, which then takes the output's place. On a
local Linux filesystem that is one atomic exchange of two directories: whoever looks, even after a
kill, finds the earlier output or the new one, whole. Where directories can't be exchanged (macOS, some
network filesystems) it is two renames, and the next run puts right what a kill between them left. On
object stores each file appears at once, but one after the other; what is stale goes last.
"""

import ctypes
import fcntl
import os
import shutil
from collections.abc import Callable, Iterable

from apache_beam.io.filesystems import FileSystems

from transforms.errors import OutputError
from transforms.files import is_local

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_HELD: dict[str, int] = {}  # staging directories that are locked, and the descriptor that does it

Owned = Callable[[str], bool]
"""Whether a file of the output directory, by its path within, is the run's to replace or remove."""


def staging_of(output: str) -> str:
    """The directory in which the files of an output are staged: always the same, hidden, beside it."""
    if not is_local(output):
        return f"{output.rstrip('/')}/.staging"
    parent, name = os.path.split(os.path.realpath(output))
    return os.path.join(parent, f".{name}.staging")


def prepare(output: str) -> None:
    """Makes the staging directory anew, so that a path that can't be written is known before any work.

    A local one is locked for this process until `discard`.

    Raises:
      OutputError: it can't be, or another run is at work on the same output.
    """
    if not is_local(output):
        try:
            discard(output)
        except ValueError:
            hint = ": pip install 'messaging-session-metrics[gcp]'" if output[:5] == "gs://" else ""
            raise OutputError(f"{output}: no such filesystem here{hint}") from None
        except OSError as error:
            raise OutputError(f"{output}: can't be written: {error}") from error
        return
    target, staging = os.path.realpath(output), staging_of(output)
    if os.path.exists(target) and not os.path.isdir(target):
        raise OutputError(f"{output}: is a file; name a directory")
    for kind, found in (
        ("a mount point", os.path.ismount(target)),
        ("the working directory", os.path.commonpath([target, os.getcwd()]) == target),
    ):
        if found:
            raise OutputError(
                f"{output}: is {kind}, which can't be replaced; name a directory in it"
            )
    try:
        os.makedirs(staging, exist_ok=True)
        _lock(staging)
        _recover(target)
        discard(output)
        os.makedirs(staging)
        _lock(staging)
    except BlockingIOError:
        raise OutputError(f"{output}: another run is writing it; wait for its end") from None
    except OSError as error:
        raise OutputError(f"{output}: can't be written: {error.strerror or error}") from error
    except KeyboardInterrupt:
        discard(output)
        raise


def _lock(staging: str) -> None:
    if staging in _HELD:
        return
    held = os.open(staging, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise
    except OSError:  # a filesystem without locks
        pass
    _HELD[staging] = held


def discard(output: str) -> None:
    """Removes what is staged, unless it is another run's; ends what `prepare` began."""
    staging = staging_of(output)
    if is_local(output):
        try:
            _lock(staging)
        except (BlockingIOError, FileNotFoundError):
            return
        shutil.rmtree(staging, ignore_errors=True)
        os.close(_HELD.pop(staging))
    elif left := _remote_files(staging):
        FileSystems.delete(left)


def write_file(path: str, content: bytes) -> None:
    """Writes a file that is there whole or not at all, and never through a link to another.

    Raises:
      OutputError: the filesystem says no.
    """
    try:
        if not is_local(path):
            with FileSystems.create(path) as file:
                file.write(content)
            return
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(f"{path}.part", "wb") as file:
            file.write(content)
        os.replace(f"{path}.part", path)
    except OSError as error:
        raise OutputError(f"{path}: can't be written: {error.strerror or error}") from error


def publish(output: str, files: Iterable[str], owned: Owned) -> None:
    """Puts the staged files in place of those files of the output that are owned; others stay.

    Args:
      output: the directory.
      files: the staged files, by their path within; whatever else was left there is dropped.
      owned: which files of the earlier output go.

    Raises:
      OutputError: the filesystem says no; the earlier output is untouched.
    """
    try:
        if is_local(output):
            _publish_local(os.path.realpath(output), staging_of(output), set(files), owned)
        else:
            _publish_remote(output.rstrip("/"), staging_of(output), sorted(files), owned)
    except OSError as error:
        raise OutputError(f"{output}: can't be published: {error}") from error


def _files_in(top: str) -> list[str]:
    found = []
    for folder, folders, files in os.walk(top):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        found += [os.path.relpath(os.path.join(folder, name), top) for name in files + links]
    return found


def _publish_local(target: str, staging: str, files: set[str], owned: Owned) -> None:
    _recover(target)
    staged = set(_files_in(staging))
    if gone := sorted(files - staged):
        if not os.path.isdir(staging) and files <= set(_files_in(target)):
            return  # a bundle that is tried again, and has published
        raise OutputError(f"{target}: {gone[0]} is staged no more; does another run write there?")
    os.makedirs(staging, exist_ok=True)
    for name in staged - files:
        os.remove(os.path.join(staging, name))
    if not os.path.isdir(target):
        os.rename(staging, target)
        return
    _link_others(target, staging, files, owned)
    old = _old_of(target)
    if _exchange(staging, target):
        os.rename(staging, old)
    else:
        os.rename(target, old)
        os.rename(staging, target)
    shutil.rmtree(old, ignore_errors=True)


def _link_others(target: str, staging: str, files: set[str], owned: Owned) -> None:
    """Gives the staging directory what else the target has: files, empty directories, modes."""
    for folder, folders, names in os.walk(target, topdown=False):
        within = os.path.relpath(folder, target)
        copy = os.path.normpath(os.path.join(staging, within))
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


def _old_of(target: str) -> str:
    parent, name = os.path.split(target)
    return os.path.join(parent, f".{name}.old")


def _recover(target: str) -> None:
    """Puts right what a kill between two renames, or while the old files were removed, has left."""
    old = _old_of(target)
    if os.path.isdir(old):
        if os.path.exists(target):
            shutil.rmtree(old)
        else:
            os.rename(old, target)


def _exchange(one: str, other: str) -> bool:
    """Exchanges two directories atomically; False where that can't be done here."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    done = rename(
        _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), ctypes.c_uint(_RENAME_EXCHANGE)
    )
    return done == 0


def _remote_files(top: str) -> list[str]:
    return [m.path for r in FileSystems.match([f"{top}/**"]) for m in r.metadata_list]


def _publish_remote(output: str, staging: str, files: list[str], owned: Owned) -> None:
    found = [path for path in _remote_files(output) if not path.startswith(f"{staging}/")]
    earlier = {path[len(output) + 1 :]: path for path in found}
    # A bundle that is tried again finds that some files have gone where they belong.
    waiting = [name for name in files if FileSystems.exists(f"{staging}/{name}")]
    for name in files:
        if name not in waiting and name not in earlier:
            raise OutputError(f"{output}: {name} is staged no more; does another run write there?")
    FileSystems.rename([f"{staging}/{n}" for n in waiting], [f"{output}/{n}" for n in waiting])
    stale = [path for name, path in earlier.items() if name not in files and owned(name)]
    if stale := [*stale, *_remote_files(staging)]:
        FileSystems.delete(stale)
