"""File formats: how a file is cut into parts, and how a part becomes raw columns.

A format decodes only the columns it is asked for, so the text of messages goes no further than here.
No format knows what a message is, and none imports Beam: they get functions that open a file, binary
and seekable.

Each format whose rows may be broken decodes a block twice if need be: `fast` has a library decode whole
columns, and gives None if it finds anything unusual; `slowly` then goes row by row, and knows of each
that is malformed its place and the reason. Both give the same for what both can read.
"""

import io
import os
import zlib
from csv import Error as CsvError
from typing import IO, cast

import fastavro
import pyarrow as pa
from isal.igzip_lib import IsalError

from transforms.errors import InputError
from transforms.reading.formats.avro import AVRO
from transforms.reading.formats.csv import CSV
from transforms.reading.formats.encodings import UNPACKERS, as_stored
from transforms.reading.formats.json import JSON
from transforms.reading.formats.json_lines import JSON_LINES
from transforms.reading.formats.parquet import PARQUET
from transforms.reading.formats.parts import Format


def format_of(path: str) -> Format:
    """The format that the suffix of a path names.

    Raises:
      InputError: the suffix is none of those known.
    """
    name = path.lower()
    for suffix, known in _FORMATS.items():
        if name.endswith(suffix):
            return known
    raise InputError(
        f"{path}: unknown format; known suffixes: {' '.join([*_BINARY, *_TEXTS])}, of text also with "
        f"{' '.join(UNPACKERS)}"
    )


def with_suffix(path: str, file_format: str | None) -> str:
    """A path whose suffix names a format: its own, else with that of `file_format`, if there is one.

    >>> with_suffix("entries.gz", "csv"), with_suffix("part-0", "csv"), with_suffix("a.json", "csv")
    ('entries.csv.gz', 'part-0.csv', 'a.json')
    """
    if file_format is None or any(path.lower().endswith(suffix) for suffix in _FORMATS):
        return path
    stem, packed = os.path.splitext(path)
    is_packed = f".{file_format}{packed.lower()}" in _FORMATS
    return f"{stem}.{file_format}{packed}" if is_packed else f"{path}.{file_format}"


def stem_of(path: str) -> str:
    """The name of a file without folders and without the suffix of its format; of a table, its name.

    >>> stem_of("gs://bucket/pages/8a1d7c52.json.gz")
    '8a1d7c52'
    """
    name = path.rpartition("/")[2]
    suffixes = [suffix for suffix in _FORMATS if name.lower().endswith(suffix)]
    return name[: -len(max(suffixes, key=len))] if suffixes else name.rpartition(".")[2]


def explain(path: str, error: Exception) -> InputError:
    """The error, one line, for a file that can't be read."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if isinstance(error, EOFError):
        line = f"it is truncated ({line})"
    return InputError(f"{path}: can't be read: {line}")


UNREADABLE = (
    pa.ArrowException,
    EOFError,
    OSError,
    ValueError,
    zlib.error,
    # Its stub has an instance where the class is.
    cast(type[Exception], IsalError),
    LookupError,
    CsvError,
    OverflowError,
    RecursionError,
    # A length that a broken file states may be more than there is memory.
    MemoryError,
    fastavro.schema.SchemaParseException,
    fastavro.read.SchemaResolutionError,
)
"""The errors of a format for a file that is broken, or none of that format."""


def _or_nothing(binary: Format) -> Format:
    """The format, of which an empty file has no rows."""

    def names(file: IO[bytes]) -> list[str] | None:
        if not file.seek(0, io.SEEK_END):
            return None
        file.seek(0)
        return binary.names(file)

    return binary._replace(
        names=names, parts=lambda file, size: binary.parts(file, size) if size else []
    )


_BINARY = {".avro": AVRO, ".parquet": PARQUET}

_TEXTS = {".jsonl": JSON_LINES, ".ndjson": JSON_LINES, ".json": JSON, ".csv": CSV, ".tsv": CSV}

_FORMATS = {
    **{suffix: _or_nothing(known) for suffix, known in _BINARY.items()},
    **{
        suffix + packed: as_stored(known, packed, has_quotes=known is CSV)
        for packed in ("", *UNPACKERS)
        for suffix, known in _TEXTS.items()
    },
}
