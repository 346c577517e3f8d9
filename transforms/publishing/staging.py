"""Where the files of an output wait to be published, and how one file is written."""

import contextlib
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Literal

from transforms.errors import OutputError
from transforms.files import check_filesystem, create, delete, is_local, reason

Owned = Callable[[str], bool]
"""Whether the run may replace or remove a file of the output directory, given by its path within."""

RUN = "_run"
"""The file, beside what is staged, that has the name of the run that has taken the output."""

Fate = Literal["as it was", "begun", "published", "unknown"]
"""The fate of an output in a run. "begun": the next run ends what this one has begun."""


def hidden_of(output: str) -> str:
    """The hidden directory beside an output, which has what is staged and the name of the run.

    >>> hidden_of("gs://bucket/metrics/")
    'gs://bucket/.metrics.staging'
    """
    if not is_local(output):
        parent, _, name = output.rstrip("/").rpartition("/")
    else:
        parent, name = os.path.split(os.path.realpath(output))
    return f"{parent.rstrip('/')}/.{name}.staging"


def staging_of(output: str, run: str) -> str:
    """The directory in which a run stages the files of an output.

    >>> staging_of("gs://bucket/metrics/", "4f2a")
    'gs://bucket/.metrics.staging/4f2a'
    """
    return f"{hidden_of(output)}/{run}"


def taken_over(output: str) -> OutputError:
    """The error of a run that finds that an output is no longer its own."""
    return OutputError(f"{output}: another run has taken it over; nothing was published")


def write_file(path: str, content: Iterable[bytes]) -> int:
    """Writes a file, which appears whole or not at all, and never through a link to another file.

    Args:
      path: of any filesystem that Beam knows; a local directory is made if it does not exist.
      content: the bytes, in pieces, which may be made one by one; an error in making them is raised
        as it is.

    Returns:
      The size of the file, bytes.

    Raises:
      OutputError: the filesystem refuses.
    """
    if not is_local(path):
        with _as_output_error(path):
            file = create(path)
        return _fill(file, path, content)
    # A runner may make two attempts at a file at the same time, so each has a name of its own.
    part = f"{path}.{uuid.uuid4().hex}.part"
    with _as_output_error(path):
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        file = open(part, "xb")  # noqa: SIM115  (`_fill` closes it)
    try:
        size = _fill(file, path, content)
        with _as_output_error(path):
            os.replace(part, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(part)
        raise
    return size


def _fill(file: IO[bytes], path: str, content: Iterable[bytes]) -> int:
    """Writes the content and closes the file; returns the size."""
    size = 0
    try:
        for piece in content:
            with _as_output_error(path):
                file.write(piece)
            size += len(piece)
        with _as_output_error(path):
            file.close()
    except BaseException:
        _give_up(file)
        raise
    return size


def _give_up(file: IO[bytes]) -> None:
    """Closes a file that is not whole, so that it does not appear in a store.

    A file of Cloud Storage appears when it is closed, and an open one is closed when Python collects it.
    """
    with contextlib.suppress(Exception):
        getattr(file, "terminate", file.close)()


@contextlib.contextmanager
def _as_output_error(path: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # each store has errors of its own
        raise OutputError(f"{path}: can't be written: {reason(error)}") from error


def check_file(path: str) -> None:
    """Finds out whether a file in an object store can be written. An existing file stays as it is.

    Raises:
      OutputError: the store refuses.
    """
    if is_local(path):
        return
    with _as_output_error(path):
        check_filesystem(path)
        create(f"{path}.part").close()
        delete([f"{path}.part"])
