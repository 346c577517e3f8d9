"""JSON documents, such as pages of the Connect REST API: one in a file, several, or one in each line."""

import codecs
import functools
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np

from transforms.batches import Counts
from transforms.reading.columns import RawBatch
from transforms.reading.formats.json_columns import decode_lines, may_have_pages
from transforms.reading.formats.json_framing import Framed, frame
from transforms.reading.formats.json_lines import JSON_LINES
from transforms.reading.formats.json_values import (
    batch_of,
    batch_of_arrays,
    names_of,
    parse,
    rows_in,
    value_of,
)
from transforms.reading.formats.parts import (
    WHOLE,
    Decode,
    Format,
    Open,
    Part,
    already,
    counted,
)

_NAMING_BYTES = 1 << 20

# A document may be one line, of any length.
_LONGEST_LINE_BYTES = 16 << 20


def _values(lines: bytes) -> Any:
    """The values in lines, each of which must be JSON, as it is a piece of a document."""
    values = lines.removesuffix(b"\n").replace(b"\n", b",").decode()
    return parse(f"[{values}]")


def _has_lines(file: IO[bytes]) -> bool:
    """Whether a file is JSON Lines, as BigQuery and Spark write them with the suffix `.json`.

    It is if its first line is an object, and another line follows that does not begin a document of
    several lines. The file is then at its beginning.
    """
    first = second = b""
    while not first and (line := file.readline(_LONGEST_LINE_BYTES)):
        first = line.removeprefix(codecs.BOM_UTF8).strip()
    is_whole = line.endswith(b"\n")
    while is_whole and not second and (line := file.readline(_LONGEST_LINE_BYTES)):
        second = line.strip()
    file.seek(0)
    if not second or second in (b"{", b"["):
        return False
    try:
        return isinstance(value_of(first), dict)
    except (ValueError, RecursionError):
        return False


def _names(file: IO[bytes]) -> list[str] | None:
    """The keys in the first MiB of values."""
    if _has_lines(file):
        return JSON_LINES.names(file)
    for framed in frame(file, {}):
        if framed.columns is not None:
            return framed.columns
        end = framed.lines.find(b"\n", _NAMING_BYTES) + 1
        names = names_of(_values(framed.lines[: end or None]))
        if names is not None:
            return names
    return None


def _parts(file: IO[bytes], size: int) -> list[Part]:
    return JSON_LINES.parts(file, size) if _has_lines(file) else [WHOLE]


def _decode(framed: Framed, first: int, names: Sequence[str]) -> RawBatch:
    """The rows of values, the first of which has a number."""
    if framed.columns is not None:
        return batch_of_arrays(_values(framed.lines), framed.columns, first, names)
    decoded = decode_lines(framed.lines, names)
    if decoded is not None:
        return RawBatch(
            decoded.columns, decoded.num_lines, counted(lambda: first, decoded.num_lines)
        )
    pages: Counts = {}
    values = _values(framed.lines)
    rows = enumerate(values if framed.are_rows else rows_in(values, pages), first)
    return batch_of(list(rows), names, [], pages)


def _read(open_file: Open, part: Part, names: Sequence[str]) -> Iterator[Decode]:
    with open_file() as file:
        if _has_lines(file):
            yield from JSON_LINES.read(open_file, part, names)
            return
        pages: Counts = {}
        number = 1
        for framed in frame(file, pages):
            if not framed.are_rows and may_have_pages(framed.lines):
                # How many rows they have is found out by decoding them.
                raw = _decode(framed, number, names)
                yield functools.partial(already, raw)
                number += raw.num_rows + len(raw.malformed)
            else:
                yield functools.partial(_decode, framed, number, names)
                number += framed.lines.count(b"\n")
        if pages:
            yield functools.partial(already, RawBatch({}, 0, lambda: np.empty(0), pages=pages))


JSON = Format(lambda file: 0.4, _names, _parts, _read, rows_differ=True)
