"""CSV, as Bulk API 2.0 writes it."""

import csv
import functools
import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import IO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv

from transforms.reading.columns import RawBatch
from transforms.reading.formats.lines import (
    count_lines,
    line_blocks,
    line_part,
    read_exactly,
)
from transforms.reading.formats.parts import (
    WHOLE,
    Decode,
    Format,
    Open,
    Part,
    RowCounter,
    already,
    byte_ranges,
    counted,
)

# The reader's own limit, 128 KiB a field, is less than a customer may write.
csv.field_size_limit(max(csv.field_size_limit(), 1 << 30))

_LONGEST_RECORD_BYTES = 1 << 20  # a quoted field that goes on for longer was never closed
_DELIMITERS = ",;|\t^`"  # those that Bulk API 2.0 offers


class _Header(NamedTuple):
    names: list[str]
    delimiter: str
    num_bytes: int  # of the file, byte order mark and line end included


def _header(file: IO[bytes]) -> _Header:
    line = next(line_blocks(read_exactly(file, _LONGEST_RECORD_BYTES)), b"")
    line = line[: line.find(b"\n") + 1] or line
    text = line.decode("utf-8-sig").rstrip("\r\n")
    delimiter = max(_DELIMITERS, key=text.count)
    names = next(csv.reader([text], delimiter=delimiter), [])
    return _Header(names, delimiter, len(line))


def _parts(file: IO[bytes], size: int) -> list[Part]:
    """Byte ranges where no line end is inside quotes: every line has an even number of them."""
    ranges = byte_ranges(size)
    if len(ranges) > 1:
        for block in line_blocks(read_exactly(file, None)):
            if b'"' in block and len(_record_ends(block)[0]) < block.count(b"\n"):
                return [WHOLE]
    return ranges


def _record_ends(block: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The line ends outside quotes, and after how many lines each is, in a block that begins outside."""
    data = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    outside = np.searchsorted(np.flatnonzero(data == ord('"')), ends) & 1 == 0
    return ends[outside], np.flatnonzero(outside) + 1


def _well_quoted(block: bytes, delimiter: str) -> bool:
    """Whether quotes stand around whole fields only, or doubled inside of those, and all are closed."""
    data = np.frombuffer(b"\n" + block + b"\n", np.uint8)
    quotes = np.flatnonzero(data == ord('"'))
    if len(quotes) % 2:
        return False
    border = np.zeros(256, bool)
    border[[ord(delimiter), *b'\r\n"']] = True
    return bool(border[data[quotes[::2] - 1]].all() and border[data[quotes[1::2] + 1]].all())


def _fast(
    block: bytes, first: Callable[[], int], header: _Header, names: Sequence[str]
) -> RawBatch | None:
    """The records of a block where every one is as it should be, else None."""
    if b"\r" in block and block.count(b"\r") > block.count(b"\r\n"):
        return None
    if b'"' in block and not _well_quoted(block, header.delimiter):
        return None
    ends, lines = _record_ends(block)
    num_records = len(ends) + (not block.endswith(b"\n"))
    if np.diff(ends, prepend=-1, append=len(block)).max() > _LONGEST_RECORD_BYTES:
        return None
    wanted = {name: str(header.names.index(name)) for name in names if name in header.names}
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(block),
            read_options=pa.csv.ReadOptions(
                column_names=[str(i) for i in range(len(header.names))],
                block_size=max(1 << 20, len(block) // 8),
            ),
            parse_options=pa.csv.ParseOptions(delimiter=header.delimiter, newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(
                include_columns=list(wanted.values()),
                column_types={column: pa.string() for column in wanted.values()},
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != num_records:
        return None
    columns = {name: table.column(column).combine_chunks() for name, column in wanted.items()}
    starts = np.concatenate([[0], lines])[:num_records]
    return RawBatch(columns, num_records, counted(first, starts))


def _record(text: str, header: _Header) -> list[str] | str:
    """The fields of a record, or what is wrong with it."""
    try:
        found = list(csv.reader(io.StringIO(text, ""), delimiter=header.delimiter, strict=True))
    except csv.Error:
        return "a quote inside a field"
    if len(found) != 1:
        return "a line end inside a field"
    if len(found[0]) != len(header.names):
        return f"{len(found[0])} fields, the header has {len(header.names)}"
    return found[0]


def _slowly(
    block: bytes, first: int, header: _Header, names: Sequence[str], last: bool
) -> tuple[RawBatch, int]:
    """Record by record, up to one that may go on in the next block; and how many bytes that were.

    A record that is not as it should be loses its first line alone: where a quote is never closed, the
    lines that follow are records of their own.
    """
    wanted = {name: header.names.index(name) for name in names if name in header.names}
    columns: dict[str, list[str]] = {name: [] for name in wanted}
    kept: list[int] = []
    malformed: list[tuple[int, str]] = []
    lines = block.split(b"\n")
    if not lines[-1]:
        lines.pop()
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        end, quotes, size = at, lines[at].count(b'"'), len(lines[at])
        while quotes % 2 and end + 1 < len(lines) and size <= _LONGEST_RECORD_BYTES:
            end += 1
            quotes += lines[end].count(b'"')
            size += len(lines[end])
        if quotes % 2 and size <= _LONGEST_RECORD_BYTES and not last:
            break
        record: list[str] | str = "a quote is never closed"
        if quotes % 2 == 0:
            text = b"\n".join(lines[at : end + 1]).decode("utf-8", "surrogateescape")
            record = _record(text.removesuffix("\r"), header)
        if isinstance(record, list):
            record = [record[index] for index in wanted.values()]
            try:
                "".join(record).encode()
            except UnicodeEncodeError:
                record = "not UTF-8"
        if isinstance(record, str):
            malformed.append((first + at, record))
            at += 1
            continue
        kept.append(first + at)
        for column, value in zip(columns.values(), record, strict=True):
            column.append(value)
        at = end + 1
    arrays = {
        name: pa.array(column, pa.string(), mask=np.array([not v for v in column], bool))
        for name, column in columns.items()
    }
    used = min(len(block), sum(map(len, lines[:at])) + at)
    return RawBatch(arrays, len(kept), lambda: np.array(kept), malformed), used


def _read(open_file: Open, part: Part, names: Sequence[str]) -> Iterator[Decode]:
    with open_file() as file:
        header = _header(file)
        file.seek(0)
        blocks, first_line = line_part(open_file, file, part)
        counter = RowCounter(first_line)
        lines = line_blocks(blocks)
        if part.start == 0:  # the header's line comes first
            counter.advance(1)
            lines = itertools.chain([next(lines, b"")[header.num_bytes :]], lines)
        rest = b""
        for block in itertools.chain(filter(None, lines), [b""]):
            last = not block
            rest += block
            ends, _ = _record_ends(rest)
            used = len(rest) if last else int(ends[-1]) + 1 if len(ends) else 0
            if not used and len(rest) <= _LONGEST_RECORD_BYTES:
                continue
            first = counter.advance(0)
            raw = _fast(rest[:used], first, header, names) if used else None
            if raw is None:
                raw, used = _slowly(rest, first(), header, names, last)
            yield functools.partial(already, raw)
            if used:
                counter.advance(count_lines(rest[:used]))
                rest = rest[used:]


CSV = Format(0.6, lambda file: _header(file).names, _parts, _read)
