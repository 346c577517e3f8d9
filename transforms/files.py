"""Files on any filesystem that Beam knows."""

import os
from typing import IO

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.errors import InputError


def is_local(path: str) -> bool:
    """Whether a path is one of this machine's own."""
    return "://" not in path


def open_input(path: str) -> IO[bytes]:
    """Opens a file as its bytes are: seekable, nothing decompressed."""
    if is_local(path):
        return open(path, "rb")
    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def match(pattern: str) -> list[tuple[str, int]]:
    """The files of a pattern and their sizes, sorted by path.

    Raises:
      InputError: none, a directory, or the filesystem says no.
    """
    if is_local(pattern) and os.path.isdir(pattern):
        raise InputError(f"{pattern}: a directory; name its files, as {pattern.rstrip('/')}/*.csv")
    try:
        (result,) = FileSystems.match([pattern])
    except ValueError as error:
        if "Unable to get filesystem" in str(error) and pattern.startswith("gs://"):
            raise InputError(
                f"{pattern}: gs:// needs the cloud extra: pip install 'messaging-session-metrics[gcp]'"
            ) from None
        raise InputError(f"{pattern}: {error}") from error
    except Exception as error:
        raise InputError(f"{pattern}: can't be listed: {error}") from error
    files = sorted((m.path, m.size_in_bytes) for m in result.metadata_list)
    files = [(path, size) for path, size in files if not (is_local(path) and os.path.isdir(path))]
    if not files:
        relative = is_local(pattern) and not os.path.isabs(pattern)
        hint = f"; {os.path.abspath(pattern)}" if relative else ""
        raise InputError(f"{pattern}: no such file{hint}")
    return files
