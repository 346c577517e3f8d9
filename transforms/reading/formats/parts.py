"""The parts of files, the columns of tables and the row numbers that all formats share."""

import functools
import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.plumbing.dictionaries import one_array
from transforms.reading.columns import RawBatch

PART_BYTES = 64 << 20

BLOCK_BYTES = 16 << 20

BATCH_ROWS = 1 << 17

Open = Callable[[], IO[bytes]]

Decode = Callable[[], RawBatch]
"""Makes a raw batch of bytes that have been read. Any thread may call it."""


class Part(NamedTuple):
    """A part of a file: a range of bytes, of row groups, or the whole (`end` None)."""

    start: int
    end: int | None


WHOLE = Part(0, None)


class Format(NamedTuple):
    """A file format, as the functions that the reader calls.

    Attributes:
      bytes_per_byte: gives the size of the canonical columns divided by that of the file, roughly.
      names: gives the columns of a file, nested ones with dots; None if it has no row that would have
        any, as an empty file.
      parts: cuts a file of so many bytes into parts.
      read: gives for a part its pieces in order; decoded, a piece has those of the named columns that
        the file has; of a name with dots that leads into a column of texts, that column.
      rows_differ: whether rows may have other columns than those that `names` gives.
    """

    bytes_per_byte: Callable[[IO[bytes]], float]
    names: Callable[[IO[bytes]], list[str] | None]
    parts: Callable[[IO[bytes], int], list[Part]]
    read: Callable[[Open, Part, Sequence[str]], Iterator[Decode]]
    rows_differ: bool = False


def byte_ranges(size: int) -> list[Part]:
    """Parts of some `PART_BYTES` that together are a file of so many bytes."""
    count = max(1, size // PART_BYTES)
    edges = [size * i // count for i in range(count + 1)]
    return [Part(a, b) for a, b in itertools.pairwise(edges)]


def columns_to_read(names: Sequence[str], found: Collection[str]) -> list[str]:
    """The columns of a file that hold what is asked for, each once.

    >>> columns_to_read(["sender.role", "Id", "Seq"], ["Id", "sender"])
    ['sender', 'Id']

    Args:
      names: the columns that are asked for.
      found: those that the file has, nested ones with dots.
    """
    leading = (next((one for one in leading_parts(name) if one in found), None) for name in names)
    return list(dict.fromkeys(filter(None, leading)))


def leading_parts(name: str) -> Iterator[str]:
    """A name, and the names of what it may be inside of, from the inside out.

    >>> list(leading_parts("a.b.c"))
    ['a.b.c', 'a.b', 'a']
    """
    yield name
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _column(table: pa.Table | pa.RecordBatch, name: str) -> pa.Array | None:
    """The column under a name, or inside structs along the dots of the name; None if there is none."""
    if name in table.schema.names:
        found = table.column(name)
    else:
        top, *path = name.split(".")
        if not path or top not in table.schema.names:
            return None
        found = table.column(top)
        if not pa.types.is_struct(found.type):
            return None
        try:
            found = pc.struct_field(found, path)
        except pa.ArrowInvalid:
            return None
    return one_array(found) if isinstance(found, pa.ChunkedArray) else found


def columns_of(table: pa.Table | pa.RecordBatch, names: Sequence[str]) -> dict[str, pa.Array]:
    """The named columns that a table has, nested ones under their names with dots.

    In place of one that leads into a column of texts there is that column.
    """
    columns = {}
    for name in names:
        for part in leading_parts(name):
            array = _column(table, part)
            if array is not None and (part == name or is_text(array.type)):
                columns[part] = array
                break
    return columns


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds texts, as they are or as the codes of a dictionary."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


class RowCounter:
    """Numbers the rows of a part's batches; the first row's number is found when it is first asked for.

    >>> counter = RowCounter(lambda: 100)
    >>> first, second = counter.advance(3), counter.advance(lambda: 4)
    >>> first(), second(), counter.advance(0)()
    (100, 103, 107)
    """

    def __init__(self, first_row: Callable[[], int]):
        self._first_row = functools.cache(first_row)
        self._counts: list[int | Callable[[], int]] = []

    def advance(self, rows: int | Callable[[], int]) -> Callable[[], int]:
        """Gives a function for the number of the next row, and moves on by so many rows.

        Args:
          rows: how many they are, or what tells it when the number of a later row is asked for.
        """
        before = len(self._counts)
        self._counts.append(rows)

        def next_row() -> int:
            counts = self._counts[:before]
            return self._first_row() + sum(one if isinstance(one, int) else one() for one in counts)

        return next_row


def already(raw: RawBatch) -> RawBatch:
    """The decoding of a batch that the reader had to decode itself, to find where it ends."""
    return raw


def counted(first: Callable[[], int], offsets: int | np.ndarray) -> Callable[[], np.ndarray]:
    """A function for the numbers of a batch's rows.

    Args:
      first: gives the number from which they count.
      offsets: how many rows there are, each one after the other, or how far each is from the first.
    """
    return lambda: first() + (np.arange(offsets) if isinstance(offsets, int) else offsets)


def look_up(row: Any, name: str, parse: Callable[[str], Any] | None = None) -> Any:
    """The value under a name in a nested dict: under the whole name, else along its dots.

    >>> look_up({"sender.role": "Agent"}, "sender.role")
    'Agent'
    >>> look_up({"sender": {"role": "Agent"}}, "sender.role")
    'Agent'
    >>> import json
    >>> look_up({"sender": '{"role": "Agent"}'}, "sender.role", json.loads)
    'Agent'

    Args:
      row: the dict.
      name: the name.
      parse: gives the value of a text of JSON; raises ValueError or RecursionError for any other text.
    """
    value = row.get(name)
    if value is not None or "." not in name:
        return value
    value = row
    for key in name.split("."):
        if isinstance(value, str) and parse is not None:
            try:
                value = parse(value)
            except (ValueError, RecursionError):
                return None
        value = value.get(key) if isinstance(value, dict) else None
    return value
