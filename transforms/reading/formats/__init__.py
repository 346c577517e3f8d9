"""File formats: how a file is cut into parts, and how a part becomes raw columns.

A format decodes only the columns it is asked for, so the text of messages goes no further than here.
No format knows what a message is, and none imports Beam: they get functions that open a file, binary
and seekable.

Each format whose rows may be broken decodes a block twice if need be: `_fast` has a library decode whole
columns, and gives None if it finds anything unusual; `_slowly` then goes row by row, and knows of each
that is malformed its place and the reason. Both give the same for what both can read.
"""

import gzip
import zlib
from csv import Error as CsvError
from typing import IO

import fastavro
import pyarrow as pa

from transforms.errors import InputError
from transforms.reading.formats.avro import AVRO
from transforms.reading.formats.csv import CSV
from transforms.reading.formats.json import JSON
from transforms.reading.formats.json_lines import JSON_LINES
from transforms.reading.formats.parquet import PARQUET
from transforms.reading.formats.parts import WHOLE, Format, Open


def format_of(path: str) -> Format:
    """The format that the suffix of a path names.

    Raises:
      InputError: the suffix is none of those known.
    """
    name = path.lower()
    for suffix, known in _FORMATS.items():
        if name.endswith(suffix):
            return known
    raise InputError(f"{path}: unknown format; known suffixes: {' '.join(_FORMATS)}")


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
    LookupError,
    CsvError,
    OverflowError,
    RecursionError,
    fastavro.schema.SchemaParseException,
    fastavro.read.SchemaResolutionError,
)
"""The errors of a format for a file that is broken, or none of that format."""


def _gunzipped(open_file: Open) -> Open:
    def open_both() -> IO[bytes]:
        packed = open_file()
        plain = gzip.GzipFile(fileobj=packed)
        # GzipFile closes `myfileobj` when it is closed.
        plain.myfileobj = packed  # type: ignore[assignment]
        return plain  # type: ignore[return-value]

    return open_both


def _zipped(plain: Format) -> Format:
    """The format gzipped: read from its beginning to its end, in one part."""
    return Format(
        plain.bytes_per_byte * 8,
        lambda file: plain.names(gzip.GzipFile(fileobj=file)),  # type: ignore[arg-type]
        lambda file, size: [WHOLE],
        lambda open_file, part, names: plain.read(_gunzipped(open_file), part, names),
        plain.rows_differ,
    )


_FORMATS = {
    ".avro": AVRO,
    ".parquet": PARQUET,
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".json": JSON,
    ".csv": CSV,
    ".jsonl.gz": _zipped(JSON_LINES),
    ".ndjson.gz": _zipped(JSON_LINES),
    ".json.gz": _zipped(JSON),
    ".csv.gz": _zipped(CSV),
}
