"""Files on any filesystem that Beam knows."""

import functools
import os
import re
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
      OSError: it can't be.
    """
    if is_local(path):
        return open(path, "rb")
    try:
        return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    except Exception as error:  # each store has errors of its own
        raise OSError(reason(error)) from error


def match(pattern: str) -> list[tuple[str, int]]:
    """The files of a pattern and their sizes, sorted by path.

    Raises:
      InputError: none, a directory, or the filesystem says no.
    """
    if is_local(pattern) and os.path.isdir(pattern):
        raise InputError(f"{pattern}: a directory; name its files, as {pattern.rstrip('/')}/*.csv")
    try:
        check_credentials(pattern)
        (result,) = FileSystems.match([pattern])
    except Exception as error:
        raise InputError(f"{pattern}: can't be listed: {reason(error)}") from error
    files = sorted((m.path, m.size_in_bytes) for m in result.metadata_list)
    files = [(path, size) for path, size in files if not (is_local(path) and os.path.isdir(path))]
    if not files:
        relative = is_local(pattern) and not os.path.isabs(pattern)
        hint = f"; {os.path.abspath(pattern)}" if relative else ""
        raise InputError(f"{pattern}: no such file{hint}")
    return files


def check_credentials(path: str) -> None:
    """Finds Google's credentials, for a gs:// path; Beam would look for them for half a minute.

    Raises:
      google.auth.exceptions.DefaultCredentialsError: there are none.
    """
    if path.startswith("gs://") and "STORAGE_EMULATOR_HOST" not in os.environ:
        _find_credentials()


@functools.cache
def _find_credentials() -> None:
    try:
        import google.auth
    except ImportError:
        return  # of which the filesystem says more
    google.auth.default()


def reason(error: Any) -> str:
    """The one line, without a path, for what a filesystem says, and what to do about it."""
    while isinstance(error, BeamIOError) and error.exception_details:
        error = next(iter(error.exception_details.values()))
    if type(error).__name__ == "InvalidResponse":  # from an upload
        from google.api_core.exceptions import from_http_response

        error = from_http_response(error.response)
    if isinstance(error, int):  # the status of one request in a batch
        return f"the store answers {error}"
    text = getattr(error, "strerror", None) or getattr(error, "message", None)
    text = text or str(error.args[0] if getattr(error, "args", None) else error)
    text = (text.strip() or type(error).__name__).splitlines()[0]
    text = re.sub(r"^[A-Z]+ https?://\S+: ", "", text)
    if "Unable to get filesystem" in text:
        return _CLOUD_EXTRA if "gs://" in text else "no such filesystem here"
    code = getattr(error, "code", None)
    if code == 401 or type(error).__name__ in ("DefaultCredentialsError", "RefreshError"):
        return f"no valid credentials; {_LOGIN}: {text}"
    if code == 403:
        return f"permission denied: {text}"
    return "no such bucket" if code == 404 and "bucket" in text else text
