"""Files on any filesystem that Beam knows: listed, read, written, moved, deleted; errors in one line."""

import functools
import io
import os
import re
from collections.abc import Callable, Iterable, Sequence
from typing import IO, Any, Literal

from transforms.errors import InputError
from transforms.patterns import local_files

FileFormat = Literal["avro", "parquet", "jsonl", "json", "csv"]
"""A format that may be named for files whose suffix names none."""

_CLOUD_EXTRA = "gs:// needs the cloud extra: pip install 'messaging-session-metrics[gcp]'"

_NO_CREDENTIALS = (
    "no valid credentials; run gcloud auth application-default login, or set "
    "GOOGLE_APPLICATION_CREDENTIALS: {}"
)

_ANSWER = "the store answers {}"


@functools.cache
def _filesystems() -> Any:
    """Beam's filesystems. Beam, which takes a second to load, is loaded when one is needed."""
    from apache_beam.io.filesystems import FileSystems

    return FileSystems


def absolute(path: str) -> str:
    """A path of this machine with its directory; a path in a store as it is."""
    return os.path.abspath(path) if is_local(path) else path


def is_local(path: str) -> bool:
    """Whether a path is in a filesystem of this machine, not in a store."""
    return "://" not in path


def open_input(path: str, directory: str = "") -> IO[bytes]:
    """Opens a file for reading: seekable, its bytes as they are stored, nothing decompressed.

    Args:
      path: of any filesystem that Beam knows.
      directory: where a relative path begins; empty for the working directory of this process.

    Raises:
      OSError: the file can't be opened; later, from the file's own methods, it can't be read on.
    """
    if is_local(path):
        return open(os.path.join(directory, path), "rb")
    from apache_beam.io.filesystem import CompressionTypes

    try:
        return _Remote(_filesystems().open(path, compression_type=CompressionTypes.UNCOMPRESSED))  # type: ignore[return-value]
    # Each store has errors of its own.
    except Exception as error:
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


def match(pattern: str, directory: str = "") -> list[tuple[str, int]]:
    """The files that a pattern matches, and their sizes in bytes, sorted by path.

    Those of this machine are found as `local_files` says, also behind `file://`; a store lists its own.

    Args:
      pattern: the pattern.
      directory: where relative paths begin; empty for the working directory of this process.

    Raises:
      InputError: no file matches, one of them can't be read, the pattern is a directory, or the
        filesystem can't list it.
    """
    local = pattern.removeprefix("file://")
    if is_local(local):
        if files := local_files(local, directory):
            return files
        whole = os.path.abspath(os.path.join(directory, local))
        hint = "" if os.path.isabs(local) else f"; {whole}"
        raise InputError(f"{pattern}: no such file{hint}")
    try:
        check_filesystem(pattern)
        (result,) = _filesystems().match([pattern])
    except Exception as error:
        raise InputError(f"{pattern}: can't be listed: {reason(error)}") from error
    if not result.metadata_list:
        raise InputError(f"{pattern}: no such file")
    return sorted((file.path, file.size_in_bytes) for file in result.metadata_list)


def read(path: str) -> bytes:
    """The content of a file."""
    with _filesystems().open(path) as file:
        return file.read()


def create(path: str) -> IO[bytes]:
    """Opens a file for writing. In a store the file appears, whole, when it is closed."""
    return _filesystems().create(path)


def names_in(top: str) -> set[str]:
    """The files at any depth of a directory, by their paths within it; none if it does not exist."""
    (found,) = _filesystems().match([f"{top}/**"])
    return {file.path[len(top) + 1 :] for file in found.metadata_list}


def last_updated(path: str) -> float | None:
    """The time of a file's last change, in seconds since the epoch; None if it does not exist."""
    (found,) = _filesystems().match([path])
    return max((file.last_updated_in_seconds for file in found.metadata_list), default=None)


def rename(old: Sequence[str], new: Sequence[str]) -> None:
    """Moves files of one filesystem, `old[i]` to `new[i]`, each over whatever is there."""
    _filesystems().rename(list(old), list(new))


def delete(paths: Iterable[str]) -> None:
    """Deletes files of one filesystem.

    On Cloud Storage a hundred go into one request; `FileSystems.delete` makes three requests a file.
    There a file that does not exist is no error.
    """
    paths = list(paths)
    if not paths or not paths[0].startswith("gs://"):
        _filesystems().delete(paths)
        return
    from apache_beam.io.filesystem import BeamIOError
    from apache_beam.io.gcp.gcsio import GcsIO

    failed = {path: error for path, error in GcsIO().delete_batch(paths) if error}
    if failed:
        raise BeamIOError("can't be deleted", failed)


def bucket_of(path: str) -> tuple[Any, str]:
    """The client's object for the bucket of a gs:// path, and the name of the file in it."""
    from apache_beam.io.gcp.gcsio import GcsIO, parse_gcs_path

    bucket, name = parse_gcs_path(path)
    return GcsIO().client.bucket(bucket), name


def check_filesystem(path: str) -> None:
    """Finds the filesystem of a path and, for gs://, Google's credentials.

    Beam alone would look for credentials for half a minute.

    Raises:
      Exception: one of the two is missing; `reason` makes a line of it.
    """
    if path.startswith("gs://") and "STORAGE_EMULATOR_HOST" not in os.environ:
        _find_credentials()
    _filesystems().get_filesystem(path)


@functools.cache
def _find_credentials() -> None:
    try:
        import google.auth
    except ImportError:
        return  # the filesystem then says what to install
    google.auth.default()


def reason(error: Any) -> str:
    """One line, without a path, for a filesystem's error: what is wrong and, if known, what to do.

    Args:
      error: an exception of Beam, of a store's client or of the operating system, or the status of one
        request in a batch.
    """
    # A BeamIOError has the errors of its files.
    while details := getattr(error, "exception_details", None):
        error = next(iter(details.values()))
    error = _innermost(error)
    lines = (line_of(error) for line_of in _FAMILIES)
    return next((line for line in lines if line), None) or _line_of(error)


def _innermost(error: Any) -> Any:
    """The error in which a client's error has its cause.

    A client that gave up trying names it `cause`, urllib3 `reason`; requests has it among its arguments.
    """
    while True:
        named = (getattr(error, name, None) for name in ("cause", "reason"))
        inner = (e for e in (*named, *getattr(error, "args", ())) if isinstance(e, Exception))
        cause = next(inner, None)
        if cause is None:
            return error
        error = cause


def _line_of(error: Any) -> str:
    """The first line of an error's own text, without the request or the connection before it."""
    text = getattr(error, "strerror", None) or getattr(error, "message", None)
    args = getattr(error, "args", ())
    text = text or str(args[0] if args and isinstance(args[0], str) else error)
    text = (text.strip() or type(error).__name__).splitlines()[0]
    return re.sub(r"^([A-Z]+ https?://\S+|HTTPS?Connection(Pool)?\(.*?\)): ", "", text)


def _line_of_status(error: Any) -> str | None:
    """For the status of one request in a batch."""
    return _ANSWER.format(error) if isinstance(error, int) else None


def _line_of_filesystem(error: Any) -> str | None:
    """For a filesystem that Beam does not know, or for which a package is not installed."""
    text = _line_of(error)
    if "Unable to get filesystem" not in text:
        return None
    return _CLOUD_EXTRA if "gs://" in text else "no such filesystem here"


def _line_of_credentials(error: Any) -> str | None:
    """For credentials that google.auth does not find or can't renew."""
    if type(error).__name__ not in ("DefaultCredentialsError", "RefreshError"):
        return None
    return _NO_CREDENTIALS.format(_line_of(error))


def _line_of_answer(error: Any) -> str | None:
    """For an answer of Google's services with a status of failure."""
    if getattr(error, "response", None) is not None:
        from google.api_core.exceptions import from_http_response

        # Uploads and downloads wrap an answer in a longer text.
        error = from_http_response(error.response)
    code, text = getattr(error, "code", None), _line_of(error)
    if not isinstance(code, int):
        return None
    if text == "unknown error":
        text = _ANSWER.format(int(code))
    if code == 401:
        return _NO_CREDENTIALS.format(text)
    if code == 403:
        return f"permission denied: {text}"
    return "no such bucket" if code == 404 and "bucket" in text else text


_FAMILIES = (_line_of_status, _line_of_filesystem, _line_of_credentials, _line_of_answer)
"""Each gives its line for the errors it knows, else None."""
