"""Files on any filesystem that Beam knows."""

import functools
import io
import os
import re
from collections.abc import Callable, Iterable, Sequence
from typing import IO, Any

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.errors import InputError

_CLOUD_EXTRA = "gs:// needs the cloud extra: pip install 'messaging-session-metrics[gcp]'"

_LOGIN = "run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS"


def is_local(path: str) -> bool:
    """Whether a path is one of this machine's own."""
    return "://" not in path


def open_input(path: str) -> IO[bytes]:
    """Opens a file as its bytes are: seekable, nothing decompressed.

    Raises:
      OSError: it can't be; or later, from the file, it can't be read on.
    """
    if is_local(path):
        return open(path, "rb")
    try:
        return _Remote(FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED))  # type: ignore[return-value]
    except Exception as error:  # each store has errors of its own
        raise OSError(reason(error)) from error


class _Remote(io.BufferedIOBase):
    """A file of a store that raises an OSError of one line, whatever the store's client raises."""

    def __init__(self, file: IO[bytes]):
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        return self._ask(self._file.read, -1 if size is None else size)

    def readline(self, size: int | None = -1) -> bytes:
        return self._ask(self._file.readline, -1 if size is None else size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._ask(self._file.seek, offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()

    @staticmethod
    def _ask(do: Callable[..., Any], *args: int) -> Any:
        try:
            return do(*args)
        except Exception as error:
            raise OSError(f"reading broke off ({reason(error)}); run the same again") from error


def match(pattern: str) -> list[tuple[str, int]]:
    """The files of a pattern and their sizes, sorted by path.

    Raises:
      InputError: none, a directory, or the filesystem says no.
    """
    if is_local(pattern) and os.path.isdir(pattern):
        raise InputError(f"{pattern}: a directory; name its files, as {pattern.rstrip('/')}/*.csv")
    try:
        check_filesystem(pattern)
        # Beam finds nothing for a pattern without a directory.
        is_bare = is_local(pattern) and not os.path.dirname(pattern)
        (result,) = FileSystems.match([os.path.join(os.curdir, pattern) if is_bare else pattern])
    except Exception as error:
        raise InputError(f"{pattern}: can't be listed: {reason(error)}") from error
    found = ((m.path, m.size_in_bytes) for m in result.metadata_list)
    files = sorted((os.path.normpath(path) if is_bare else path, size) for path, size in found)
    files = [(path, size) for path, size in files if not (is_local(path) and os.path.isdir(path))]
    if not files:
        relative = is_local(pattern) and not os.path.isabs(pattern)
        hint = f"; {os.path.abspath(pattern)}" if relative else ""
        raise InputError(f"{pattern}: no such file{hint}")
    return files


def read(path: str) -> bytes:
    """The content of a file."""
    with FileSystems.open(path) as file:
        return file.read()


def create(path: str) -> IO[bytes]:
    """Opens a file for writing. In a store the file appears, whole, when it is closed."""
    return FileSystems.create(path)


def names_in(top: str) -> set[str]:
    """The files at any depth of a directory, by their paths within it; none if it does not exist."""
    (found,) = FileSystems.match([f"{top}/**"])
    return {file.path[len(top) + 1 :] for file in found.metadata_list}


def last_updated(path: str) -> float | None:
    """The time of a file's last change, in seconds since the epoch; None if it does not exist."""
    (found,) = FileSystems.match([path])
    return max((file.last_updated_in_seconds for file in found.metadata_list), default=None)


def rename(old: Sequence[str], new: Sequence[str]) -> None:
    """Moves files of one filesystem, `old[i]` to `new[i]`, each over whatever is there."""
    FileSystems.rename(list(old), list(new))


def delete(paths: Iterable[str]) -> None:
    """Deletes files of one filesystem.

    On Cloud Storage a hundred go into one request; `FileSystems.delete` makes three requests a file.
    There a file that does not exist is no error.
    """
    paths = list(paths)
    if not paths or not paths[0].startswith("gs://"):
        FileSystems.delete(paths)
        return
    from apache_beam.io.gcp.gcsio import GcsIO

    failed = {path: error for path, error in GcsIO().delete_batch(paths) if error}
    if failed:
        raise BeamIOError("can't be deleted", failed)


def check_filesystem(path: str) -> None:
    """Finds the filesystem of a path and, for gs://, Google's credentials.

    Beam alone would look for credentials for half a minute.

    Raises:
      Exception: one of the two is missing; `reason` makes a line of it.
    """
    if path.startswith("gs://") and "STORAGE_EMULATOR_HOST" not in os.environ:
        _find_credentials()
    FileSystems.get_filesystem(path)


@functools.cache
def _find_credentials() -> None:
    try:
        import google.auth
    except ImportError:
        return  # the filesystem then says what to install
    google.auth.default()


def reason(error: Any) -> str:
    """The one line, without a path, for what a filesystem says, and what to do about it."""
    while isinstance(error, BeamIOError) and error.exception_details:
        error = next(iter(error.exception_details.values()))
    error = _first_cause(error)
    if (
        getattr(error, "response", None) is not None
    ):  # what uploads and downloads make of it is longer
        from google.api_core.exceptions import from_http_response

        error = from_http_response(error.response)
    if isinstance(error, int):  # the status of one request in a batch
        return f"the store answers {error}"
    text = getattr(error, "strerror", None) or getattr(error, "message", None)
    args = getattr(error, "args", ())
    text = text or str(args[0] if args and isinstance(args[0], str) else error)
    text = (text.strip() or type(error).__name__).splitlines()[0]
    text = re.sub(r"^([A-Z]+ https?://\S+|HTTPS?Connection(Pool)?\(.*?\)): ", "", text)
    if "Unable to get filesystem" in text:
        return _CLOUD_EXTRA if "gs://" in text else "no such filesystem here"
    code = getattr(error, "code", None)
    if text == "unknown error":  # an answer without a word
        text = f"the store answers {code:d}"
    if code == 401 or type(error).__name__ in ("DefaultCredentialsError", "RefreshError"):
        return f"no valid credentials; {_LOGIN}: {text}"
    if code == 403:
        return f"permission denied: {text}"
    return "no such bucket" if code == 404 and "bucket" in text else text


def _first_cause(error: Any) -> Any:
    """What a client that gave up trying, or that had no answer, tells of only in passing."""
    while True:
        told = (getattr(error, name, None) for name in ("cause", "reason"))
        inner = (e for e in (*told, *getattr(error, "args", ())) if isinstance(e, Exception))
        cause = next(inner, None)
        if cause is None:
            return error
        error = cause
