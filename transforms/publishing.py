"""All-or-nothing publishing of a directory of files.

Files are staged in a hidden directory beside the output, which then takes the output's place. On a
local Linux filesystem that is one atomic exchange of two directories: whoever looks, even after a
kill, finds the earlier output or the new one, whole. Where directories can't be exchanged (macOS, some
network filesystems) it is two renames, and the next run puts right what a kill between them left. On
object stores each file appears at once, but one after the other; what is stale goes last.
"""

import ctypes
import os
import shutil
from collections.abc import Callable, Iterable

from apache_beam.io.filesystems import FileSystems

from transforms.errors import OutputError
from transforms.files import is_local

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2

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

    Raises:
      OutputError: it can't be.
    """
    if not is_local(output):
        return
    target = os.path.realpath(output)
    if os.path.exists(target) and not os.path.isdir(target):
        raise OutputError(f"{output}: is a file; name a directory")
    if os.path.ismount(target):
        raise OutputError(
            f"{output}: is a mount point, which can't be replaced; name a directory in it"
        )
    try:
        _recover(target)
        discard(output)
        os.makedirs(staging_of(output))
    except OSError as error:
        raise OutputError(f"{output}: can't be written: {error.strerror or error}") from error


def discard(output: str) -> None:
    """Removes what is staged."""
    staging = staging_of(output)
    if is_local(output):
        shutil.rmtree(staging, ignore_errors=True)
    elif FileSystems.exists(staging):
        FileSystems.delete([staging])


def write_file(path: str, content: bytes) -> None:
    """Writes a file that is there whole or not at all, and never through a link to another."""
    if not is_local(path):
        with FileSystems.create(path) as file:
            file.write(content)
        return
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(f"{path}.part", "wb") as file:
        file.write(content)
    os.replace(f"{path}.part", path)


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
    os.makedirs(staging, exist_ok=True)
    for name in _files_in(staging):
        if name not in files:
            os.remove(os.path.join(staging, name))
    for name in _files_in(target):
        if name not in files and not owned(name):
            copy = os.path.join(staging, name)
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            os.link(os.path.join(target, name), copy, follow_symlinks=False)
    old = _old_of(target)
    if not os.path.isdir(target):
        os.rename(staging, target)
        return
    shutil.copymode(target, staging)
    if _exchange(staging, target):
        os.rename(staging, old)
    else:
        os.rename(target, old)
        os.rename(staging, target)
    shutil.rmtree(old, ignore_errors=True)


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


def _publish_remote(output: str, staging: str, files: list[str], owned: Owned) -> None:
    earlier = [m.path for r in FileSystems.match([f"{output}/**"]) for m in r.metadata_list]
    # A bundle that is tried again finds that some files have gone where they belong.
    waiting = [name for name in files if FileSystems.exists(f"{staging}/{name}")]
    FileSystems.rename([f"{staging}/{n}" for n in waiting], [f"{output}/{n}" for n in waiting])
    inside = {path: path[len(output) + 1 :] for path in earlier}
    stale = [
        path
        for path, name in inside.items()
        if name not in files and (owned(name) or path.startswith(f"{staging}/"))
    ]
    if stale := [path for path in stale if FileSystems.exists(path)]:
        FileSystems.delete(stale)
