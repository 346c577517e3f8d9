"""Patterns of files of this machine: what a shell finds, and what it would keep quiet about, told."""

import errno
import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence

from transforms.errors import InputError

_MAGIC = re.compile(r"[*?[]")

# What Spark, Hadoop and Databricks write beside the files of a table, and read over themselves.
_BESIDE_A_TABLE = re.compile(
    r"_SUCCESS|_(started|committed)_.*|_temporary|_(common_)?metadata|_delta_log|.*\.crc"
    r"|.*_\$folder\$",
    re.DOTALL,
)

_KINDS = {stat.S_ISFIFO: "a pipe", stat.S_ISSOCK: "a socket"}

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR)


def local_files(pattern: str, directory: str = "") -> list[tuple[str, int]]:
    """The files of this machine that a pattern matches, and their sizes in bytes, sorted by path.

    Paths are given as the pattern has them: those of a relative pattern are relative.

    `*`, `?` and `[...]` are within one name of a path, `**` is any number of folders. Links are followed.
    Hidden files and those that Spark writes beside a table are passed over, unless the pattern names
    them. A name that is there just as it is written is that file, whatever characters it has.

    Args:
      pattern: the pattern.
      directory: where relative paths begin; empty for the working directory of this process.

    Raises:
      InputError: what is found can't be read: a link to nothing, a file or a directory without
        permission, a directory with files in it, a pipe, a device, a name that is no UTF-8.
    """
    found = {}
    base = "" if os.path.isabs(pattern) else os.path.join(directory, "")
    for path in _paths(base, pattern.split("/")):
        shown = path.encode("utf-8", "replace").decode()
        if shown != path:
            # Beam can't hand such a name to a worker.
            raise InputError(f"{shown}: the bytes of its name are no UTF-8; rename it")
        size = _size_of(path, is_named=path == base + pattern)
        if size is not None:
            found[path.removeprefix(base)] = size
    return sorted(found.items())


def _paths(base: str, names: Sequence[str]) -> Iterator[str]:
    """The paths below `base`, which is empty or ends with a slash, that match names one by one."""
    first, *rest = names
    if not _MAGIC.search(first) or _is_odd_name(base, first):
        if _look(base + first) is None:
            return
        if not rest:
            yield base + first
        elif not first or stat.S_ISDIR(_status(base + first).st_mode):
            yield from _paths(f"{base}{first}/", rest)
        return
    if "**" in first:
        yield from _paths_at_any_depth(base, names)
        return
    matches = re.compile(fnmatch.translate(first)).match
    for entry in _entries(base, first):
        if not matches(entry.name):
            continue
        if not rest:
            yield base + entry.name
        elif _is_directory(entry):
            yield from _paths(f"{base}{entry.name}/", rest)


def _is_odd_name(base: str, name: str) -> bool:
    """Whether a name in which a pattern is seen is that of a file, and the pattern does not match it.

    For `part[1].csv` that is the file of this name, where there is one; else the pattern is `part1.csv`.
    """
    return not fnmatch.fnmatchcase(name, name) and _look(base + name) is not None


def _paths_at_any_depth(base: str, names: Sequence[str]) -> Iterator[str]:
    matches = _matcher("/".join(names))

    def walk(inner: str, above: Sequence[tuple[int, int]]) -> Iterator[str]:
        for entry in _entries(base + inner, ""):
            path = inner + entry.name
            if not _is_directory(entry):
                if matches(path):
                    yield base + path
                continue
            status = _status(base + path)
            itself = (status.st_dev, status.st_ino)
            # A link to a directory around it leads to nothing new.
            if itself not in above:
                yield from walk(f"{path}/", [*above, itself])

    if _look(base or os.curdir) is not None:
        status = _status(base or os.curdir)
        yield from walk("", [(status.st_dev, status.st_ino)])


def _matcher(pattern: str) -> Callable[[str], object]:
    """Whether a path matches a pattern in which `**` stands for any number of folders."""
    pieces = re.split(r"(\*\*/|\*\*|/|\*|\?|\[!?\]?[^]/]*\])", pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    expression = ""
    for piece in pieces:
        if piece in known:
            expression += known[piece]
        elif len(piece) > 2 and piece[0] == "[":
            expression += fnmatch.translate(piece).removeprefix("(?s:").rpartition(")")[0]
        else:
            expression += re.escape(piece)
    return re.compile(expression, re.DOTALL).fullmatch


def _entries(base: str, pattern: str) -> list[os.DirEntry[str]]:
    """What a directory holds, in order, without what is passed over."""
    try:
        with os.scandir(base or os.curdir) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return []
        raise _unreadable(base, error) from error
    hidden = pattern.startswith(".")
    return [
        entry
        for entry in entries
        if (hidden or not entry.name.startswith(".")) and not _BESIDE_A_TABLE.fullmatch(entry.name)
    ]


def _is_directory(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a directory or a link to one."""
    try:
        if not entry.is_symlink():
            return entry.is_dir()
    except OSError as error:
        raise _unreadable(entry.path, error) from error
    return stat.S_ISDIR(_status(entry.path).st_mode)


def _look(path: str) -> os.stat_result | None:
    """What is at a path, a link itself; None if nothing is."""
    try:
        return os.lstat(path or os.curdir)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise _unreadable(path, error) from error


def _status(path: str) -> os.stat_result:
    """What is at a path, or where its link leads."""
    try:
        return os.stat(path or os.curdir)
    except OSError as error:
        if error.errno in _NOT_THERE and os.path.islink(path):
            raise InputError(f"{path}: a link to {os.readlink(path)}, where nothing is") from error
        raise _unreadable(path, error) from error


def _size_of(path: str, is_named: bool) -> int | None:
    """The size of a file that may be read; None for an empty directory that a pattern has matched."""
    status = _status(path)
    if stat.S_ISDIR(status.st_mode):
        if is_named or _entries(path, ""):
            raise InputError(f"{path}: a directory; name its files, as {path.rstrip('/')}/*.csv")
        return None
    if not stat.S_ISREG(status.st_mode):
        kinds = (kind for is_kind, kind in _KINDS.items() if is_kind(status.st_mode))
        raise InputError(f"{path}: {next(kinds, 'a device')}; write what it gives to a file first")
    if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        raise InputError(f"{path}: can't be read: {os.strerror(errno.EACCES)}")
    return status.st_size


def _unreadable(path: str, error: OSError) -> InputError:
    return InputError(f"{path or os.curdir}: can't be read: {error.strerror}")
