"""What all formats share: parts of files, columns of tables, numbers of rows."""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.reading.columns import RawBatch

PART_BYTES = 64 << 20

BLOCK_BYTES = 16 << 20

BATCH_ROWS = 1 << 17

Open = Callable[[], IO[bytes]]

Decode = Callable[[], RawBatch]
"""Makes a raw batch of bytes that have been read: the work of a format, to be done in any thread."""


class Part(NamedTuple):
    """A part of a file: a range of bytes, of row groups, or the whole (`end` None)."""

    start: int
    end: int | None


WHOLE = Part(0, None)


class Format(NamedTuple):
    """What the reader needs to know of a file format.

    Attributes:
      bytes_per_byte: size of the canonical columns over that of the file, roughly.
      names: the columns of a file, nested ones with dots; None where it has no rows to tell by.
      parts: cuts a file of so many bytes.
      read: for a part, what gives its raw batches, with those of the named columns that the file has.
    """

    bytes_per_byte: float
    names: Callable[[IO[bytes]], list[str] | None]
    parts: Callable[[IO[bytes], int], list[Part]]
    read: Callable[[Open, Part, Sequence[str]], Iterator[Decode]]


def byte_ranges(size: int) -> list[Part]:
    """Parts of some `PART_BYTES` that together are a file of so many bytes."""
    count = max(1, size // PART_BYTES)
    edges = [size * i // count for i in range(count + 1)]
    return [Part(a, b) for a, b in itertools.pairwise(edges)]


def column(table: pa.Table | pa.RecordBatch, name: str) -> pa.Array | None:
    """A column under its name, or inside structs along the dots of the name."""
    if name in table.schema.names:
        column = table.column(name)
    else:
        top, *path = name.split(".")
        if not path or top not in table.schema.names:
            return None
        column = table.column(top)
        if not pa.types.is_struct(column.type):
            return None
        try:
            column = pc.struct_field(column, path)
        except pa.ArrowInvalid:
            return None
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return column


def columns_of(table: pa.Table | pa.RecordBatch, names: Sequence[str]) -> dict[str, pa.Array]:
    """Those of the named columns that a table has, nested ones under their names with dots."""
    found = ((name, column(table, name)) for name in names)
    return {name: column for name, column in found if column is not None}


class RowCounter:
    """Row numbers of the batches of a part, counted from its first row, known only when asked for."""

    def __init__(self, first_row: Callable[[], int]):
        self._first_row, self._before = functools.cache(first_row), 0

    def advance(self, rows: int) -> Callable[[], int]:
        """Gives the number of the next row, and moves on by so many."""
        before = self._before
        self._before += rows
        return lambda: self._first_row() + before


def already(raw: RawBatch) -> RawBatch:
    """Decodes what had to be decoded to know where it ends."""
    return raw


def counted(first: Callable[[], int], offsets: int | np.ndarray) -> Callable[[], np.ndarray]:
    """The numbers of the rows of a batch: so many, or at those offsets, from the first."""
    return lambda: first() + (np.arange(offsets) if isinstance(offsets, int) else offsets)


def look_up(row: Any, name: str) -> Any:
    """The value under a name in a nested dict: the whole name first, else along its dots."""
    value = row.get(name)
    if value is not None or "." not in name:
        return value
    value = row
    for key in name.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value
