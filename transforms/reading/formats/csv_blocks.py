"""A block of CSV to columns: all records at once, or one by one where that can't be. Pure; no Beam."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv

from transforms.plumbing.dictionaries import one_array
from transforms.reading.columns import RawBatch
from transforms.reading.formats.parts import columns_to_read, counted

# The reader's own limit, 128 KiB a field, is less than a customer may write.
csv.field_size_limit(max(csv.field_size_limit(), 1 << 30))

_QUOTE, _NEWLINE, _CR = b'"\n\r'

# A record that goes on for longer has a quote that was never closed.
LONGEST_RECORD_BYTES = 1 << 20

_OF_QUOTES = _NEVER_CLOSED, _INSIDE, _LINE_END = (
    "a quote is never closed",
    "a quote inside a field",
    "a line end inside a field",
)
"""What is wrong with a record that may not end where it seems to."""


class Header(NamedTuple):
    """The header of a file; `num_bytes` has its byte order mark and line end in it."""

    names: list[str]
    delimiter: str
    num_bytes: int


def has_line_ends_in_quotes(block: bytes) -> bool:
    r"""Whether a block that begins with a record has one of several lines.

    >>> has_line_ends_in_quotes(b'a,"x\ny"\n'), has_line_ends_in_quotes(b'a,"x"\nb,y\n')
    (True, False)
    """
    return not _line_ends(np.frombuffer(block, np.uint8))[2].all()


def _line_ends(data: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The quotes, the line ends, and which of these have an even number of quotes before them."""
    quotes, newlines = np.flatnonzero(data == _QUOTE), np.flatnonzero(data == _NEWLINE)
    return quotes, newlines, np.searchsorted(quotes, newlines) & 1 == 0


class Records(NamedTuple):
    """Whole records.

    Attributes:
      block: the records.
      ends: the line ends outside of quotes.
      lines: how many lines each one ends.
      are_orderly: whether what is wrong with a record, if anything, ends where the record ends. It is so
        where quotes are around whole fields only, or doubled inside of those, no CR stands alone, and no
        record is too long.
    """

    block: bytes
    ends: np.ndarray
    lines: np.ndarray
    are_orderly: bool


def whole_records(text: bytes, delimiter: str, last: bool) -> Records:
    r"""The records with which a text begins, up to its last line end outside of quotes.

    >>> records = whole_records(b'a,"x\ny"\nb,z\nc', ",", last=False)  # line ends at 4, 7 and 11
    >>> records.block, records.ends.tolist(), records.lines.tolist()
    (b'a,"x\ny"\nb,z\n', [7, 11], [2, 3])

    Args:
      text: begins with a record.
      delimiter: the delimiter of the file.
      last: whether the text is the file's last, so that all of it is records.
    """
    data = np.frombuffer(text, np.uint8)
    quotes, newlines, outside = _line_ends(data)
    ends, lines = newlines[outside], np.flatnonzero(outside) + 1
    used = len(text) if last else int(ends[-1]) + 1 if len(ends) else 0
    are_orderly = (
        used > 0
        and _are_around_fields(quotes[: np.searchsorted(quotes, used)], data[:used], delimiter)
        and not (b"\r" in text and _has_lone_cr(data[:used]))
        and np.diff(ends, prepend=-1, append=used).max() <= LONGEST_RECORD_BYTES
    )
    return Records(text[:used], ends, lines, bool(are_orderly))


def _has_lone_cr(data: np.ndarray) -> bool:
    after = np.flatnonzero(data == _CR) + 1
    return bool(len(after) and (after[-1] == len(data) or (data[after] != _NEWLINE).any()))


def _are_around_fields(quotes: np.ndarray, data: np.ndarray, delimiter: str) -> bool:
    """Whether quotes are around whole fields only, or doubled inside of those, and all are closed."""
    if len(quotes) % 2:
        return False
    opening, closing = quotes[::2], quotes[1::2]
    if len(quotes) and opening[0] == 0:
        opening = opening[1:]
    if len(quotes) and closing[-1] == len(data) - 1:
        closing = closing[:-1]
    around = data[opening - 1], data[closing + 1]
    borders = ord(delimiter), _NEWLINE, _CR, _QUOTE
    return all(np.logical_or.reduce([bytes_ == one for one in borders]).all() for bytes_ in around)


def fast(
    records: Records, first: Callable[[], int], header: Header, names: Sequence[str]
) -> RawBatch | None:
    """The records where all that is wrong are numbers of fields; None for any others.

    Args:
      records: orderly ones.
      first: gives the number of the first line.
      header: the header of the file.
      names: the columns that are asked for.
    """
    block, ends, lines, _ = records
    num_records = len(ends) + (not block.endswith(b"\n"))
    starts = np.concatenate([[0], lines])[:num_records]
    wanted = {name: str(header.names.index(name)) for name in columns_to_read(names, header.names)}
    wrong: dict[int, int] = {}

    def skip(row: pa.csv.InvalidRow) -> str:
        # The slow way leaves a blank line out.
        if not row.text.strip():
            return "error"
        wrong[row.number - 1] = row.actual_columns
        return "skip"

    table = _table(block, header, list(wanted.values()))
    if table is None and _is_utf8(block):
        table = _table(block, header, list(wanted.values()), skip)
    if table is None or table.num_rows + len(wrong) != num_records:
        return None
    columns = {name: one_array(table.column(column)) for name, column in wanted.items()}
    if not wrong:
        return RawBatch(columns, num_records, counted(first, starts))
    rows = first() + starts
    malformed = [(int(rows[at]), _wrong_number(number, header)) for at, number in wrong.items()]
    kept = np.delete(rows, list(wrong))
    return RawBatch(columns, len(kept), lambda: kept, malformed)


def _table(
    block: bytes,
    header: Header,
    wanted: Sequence[str],
    skip: Callable[[pa.csv.InvalidRow], str] | None = None,
) -> pa.Table | None:
    """The wanted columns, named by their places; None if a record is not as it should be.

    Args:
      block: the records, in UTF-8 if there is `skip`.
      header: the header of the file.
      wanted: the columns.
      skip: says of a record with more or fewer fields than the header whether to "skip" it. Without it
        there may be none.
    """
    try:
        return pa.csv.read_csv(
            pa.BufferReader(block),
            read_options=pa.csv.ReadOptions(
                column_names=[str(i) for i in range(len(header.names))],
                # Other threads decode other blocks; with its own Arrow takes twice the processor time.
                block_size=max(1, len(block)),
                use_threads=False,
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=header.delimiter,
                newlines_in_values=True,
                invalid_row_handler=skip,
            ),
            convert_options=pa.csv.ConvertOptions(
                include_columns=wanted,
                column_types={column: pa.string() for column in wanted},
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid:
        return None


def _is_utf8(block: bytes) -> bool:
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def _wrong_number(number: int, header: Header) -> str:
    return f"{number} fields, the header has {len(header.names)}"


def _fields(content: bytes, header: Header, wanted: Sequence[int]) -> list[str] | str:
    """The wanted fields of a record, by their places, or what is wrong with it."""
    text = content.decode("utf-8", "surrogateescape").removesuffix("\r")
    try:
        found = list(csv.reader(io.StringIO(text, ""), delimiter=header.delimiter, strict=True))
    except csv.Error:
        return _INSIDE
    if len(found) != 1:
        return _LINE_END
    if len(found[0]) != len(header.names):
        return _wrong_number(len(found[0]), header)
    fields = [found[0][place] for place in wanted]
    try:
        "".join(fields).encode()
    except UnicodeEncodeError:
        return "not UTF-8"
    return fields


def _records(
    lines: Sequence[bytes], header: Header, wanted: Sequence[int], last: bool
) -> Iterator[tuple[int, list[str] | str | None]]:
    r"""The records in the lines of a block, blank lines left out.

    A record whose quotes are not as they should be loses its first line alone: if a quote is never
    closed, the lines that follow are records of their own.

    >>> lines = [b's1,"two', b'lines"', b's2,"never closed', b's3,fine']
    >>> for record in _records(lines, Header(["id", "text"], ",", 0), [0, 1], last=True):
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
        while quotes % 2 and end < len(lines) and size <= LONGEST_RECORD_BYTES:
            quotes += lines[end].count(b'"')
            size += len(lines[end])
            end += 1
        if quotes % 2 and size <= LONGEST_RECORD_BYTES and not last:
            yield at, None
            return
        found = (
            _fields(b"\n".join(lines[at:end]), header, wanted) if quotes % 2 == 0 else _NEVER_CLOSED
        )
        yield at, found
        at = at + 1 if found in _OF_QUOTES else end


def slowly(
    block: bytes, first: int, header: Header, names: Sequence[str], last: bool
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
