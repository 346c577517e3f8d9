"""CSV, as Bulk API 2.0 writes it.

A record may have line ends inside of quotes, so it takes one line or several. Its number is that of its
first line; the header is line 1.
"""

import codecs
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
    columns_to_read,
    counted,
)

# The reader's own limit, 128 KiB a field, is less than a customer may write.
csv.field_size_limit(max(csv.field_size_limit(), 1 << 30))

# A record that goes on for longer has a quote that was never closed.
_LONGEST_RECORD_BYTES = 1 << 20

# Those that Bulk API 2.0 offers.
_DELIMITERS = ",;|\t^`"

# What Bulk API 1.0 writes in place of the result of a query without one; others write an empty name.
_NOTHING = (b"", b'""', b"Records not found for this query", b'"Records not found for this query"')
_LONGEST_OF_NOTHING = 64

_NEVER_CLOSED = "a quote is never closed"


class _Header(NamedTuple):
    """The header of a file; `num_bytes` has its byte order mark and line end in it."""

    names: list[str]
    delimiter: str
    num_bytes: int


def _header(file: IO[bytes]) -> _Header:
    line = next(line_blocks(read_exactly(file, _LONGEST_RECORD_BYTES)), b"")
    line = line[: line.find(b"\n") + 1] or line
    text = line.decode("utf-8-sig").rstrip("\r\n")
    delimiter = max(_DELIMITERS, key=text.count)
    names = next(csv.reader([text], delimiter=delimiter), [])
    return _Header(names, delimiter, len(line))


def _has_nothing(file: IO[bytes]) -> bool:
    """Whether a file is what stands for no rows. It is then at its beginning."""
    text = b"".join(read_exactly(file, _LONGEST_OF_NOTHING))
    file.seek(0)
    return (
        len(text) < _LONGEST_OF_NOTHING and text.removeprefix(codecs.BOM_UTF8).strip() in _NOTHING
    )


def _names(file: IO[bytes]) -> list[str] | None:
    return None if _has_nothing(file) else _header(file).names


def _parts(file: IO[bytes], size: int) -> list[Part]:
    """Byte ranges if no line end is inside of quotes, so that each line is a record; else the whole."""
    if _has_nothing(file):
        return []
    ranges = byte_ranges(size)
    if len(ranges) > 1:
        for block in line_blocks(read_exactly(file, None)):
            if b'"' in block and len(_record_ends(block)[0]) < block.count(b"\n"):
                return [WHOLE]
    return ranges


def _record_ends(block: bytes) -> tuple[np.ndarray, np.ndarray]:
    r"""The line ends outside of quotes, and how many lines of the block each one ends.

    A line end is outside if an even number of quotes is before it; the block begins outside.

    >>> ends, lines = _record_ends(b'a,"x\ny"\nb,z\n')  # line ends at 4, 7 and 11
    >>> ends.tolist(), lines.tolist()
    ([7, 11], [2, 3])
    """
    data = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    outside = np.searchsorted(np.flatnonzero(data == ord('"')), ends) & 1 == 0
    return ends[outside], np.flatnonzero(outside) + 1


def _well_quoted(block: bytes, delimiter: str) -> bool:
    """Whether quotes are around whole fields only, or doubled inside of those, and all are closed."""
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
    """The records of a block in which every one is as it should be; None for any other."""
    if b"\r" in block and block.count(b"\r") > block.count(b"\r\n"):
        return None
    if b'"' in block and not _well_quoted(block, header.delimiter):
        return None
    ends, lines = _record_ends(block)
    num_records = len(ends) + (not block.endswith(b"\n"))
    if np.diff(ends, prepend=-1, append=len(block)).max() > _LONGEST_RECORD_BYTES:
        return None
    wanted = {name: str(header.names.index(name)) for name in columns_to_read(names, header.names)}
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


def _fields(content: bytes, header: _Header, wanted: Sequence[int]) -> list[str] | str:
    """The wanted fields of a record, by their places, or what is wrong with it."""
    text = content.decode("utf-8", "surrogateescape").removesuffix("\r")
    try:
        found = list(csv.reader(io.StringIO(text, ""), delimiter=header.delimiter, strict=True))
    except csv.Error:
        return "a quote inside a field"
    if len(found) != 1:
        return "a line end inside a field"
    if len(found[0]) != len(header.names):
        return f"{len(found[0])} fields, the header has {len(header.names)}"
    fields = [found[0][place] for place in wanted]
    try:
        "".join(fields).encode()
    except UnicodeEncodeError:
        return "not UTF-8"
    return fields


def _records(
    lines: Sequence[bytes], header: _Header, wanted: Sequence[int], last: bool
) -> Iterator[tuple[int, list[str] | str | None]]:
    r"""The records in the lines of a block, blank lines left out.

    A record that is not as it should be loses its first line alone: if a quote is never closed, the
    lines that follow are records of their own.

    >>> lines = [b's1,"two', b'lines"', b's2,"never closed', b's3,fine']
    >>> for record in _records(lines, _Header(["id", "text"], ",", 0), [0, 1], last=True):
    ...     print(record)
    (0, ['s1', 'two\nlines'])
    (2, 'a quote is never closed')
    (3, ['s3', 'fine'])

    In a block that is not the file's last the quote may still be closed: the last two would be
    `(2, None)`, and the next block begins with that line.

    Returns:
      For each record its first line, counted from 0, and the wanted fields or what is wrong; as the
      last one maybe None, for a record that may go on in the next block.
    """
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        end, quotes, size = at + 1, lines[at].count(b'"'), len(lines[at])
        while quotes % 2 and end < len(lines) and size <= _LONGEST_RECORD_BYTES:
            quotes += lines[end].count(b'"')
            size += len(lines[end])
            end += 1
        if quotes % 2 and size <= _LONGEST_RECORD_BYTES and not last:
            yield at, None
            return
        found = (
            _fields(b"\n".join(lines[at:end]), header, wanted) if quotes % 2 == 0 else _NEVER_CLOSED
        )
        yield at, found
        at = at + 1 if isinstance(found, str) else end


def _slowly(
    block: bytes, first: int, header: _Header, names: Sequence[str], last: bool
) -> tuple[RawBatch, int]:
    """The records one by one: for blocks that the fast way can't read, and to find which is broken.

    Returns:
      The records, and how many bytes of the block they are: all but a record that may go on in the next.
    """
    wanted = {name: header.names.index(name) for name in columns_to_read(names, header.names)}
    lines = block.split(b"\n")
    if not lines[-1]:
        lines.pop()
    used = len(lines)
    numbers: list[int] = []
    kept: list[list[str]] = []
    malformed: list[tuple[int, str]] = []
    for line, record in _records(lines, header, list(wanted.values()), last):
        if record is None:
            used = line
        elif isinstance(record, str):
            malformed.append((first + line, record))
        else:
            numbers.append(first + line)
            kept.append(record)
    columns = zip(*kept, strict=True) if kept else [()] * len(wanted)
    arrays = {
        name: pa.array(column, pa.string(), mask=np.array([not value for value in column], bool))
        for name, column in zip(wanted, columns, strict=True)
    }
    used_bytes = min(len(block), sum(map(len, lines[:used])) + used)
    return RawBatch(arrays, len(kept), lambda: np.array(numbers), malformed), used_bytes


def _read(open_file: Open, part: Part, names: Sequence[str]) -> Iterator[Decode]:
    with open_file() as file:
        header = _header(file)
        file.seek(0)
        blocks, first_line = line_part(open_file, file, part)
        counter = RowCounter(first_line)
        whole_lines = line_blocks(blocks)
        if part.start == 0:
            # The header's line comes first.
            counter.advance(1)
            after_header = next(whole_lines, b"")[header.num_bytes :]
            whole_lines = itertools.chain([after_header], whole_lines)
        # `rest` is what was read and not decoded. An empty block is the end.
        rest = b""
        for block in itertools.chain(filter(None, whole_lines), [b""]):
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


CSV = Format(lambda file: 0.6, _names, _parts, _read)
