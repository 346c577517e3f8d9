r"""Rewrites JSON documents of any size as lines, a value each, a block at a time. Pure; no Beam.

    [{"Id": "a"},                                    {"Id": "a"}
     {"Id": "b"}]                                    {"Id": "b"}

    {"done": true, "records": [{"Id": "a"}, ...      {"Id": "a"}

Only quotes, brackets and commas are looked at. Whether a value is JSON is found out when it is parsed.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import numpy as np

from transforms.batches import Counts
from transforms.reading.formats import parts
from transforms.reading.formats.json_structure import COMMA, Structure, structure_of
from transforms.reading.formats.json_values import (
    DATA,
    ENTRIES,
    METADATA,
    RECORDS,
    names_in,
    parse,
    rows_in,
)

_BLANKS = re.compile(rb"(?:[ \t\r\n]|\xef\xbb\xbf)*")

_KEY_OF_ROWS = re.compile(rf'"({ENTRIES}|{RECORDS}|{DATA})"\s*:\s*\Z'.encode())

_LONGEST_KEY_BYTES = 100

_BLANK_FIRST, _BLANK_NEXT = re.compile(rb"[ \t\r]*\n"), re.compile(rb"\n[ \t\r]*\n")

# In place of the rows of a page that is looked at without them.
_ROWS = "\u0001 the rows"


class Framed(NamedTuple):
    """Values of documents.

    Attributes:
      lines: the values, each on one line, each line with its end.
      are_rows: whether they are rows of a page; else each may be a page itself.
      columns: what the rows hold that are arrays, in a page of Data Cloud; None elsewhere.
    """

    lines: bytes
    are_rows: bool = False
    columns: list[str] | None = None


def frame(file: IO[bytes], pages: Counts) -> Iterator[Framed]:
    """The values of a file of JSON documents, one document after the other, maybe with blanks between.

    The values of an array are its elements, those of a page that is larger than a block are its rows.
    Any other document is a value itself.

    Args:
      file: the file.
      pages: gets the counts of the large pages, as `json_values.rows_in` counts them.

    Raises:
      ValueError: a document is no object and no array, or it is not closed.
    """
    text = _Text(file)
    while text.skip_blanks():
        if (lines := _documents(text)) is not None:
            if lines:
                yield Framed(lines)
        elif text.buffer.startswith(b"["):
            text.drop(1)
            yield from _elements(text)
        elif len(text.buffer) >= parts.BLOCK_BYTES and (page := _large_page(text)):
            text.drop(len(page.head))
            for framed in _elements(text):
                yield framed._replace(are_rows=True, columns=page.columns)
            whole = page.with_rest(_rest_of_object(text, page.depth))
            # Only to count the page.
            list(rows_in([whole], pages))
        else:
            text.fill()


class _Text:
    """What has been read of a file and not yet been used.

    Attributes:
      buffer: the text.
      offset: where it begins in the file.
    """

    def __init__(self, file: IO[bytes], offset: int = 0):
        file.seek(offset)
        self._file, self.buffer, self.offset = file, b"", offset
        self._structure: tuple[bytes, Structure] | None = None

    @property
    def structure(self) -> Structure:
        """The structure of the buffer."""
        if self._structure is None or self._structure[0] is not self.buffer:
            self._structure = self.buffer, structure_of(self.buffer)
        return self._structure[1]

    def _read(self) -> bool:
        # As much again, so that to look at all of a long value each time takes no longer than it is.
        more = self._file.read(max(parts.BLOCK_BYTES, len(self.buffer)))
        self.buffer += more
        return bool(more)

    def fill(self) -> None:
        """Reads on inside of a value; raises ValueError at the end of the file."""
        if not self._read():
            raise ValueError("it ends inside of a JSON value")

    def drop(self, num_bytes: int) -> None:
        """Drops what has been used."""
        self.buffer = self.buffer[num_bytes:]
        self.offset += num_bytes

    def after_array(self, start: int, depth: int) -> bytes:
        """What follows an array in the objects around it, as `_rest_of_object` gives it; uses nothing."""
        place = self._file.tell()
        ahead = _Text(self._file, self.offset + start)
        for _ in _regions(ahead):
            pass
        rest = _rest_of_object(ahead, depth)
        self._file.seek(place)
        return rest

    def skip_blanks(self) -> bool:
        """Drops blanks before a document; returns whether there is one."""
        while True:
            blanks = _BLANKS.match(self.buffer)
            self.drop(blanks.end() if blanks else 0)
            # A byte order mark may be cut in two.
            if not codecs.BOM_UTF8.startswith(self.buffer):
                return True
            if not self._read():
                return bool(self.buffer)


def _elements(text: _Text) -> Iterator[Framed]:
    """The elements of an array whose opening bracket is used; uses all of it."""
    for region, commas in _regions(text):
        yield Framed(_lines(region, commas))


def _lines(region: bytes, commas: np.ndarray) -> bytes:
    """The elements of an array, each on a line; raises ValueError if one is missing."""
    data = np.frombuffer(region + b"\n", np.uint8).copy()
    data[data == ord("\n")] = ord(" ")
    data[commas] = data[-1] = ord("\n")
    lines = data.tobytes()
    if _BLANK_FIRST.match(lines) or _BLANK_NEXT.search(lines):
        raise ValueError("an element is missing between two commas of a JSON array")
    return lines


def _regions(text: _Text) -> Iterator[tuple[bytes, np.ndarray]]:
    """The text of the elements of an array, and where in it the commas between them are."""
    is_first = True
    while True:
        places, marks, depths = text.structure
        closings = np.flatnonzero(depths < 0)
        is_closed = bool(len(closings))
        if is_closed:
            places, marks, depths = (found[: closings[0] + 1] for found in (places, marks, depths))
        commas = places[(marks == COMMA) & (depths == 0)]
        if is_closed:
            if marks[-1] != ord("]"):
                raise ValueError("a JSON array is closed by }")
            end = int(places[-1])
        elif len(commas):
            end, commas = int(commas[-1]), commas[:-1]
        else:
            text.fill()
            continue
        region = text.buffer[:end]
        # An array may be empty.
        if not (is_first and is_closed and not len(commas) and not region.strip()):
            yield region, commas
        is_first = False
        text.drop(end + 1)
        if is_closed:
            return


def _documents(text: _Text) -> bytes | None:
    """The values of the documents with which a text begins; uses them. None if the first one goes on."""
    places, marks, depths = text.structure
    lines, used, first = [], 0, 0
    for last in np.flatnonzero(depths <= 0).tolist():
        start, end = _start_of_document(text.buffer, used), int(places[last]) + 1
        if text.buffer[start] == ord("{"):
            lines.append(text.buffer[start:end].replace(b"\n", b" ") + b"\n")
        elif marks[last] != ord("]"):
            raise ValueError("a JSON array is closed by }")
        else:
            inside = slice(first + 1, last)
            commas = places[inside][(marks[inside] == COMMA) & (depths[inside] == 1)]
            region = text.buffer[start + 1 : end - 1]
            # An array may be empty.
            if len(commas) or region.strip():
                lines.append(_lines(region, commas - start - 1))
        used, first = end, last + 1
    if not used:
        _start_of_document(text.buffer, 0)
        return None
    text.drop(used)
    return b"".join(lines)


def _start_of_document(text: bytes, at: int) -> int:
    """Where a document begins after blanks; raises ValueError if it is no object and no array."""
    blanks = _BLANKS.match(text, at)
    start = blanks.end() if blanks else at
    if text[start : start + 1] not in (b"{", b"["):
        raise ValueError("a JSON document is neither an object nor an array")
    return start


class _LargePage(NamedTuple):
    """A page that is larger than a block.

    Attributes:
      head: what is before its rows, their opening bracket with it.
      depth: how many objects are around them: one, or two in what a command prints.
      columns: as in `Framed`.
    """

    head: bytes
    depth: int
    columns: list[str] | None = None

    def with_rest(self, rest: bytes) -> Any:
        """The page with `_ROWS` in place of its rows, and what follows them."""
        return parse(f"{self.head.decode()}{json.dumps(_ROWS)}]{rest.decode()}")


def _large_page(text: _Text) -> _LargePage | None:
    """The page with which a text begins; None if it is none, or its rows do not begin in the text."""
    places, _, depths = text.structure
    for depth in (1, 2):
        # The last bracket at this depth that is opened and not closed again.
        around = np.flatnonzero(depths <= depth)
        opened = around[-1] + 1 if len(around) else 0
        if opened == len(places):
            continue
        bracket = int(places[opened])
        key = _KEY_OF_ROWS.search(text.buffer, max(0, bracket - _LONGEST_KEY_BYTES), bracket)
        if not key or text.buffer[bracket] != ord("["):
            continue
        page = _LargePage(text.buffer[: bracket + 1], depth)
        known = page.with_rest(b"}" * depth)
        if list(rows_in([known])) != [_ROWS]:
            # What makes it a page may follow the rows.
            known = page.with_rest(text.after_array(len(page.head), depth))
        if list(rows_in([known])) == [_ROWS]:
            of_data_cloud = key[1].decode() == DATA
            return page._replace(columns=names_in(known[METADATA]) if of_data_cloud else None)
    return None


def _rest_of_object(text: _Text, depth: int) -> bytes:
    """The text up to the end of the object that is so many objects out; uses it."""
    while True:
        places, _, depths = text.structure
        ends = places[depths == -depth]
        if len(ends):
            rest = text.buffer[: ends[0] + 1]
            text.drop(len(rest))
            return rest
        text.fill()
