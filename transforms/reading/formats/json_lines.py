"""JSON Lines: a block is read as whole columns, or line by line where that can't be."""

import codecs
import functools
import json
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from transforms.batches import Counts
from transforms.reading.columns import RawBatch
from transforms.reading.formats.json_by_layout import one_of_each_layout
from transforms.reading.formats.json_columns import decode_lines
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
        block = file.read(1 << 20) + file.readline()
        for line in one_of_each_layout(block) or block.split(b"\n"):
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


class _LineCount:
    """The number of lines of a block. They are counted if it is asked for before they are decoded."""

    def __init__(self, block: bytes):
        self._block: bytes | None = block
        self._count = 0

    def tell(self, count: int) -> None:
        """Says how many they are, so that the block need not be kept."""
        self._count = count
        self._block = None

    def __call__(self) -> int:
        # Another thread may tell it meanwhile.
        block = self._block
        return self._count if block is None else count_lines(block)


def _read_lines(open_file: Open, part: Part, names: Sequence[str]) -> Iterator[Decode]:
    with open_file() as file:
        blocks, first_line = line_part(open_file, file, part)
        counter = RowCounter(first_line)
        for block in blocks:
            block = block.removeprefix(codecs.BOM_UTF8)
            count = _LineCount(block)
            yield functools.partial(_decode, block, count, counter.advance(count), names)


def _decode(
    block: bytes, count: _LineCount, first: Callable[[], int], names: Sequence[str]
) -> RawBatch:
    decoded = decode_lines(block, names)
    count.tell(decoded.num_lines if decoded else count_lines(block))
    if decoded is None:
        return _slowly(block, first(), names)
    return RawBatch(decoded.columns, decoded.num_lines, counted(first, decoded.num_lines))


JSON_LINES = Format(
    lambda file: 0.4, _names_of_lines, lambda file, size: byte_ranges(size), _read_lines, True
)
