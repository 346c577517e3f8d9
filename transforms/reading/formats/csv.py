"""CSV, as Bulk API 2.0 writes it.

A record may have line ends inside of quotes, so it takes one line or several. Its number is that of its
first line; the header is line 1.
"""

import codecs
import csv
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import IO

from transforms.reading.columns import RawBatch
from transforms.reading.formats import csv_blocks
from transforms.reading.formats.lines import line_part, read_exactly, read_lines
from transforms.reading.formats.parts import (
    WHOLE,
    Decode,
    Format,
    Open,
    Part,
    RowCounter,
    already,
    byte_ranges,
)

# Those that Bulk API 2.0 offers.
_DELIMITERS = ",;|\t^`"

# What Bulk API 1.0 writes in place of the result of a query without one; others write an empty name.
_NOTHING = (b"", b'""', b"Records not found for this query", b'"Records not found for this query"')
_LONGEST_OF_NOTHING = 64


def _header(file: IO[bytes]) -> csv_blocks.Header:
    line = file.readline(csv_blocks.LONGEST_RECORD_BYTES)
    text = line.decode("utf-8-sig").rstrip("\r\n")
    delimiter = max(_DELIMITERS, key=text.count)
    names = next(csv.reader([text], delimiter=delimiter), [])
    return csv_blocks.Header(names, delimiter, len(line))


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
        for block in read_lines(file, None):
            if b'"' in block and csv_blocks.has_line_ends_in_quotes(block):
                return [WHOLE]
    return ranges


def _read(open_file: Open, part: Part, names: Sequence[str]) -> Iterator[Decode]:
    with open_file() as file:
        header = _header(file)
        file.seek(0)
        blocks, first_line = line_part(open_file, file, part)
        counter = RowCounter(first_line)
        if part.start == 0:
            # The header's line comes first.
            counter.advance(1)
            after_header = next(blocks, b"")[header.num_bytes :]
            blocks = itertools.chain([after_header], blocks)
        # `rest` is what was read and not decoded. An empty block is the end.
        rest = b""
        for block in itertools.chain(filter(None, blocks), [b""]):
            last = not block
            rest += block
            records = csv_blocks.whole_records(rest, header.delimiter, last)
            used = len(records.block)
            if not used and len(rest) <= csv_blocks.LONGEST_RECORD_BYTES:
                continue
            first = counter.advance(0)
            if records.are_orderly:
                yield functools.partial(_decode, records, first, header, names)
                num_lines = int(records.lines[-1]) if len(records.lines) else 0
            else:
                # Where its records end is found out by decoding them.
                raw, used = csv_blocks.slowly(rest, first(), header, names, last)
                yield functools.partial(already, raw)
                num_lines = rest.count(b"\n", 0, used)
            # The last block, after which no row is numbered, may lack a line end.
            counter.advance(num_lines)
            rest = rest[used:]


def _decode(
    records: csv_blocks.Records,
    first: Callable[[], int],
    header: csv_blocks.Header,
    names: Sequence[str],
) -> RawBatch:
    """Orderly records as columns."""
    raw = csv_blocks.fast(records, first, header, names)
    if raw is None:
        raw, _ = csv_blocks.slowly(records.block, first(), header, names, last=True)
    return raw


CSV = Format(lambda file: 0.6, _names, _parts, _read)
