"""All-or-nothing publishing of a directory of files.

Files are staged in a hidden directory beside the output, which then takes the output's place. On a
local Linux filesystem that is one atomic exchange of two directories: whoever looks, even after a
kill, finds the earlier output or the new one, whole. Where directories can't be exchanged (macOS, some
network filesystems) it is two renames, and the next run puts right what a kill between them left.

An object store exchanges nothing. There each file appears at once, but one after the other, what is
stale goes last, and `_SUCCESS`, which is taken away first and comes back at the very end, tells that
the set is whole. What is to be done is written down before any of it is, so that the next run ends
what a kill has broken off.
"""

import contextlib
import ctypes
import fcntl
import json
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Literal

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

from transforms.errors import OutputError
from transforms.files import check_filesystem, is_local, reason
from transforms.publishing.leases import LEASE_S, HeldError, Lease

SUCCESS = "_SUCCESS"

_PLAN, _LEASE = "_plan.json", "_lease"  # in a staging directory of an object store

_LEASES: dict[str, Lease] = {}

_INSTEAD_OF = "instead-of-"  # in a local staging directory

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2

_HELD: dict[str, int] = {}  # staging directories that are locked, and the descriptor that does it

_BEFORE: dict[str, float | None] = {}  # staging directories, and the state of the output before

Owned = Callable[[str], bool]
"""Whether a file of the output directory, by its path within, is the run's to replace or remove."""

Fate = Literal["as it was", "begun", "published", "unknown"]
"""What a run has made of its output. "begun": the next run ends it."""


def staging_of(output: str) -> str:
    """The directory in which the files of an output are staged: always the same, hidden, beside it."""
    if not is_local(output):
        parent, _, name = output.rstrip("/").rpartition("/")
        return f"{parent}/.{name}.staging"
    parent, name = os.path.split(os.path.realpath(output))
    return os.path.join(parent, f".{name}.staging")


def prepare(output: str) -> None:
    """Makes the staging directory anew, so that a path that can't be written is known before any work.

    It is this process's until `discard`: by a lock where it is local, by a lease on Cloud Storage. What
    a run before this one has left is put right.

    Raises:
      OutputError: it can't be, or another run is at work on the same output.
    """
    if not is_local(output):
        _prepare_remote(output)
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
        _BEFORE[staging] = _state_of(output)
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


def discard(output: str) -> Fate:
    """Removes what is staged, unless it is another run's; ends what `prepare` began.

    Returns:
      What the run has made of its output, where it was prepared here.
    """
    staging = staging_of(output)
    if not is_local(output):
        return _discard_remote(output.rstrip("/"), staging)
    try:
        _lock(staging)
    except (BlockingIOError, FileNotFoundError):
        return "as it was"
    if staging in _BEFORE:
        with contextlib.suppress(OSError):  # the next run does it
            _recover(os.path.realpath(output))
    shutil.rmtree(staging, ignore_errors=True)
    os.close(_HELD.pop(staging))
    return "published" if _is_published(output) else "as it was"


def _is_published(output: str) -> bool:
    """Whether the output was published since `prepare`, which is asked once."""
    staging = staging_of(output)
    return staging in _BEFORE and _BEFORE.pop(staging) != _state_of(output)


def _state_of(output: str) -> float | None:
    """What is never the same after publishing; None where there is no output, or not a whole one."""
    if not is_local(output):
        (found,) = FileSystems.match([f"{output.rstrip('/')}/{SUCCESS}"])
        return max((m.last_updated_in_seconds for m in found.metadata_list), default=None)
    target = os.path.realpath(output)
    return os.stat(target).st_ino if os.path.isdir(target) else None


def write_file(path: str, content: Iterable[bytes]) -> int:
    """Writes a file that is there whole or not at all, and never through a link to another.

    Args:
      path: of any Beam filesystem.
      content: in pieces, which may be made as they are asked for; an error in that is raised as it is.

    Returns:
      The size of the file, bytes.

    Raises:
      OutputError: the filesystem says no.
    """
    local, size = is_local(path), 0
    part = f"{path}.{uuid.uuid4().hex}.part"  # another attempt at the file may be under way
    with _told(path):
        if local:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        file: IO[bytes] = open(part, "xb") if local else FileSystems.create(path)  # noqa: SIM115
    try:
        try:
            for piece in content:
                with _told(path):
                    file.write(piece)
                size += len(piece)
        finally:
            with _told(path):
                file.close()
        if local:
            with _told(path):
                os.replace(part, path)
    except BaseException:
        if local:
            with contextlib.suppress(FileNotFoundError):
                os.remove(part)
        raise
    return size


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # each store has errors of its own
        raise OutputError(f"{path}: can't be written: {reason(error)}") from error


def check_file(path: str) -> None:
    """Finds out whether a file on an object store can be written; one that is there stays as it is.

    Raises:
      OutputError: it can't be.
    """
    if is_local(path):
        return
    try:
        check_filesystem(path)
        FileSystems.create(f"{path}.part").close()
        _delete([f"{path}.part"])
    except Exception as error:
        raise OutputError(f"{path}: can't be written: {reason(error)}") from error


def publish(output: str, files: Iterable[str], owned: Owned) -> None:
    """Puts the staged files in place of those files of the output that are owned; others stay.

    Args:
      output: the directory.
      files: the staged files, by their path within; whatever else was left there is dropped.
      owned: which files of the earlier output go.

    Raises:
      OutputError: the filesystem says no. The earlier output is untouched, or on an object store the
        text says that it may not be.
    """
    if not is_local(output):
        _publish_remote(output.rstrip("/"), staging_of(output), set(files), owned)
        return
    target, staging = os.path.realpath(output), staging_of(output)
    try:
        _publish_local(target, staging, set(files), owned)
    except OSError as error:
        raise OutputError(f"{output}: can't be published: {error}") from error
    if staging not in _HELD:  # where it is, it stays locked until `discard`
        with contextlib.suppress(OSError):
            os.rename(
                staging, _old_of(target)
            )  # a part of it would look as if nothing was published
        shutil.rmtree(_old_of(target), ignore_errors=True)


def _files_in(top: str) -> list[str]:
    found = []
    for folder, folders, files in os.walk(top):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        found += [os.path.relpath(os.path.join(folder, name), top) for name in files + links]
    return found


def _publish_local(target: str, staging: str, files: set[str], owned: Owned) -> None:
    """Makes the new output inside of the staging directory, and exchanges it for the earlier one.

    It is made in a directory named after the file number of the output that it is to replace. A bundle
    that is tried again after the exchange finds another number, and never puts the earlier one back.
    """
    _recover(target)
    place = f"{_INSTEAD_OF}{_state_of(target)}"
    ready = os.path.join(staging, place, "new")
    moved, waiting = set(_files_in(ready)), files & set(_files_in(staging))
    if gone := sorted(files - moved - waiting):
        places = os.listdir(staging) if os.path.isdir(staging) else [_INSTEAD_OF]
        changed = any(name.startswith(_INSTEAD_OF) and name != place for name in places)
        if changed and not files & (moved | waiting) and files <= set(_files_in(target)):
            return  # a bundle that is tried again, and has published
        raise OutputError(f"{target}: {gone[0]} is staged no more; does another run write there?")
    for name in moved - files:
        os.remove(os.path.join(ready, name))
    os.makedirs(ready, exist_ok=True)
    for name in waiting:
        os.makedirs(os.path.dirname(os.path.join(ready, name)), exist_ok=True)
        os.replace(os.path.join(staging, name), os.path.join(ready, name))
    if not os.path.isdir(target):
        os.rename(ready, target)
    else:
        _link_others(target, ready, files, owned)
        if not _exchange(ready, target):
            old = _old_of(target)
            os.rename(target, old)
            os.rename(ready, target)
            shutil.rmtree(old, ignore_errors=True)


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


def _prepare_remote(output: str) -> None:
    staging = staging_of(output)
    if output.rstrip("/").count("/") < 3:
        raise OutputError(f"{output}: is a whole bucket; name a directory in it")
    try:
        check_filesystem(output)
        if output.startswith("gs://") and staging not in _LEASES:
            _LEASES[staging] = Lease(f"{staging}/{_LEASE}")
        if _PLAN in _names_in(staging):
            _carry_out(output.rstrip("/"), staging)
        _drop(staging)
        _BEFORE[staging] = _state_of(output)
    except HeldError:
        text = f"another run is writing it; wait for its end, or {LEASE_S} s where it was killed"
        raise OutputError(f"{output}: {text}") from None
    except BaseException as error:
        if lease := _LEASES.pop(staging, None):
            lease.release()
        if isinstance(error, OutputError) or not isinstance(error, Exception):
            raise
        raise OutputError(f"{output}: can't be written: {reason(error)}") from error


def _discard_remote(output: str, staging: str) -> Fate:
    lease = _LEASES.pop(staging, None)
    try:
        if lease:
            lease.renew()
        elif staging.startswith("gs://"):
            return "as it was"
        published, begun = _is_published(output), _PLAN in _names_in(staging)
        if not begun:  # a plan that was not carried out is the next run's
            _drop(staging)
        return "begun" if begun else "published" if published else "as it was"
    except Exception:  # the next run drops it
        logging.getLogger(__name__).debug("%s stays", staging, exc_info=True)
        return "unknown"
    finally:
        if lease:
            lease.release()


def _names_in(top: str) -> set[str]:
    found = (m.path for r in FileSystems.match([f"{top}/**"]) for m in r.metadata_list)
    return {path[len(top) + 1 :] for path in found}


def _delete(paths: list[str]) -> None:
    if not paths or not paths[0].startswith("gs://"):
        FileSystems.delete(paths)
        return
    from apache_beam.io.gcp.gcsio import GcsIO

    # A hundred in a request, where `FileSystems.delete` makes three requests for each.
    failed = {path: error for path, error in GcsIO().delete_batch(paths) if error}
    if failed:
        raise BeamIOError("can't be deleted", failed)


def _drop(staging: str) -> None:
    _delete([f"{staging}/{name}" for name in sorted(_names_in(staging) - {_LEASE})])


def _publish_remote(output: str, staging: str, files: set[str], owned: Owned) -> None:
    planned = False
    try:
        if lease := _LEASES.get(staging):
            lease.renew()
        staged, found = _names_in(staging), _names_in(output)
        if files | {SUCCESS} <= found and not files & staged:
            return  # a bundle that is tried again, and has published
        planned, moved = _PLAN in staged, set[str]()
        if planned:  # by this bundle, tried again, or by a run before that nobody has ended yet
            moved = _carry_out(output, staging)
            staged, found = _names_in(staging), _names_in(output)
        if moved != files:
            if gone := sorted(files - staged - moved):
                text = f"{gone[0]} is staged no more; does another run write there?"
                raise OutputError(f"{output}: {text}")
            stale = sorted(name for name in found - files if owned(name))
            plan = {"files": sorted(files), "stale": stale}
            write_file(f"{staging}/{_PLAN}", [json.dumps(plan, indent=1).encode()])
            planned = True
            _carry_out(output, staging)
        _drop(staging)
    except HeldError:
        text = f"{output}: another run has taken it over; nothing was published"
        raise OutputError(text) from None
    except Exception as error:
        if not planned:
            if isinstance(error, OutputError):
                raise
            raise OutputError(f"{output}: can't be published: {reason(error)}") from error
        raise OutputError(
            f"{output}: publishing broke off ({reason(error)}); the next run ends it, "
            f"{SUCCESS} is missing until then"
        ) from error


def _carry_out(output: str, staging: str) -> set[str]:
    """Does what is planned, or what is left of it; gives the files that were to be published."""
    with FileSystems.open(f"{staging}/{_PLAN}") as file:
        plan = json.loads(file.read())
    staged, found = _names_in(staging), _names_in(output)
    if gone := sorted(set(plan["files"]) - staged - found):
        raise OutputError(
            f"{output}: an earlier run broke off and can't be ended, {gone[0]} is gone from "
            f"{staging}; remove that directory and run the same again"
        )
    _delete([f"{output}/{SUCCESS}"] if SUCCESS in found else [])
    waiting = [name for name in plan["files"] if name in staged]
    FileSystems.rename([f"{staging}/{n}" for n in waiting], [f"{output}/{n}" for n in waiting])
    _delete([f"{output}/{name}" for name in plan["stale"] if name in found])
    write_file(f"{output}/{SUCCESS}", [])
    _delete([f"{staging}/{_PLAN}"])
    return set(plan["files"])
