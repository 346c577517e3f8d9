"""JSON Lines: a block is read as whole columns, or line by line where that can't be."""

import codecs
import functools
import json
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from transforms.batches import Counts
from transforms.reading.columns import RawBatch
from transforms.reading.formats.json_columns import columns_of_lines
from transforms.reading.formats.json_values import batch_of, names_of, rows_in, value_of
from transforms.reading.formats.lines import count_lines, line_part
from transforms.reading.formats.parts import (
    Decode,
    Format,
    Open,
    Part,
    RowCounter,
    byte_ranges,
    counted,
)


def _names_of_lines(file: IO[bytes]) -> list[str] | None:
    """The keys in the first MiB of lines."""

    def values() -> Iterator[Any]:
        for line in (file.read(1 << 20) + file.readline()).split(b"\n"):
            try:
                yield value_of(line)
            except (ValueError, RecursionError):
                continue

    return names_of(values())


def _slowly(block: bytes, first: int, names: Sequence[str]) -> RawBatch:
    """The rows line by line: for blocks that can't be read as columns, and to find a broken line."""
    rows: list[tuple[int, Any]] = []
    malformed: list[tuple[int, str]] = []
    pages: Counts = {}
    for number, line in enumerate(block.split(b"\n"), first):
        if not line.removeprefix(codecs.BOM_UTF8).strip():
            continue
        try:
            value = value_of(line)
        except (ValueError, RecursionError) as error:
            problem = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
            malformed.append((number, f"not JSON: {problem}"))
            continue
        rows.extend((number, row) for row in rows_in([value], pages))
    return batch_of(rows, names, malformed, pages)


def _read_lines(open_file: Open, part: Part, names: Sequence[str]) -> Iterator[Decode]:
    with open_file() as file:
        blocks, first_line = line_part(open_file, file, part)
        counter = RowCounter(first_line)
        for block in blocks:
            block = block.removeprefix(codecs.BOM_UTF8)
            count = count_lines(block)
            yield functools.partial(_decode_lines, block, count, counter.advance(count), names)


def _decode_lines(
    block: bytes, count: int, first: Callable[[], int], names: Sequence[str]
) -> RawBatch:
    columns = columns_of_lines(block, count, names)
    if columns is None:
        return _slowly(block, first(), names)
    return RawBatch(columns, count, counted(first, count))


JSON_LINES = Format(
    lambda file: 0.4, _names_of_lines, lambda file, size: byte_ranges(size), _read_lines, True
)
