"""File formats: how a file is cut into parts, and how a part becomes raw columns.

A format decodes only the columns it is asked for, so message text goes no further than this module.
Nothing here knows what a message is; nothing imports Beam: files come in as opened, seekable, binary.
"""

import codecs
import csv
import functools
import gzip
import io
import itertools
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from transforms.batches import RawBatch
from transforms.errors import InputError
from transforms.values import to_digits

if TYPE_CHECKING:  # takes a while, and CSV and Parquet do without
    import polars as pl

PART_BYTES = 64 << 20
BLOCK_BYTES = 16 << 20
BATCH_ROWS = 1 << 17
_LONGEST_RECORD_BYTES = 1 << 20  # a quoted field that goes on for longer was never closed
_REPEATING_BYTES = 8  # in Parquet, for each row
_MOST_ROWS_AT_ONCE = 4  # batches' worth, in a row group of Parquet
# The reader's own limit, 128 KiB a field, is less than a customer may write.
csv.field_size_limit(max(csv.field_size_limit(), 1 << 30))
_DELIMITERS = ",;|\t^`"  # those that Bulk API 2.0 offers

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


def format_of(path: str) -> Format:
    """Tells the format by the suffix.

    Raises:
      InputError: the suffix is none of those known.
    """
    name = path.lower()
    for suffix, known in _FORMATS.items():
        if name.endswith(suffix):
            return known
    raise InputError(f"{path}: unknown format; known suffixes: {' '.join(_FORMATS)}")


def explain(path: str, error: Exception) -> InputError:
    """The one line for a file that can't be read."""
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if isinstance(error, EOFError):
        said = f"it is truncated ({said})"
    return InputError(f"{path}: can't be read: {said}")


UNREADABLE = (
    pa.ArrowException,
    EOFError,
    OSError,
    ValueError,
    zlib.error,
    LookupError,
    csv.Error,
    OverflowError,
    RecursionError,
    fastavro.schema.SchemaParseException,
    fastavro.read.SchemaResolutionError,
)


def _byte_ranges(size: int) -> list[Part]:
    count = max(1, size // PART_BYTES)
    edges = [size * i // count for i in range(count + 1)]
    return [Part(a, b) for a, b in itertools.pairwise(edges)]


def _gunzipped(open_file: Open) -> Open:
    def open_both() -> IO[bytes]:
        packed = open_file()
        plain = gzip.GzipFile(fileobj=packed)
        plain.myfileobj = packed  # type: ignore[assignment]  # is closed with it
        return plain  # type: ignore[return-value]

    return open_both


def _zipped(plain: Format) -> Format:
    return Format(
        plain.bytes_per_byte * 8,
        lambda file: plain.names(gzip.GzipFile(fileobj=file)),  # type: ignore[arg-type]
        lambda file, size: [WHOLE],
        lambda open_file, part, names: plain.read(_gunzipped(open_file), part, names),
    )


def _column(table: pa.Table | pa.RecordBatch, name: str) -> pa.Array | None:
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
    found = ((name, _column(table, name)) for name in names)
    return {name: column for name, column in found if column is not None}


class _RowCounter:
    """Row numbers of the batches of a part, counted from its first row, known only when asked for."""

    def __init__(self, first_row: Callable[[], int]):
        self._first_row, self._before = functools.cache(first_row), 0

    def advance(self, rows: int) -> Callable[[], int]:
        """Gives the number of the next row, and moves on by so many."""
        before = self._before
        self._before += rows
        return lambda: self._first_row() + before


def _already(raw: RawBatch) -> RawBatch:
    """Decodes what had to be decoded to know where it ends."""
    return raw


def _counted(first: Callable[[], int], offsets: int | np.ndarray) -> Callable[[], np.ndarray]:
    """The numbers of the rows of a batch: so many, or at those offsets, from the first."""
    return lambda: first() + (np.arange(offsets) if isinstance(offsets, int) else offsets)


# Lines


def _line_start(file: IO[bytes], offset: int, size: int) -> int:
    """Where the first line begins that begins at `offset` or later."""
    if offset <= 0:
        return 0
    file.seek(offset - 1)
    while block := file.read(1 << 16):
        newline = block.find(b"\n")
        if newline >= 0:
            return min(size, file.tell() - len(block) + newline + 1)
    return size


def _read_exactly(file: IO[bytes], count: int | None) -> Iterator[bytes]:
    """The next `count` bytes (None: all) in blocks."""
    while count is None or count > 0:
        block = file.read(BLOCK_BYTES if count is None else min(BLOCK_BYTES, count))
        if not block:
            break
        if count is not None:
            count -= len(block)
        yield block


def _line_blocks(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, each block whole lines."""
    rest: list[bytes] = []
    for block in blocks:
        newline = block.rfind(b"\n") + 1
        if not newline:
            rest.append(block)
            continue
        yield b"".join([*rest, memoryview(block)[:newline]])
        rest = [block[newline:]]
    if last := b"".join(rest):
        yield last


def _count_lines(block: bytes) -> int:
    newlines = int(np.count_nonzero(np.frombuffer(block, np.uint8) == ord("\n")))
    return newlines + (not block.endswith(b"\n"))


def _line_part(
    open_file: Open, file: IO[bytes], part: Part
) -> tuple[Iterator[bytes], Callable[[], int]]:
    """The bytes of the lines that begin in a part, and a function for the first one's number."""
    if part.end is None:
        return _read_exactly(file, None), lambda: 1
    size = file.seek(0, io.SEEK_END)
    start, end = _line_start(file, part.start, size), _line_start(file, part.end, size)
    file.seek(start)

    def first_line() -> int:
        with open_file() as again:
            return 1 + sum(block.count(b"\n") for block in _read_exactly(again, start))

    return _read_exactly(file, end - start), first_line


# JSON

_PAGE = "conversationEntries"  # Connect REST: one response is an object with this array


def _json_rows(values: Iterable[Any]) -> Iterator[Any]:
    """The rows of JSON values, each of which is a row or a page of rows."""
    for value in values:
        if isinstance(value, dict) and isinstance(value.get(_PAGE), list):
            yield from value[_PAGE]
        else:
            yield value


def _json_value(line: bytes) -> Any:
    line = line.removeprefix(codecs.BOM_UTF8).removesuffix(b"\r")
    return _parse_json(line.decode("utf-8", "surrogateescape"))


def _parse_json(text: str) -> Any:
    """Of a key that an object has twice, the first counts."""
    return json.loads(
        text,
        parse_int=lambda digits: int(digits) if len(digits) < 20 else digits,
        object_pairs_hook=_first_of_each,
    )


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        values.update(reversed(pairs))
    return values


def _json_names(values: Iterable[Any]) -> list[str] | None:
    names: dict[str, None] = {}

    def walk(row: dict[str, Any], prefix: str) -> None:
        for name, value in row.items():
            names[prefix + name] = None
            if isinstance(value, dict):
                walk(value, f"{prefix}{name}.")

    rows = [row for row in _json_rows(values) if isinstance(row, dict)]
    for row in rows:
        walk(row, "")
    return list(names) if rows else None


def _json_lines_names(file: IO[bytes]) -> list[str] | None:
    def values() -> Iterator[Any]:
        for line in (file.read(1 << 20) + file.readline()).split(b"\n"):
            try:
                yield _json_value(line)
            except (ValueError, RecursionError):
                continue

    return _json_names(values())


def _look_up(row: Any, name: str) -> Any:
    value = row.get(name)
    if value is not None or "." not in name:
        return value
    value = row
    for key in name.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _as_text(value: Any) -> str | None:
    """A JSON scalar as text; of a list the first messaging session's id."""
    if isinstance(value, list):
        ours = (v for v in value if isinstance(v, str) and v.startswith("0Mw"))
        return next(ours, None)
    if value is None or isinstance(value, str):
        return value
    if value != value:  # NaN, which some write for no value
        return None
    if isinstance(value, float):
        return to_digits(value)
    return None if isinstance(value, dict) else json.dumps(value)


def _json_batch(
    rows: list[tuple[int, Any]], names: Sequence[str], malformed: list[tuple[int, str]]
) -> RawBatch:
    """Rows one by one: for what the fast way can't read, and to find which line it was."""
    kept: list[int] = []
    columns: dict[str, list[str | None]] = {name: [] for name in names}
    for number, row in rows:
        if not isinstance(row, dict):
            malformed.append((number, "not a JSON object"))
            continue
        texts = [_as_text(_look_up(row, name)) for name in names]
        try:
            "".join(text for text in texts if text).encode()
        except UnicodeEncodeError:
            malformed.append((number, "not UTF-8"))
            continue
        kept.append(number)
        for column, text in zip(columns.values(), texts, strict=True):
            column.append(text)
    arrays = {name: pa.array(column, pa.string()) for name, column in columns.items()}
    return RawBatch(arrays, len(kept), lambda: np.array(kept), malformed)


def _json_lines_slowly(block: bytes, first: int, names: Sequence[str]) -> RawBatch:
    rows: list[tuple[int, Any]] = []
    malformed: list[tuple[int, str]] = []
    for number, line in enumerate(block.split(b"\n"), first):
        if not line.removeprefix(codecs.BOM_UTF8).strip():
            continue
        try:
            value = _json_value(line)
        except (ValueError, RecursionError) as error:
            said = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
            malformed.append((number, f"not JSON: {said}"))
            continue
        rows.extend((number, row) for row in _json_rows([value]))
    return _json_batch(rows, names, malformed)


def _json_schema(block: bytes, names: Sequence[str]) -> "dict[str, pl.DataType] | None":
    """The needed columns with the types that the first lines have; text where they have none."""
    import polars as pl

    types = {
        str: pl.String(),
        bool: pl.Boolean(),
        int: pl.Int64(),
        float: pl.Float64(),
        list: pl.List(pl.String),
    }
    samples = []
    for line in block[: 1 << 16].splitlines()[:32]:
        try:
            samples.append(_json_value(line))
        except (ValueError, RecursionError):
            continue
    tree: dict[str, Any] = {}
    for name in names:
        found = (_look_up(row, name) for row in samples if isinstance(row, dict))
        value = next((v for v in found if v is not None), "")
        kind = types.get(type(value))
        if kind is None or name in tree:
            return None
        tree[name] = kind
        *path, leaf = name.split(".")
        if path:
            node = tree
            for key in path:
                node = node.setdefault(key, {})
                if not isinstance(node, dict):
                    return None
            node[leaf] = kind

    def build(node: Any) -> "pl.DataType":
        if not isinstance(node, dict):
            return node
        return pl.Struct({key: build(child) for key, child in node.items()})

    return {name: build(node) for name, node in tree.items()}


def _json_lines_fast(block: bytes, names: Sequence[str]) -> dict[str, pa.Array] | None:
    """The columns of a block in which every line is one plain row, else None."""
    if f'"{_PAGE}"'.encode() in block:
        return None
    import polars as pl

    schema = _json_schema(block, names)
    if schema is None:
        return None
    try:
        frame = pl.read_ndjson(block, schema=schema)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    if frame.height != _count_lines(block):
        return None
    columns = {}
    for name in names:
        found = [frame[name]]
        if "." in name:
            top, *path = name.split(".")
            nested = frame[top]
            for key in path:
                nested = nested.struct.field(key)
            found.append(nested)
        found = [series for series in found if series.null_count() < len(series)]
        if not found:
            continue
        arrays = (series.to_arrow(compat_level=pl.CompatLevel.oldest()) for series in found)
        column = pc.coalesce(*arrays) if len(found) > 1 else next(arrays)
        if pa.types.is_large_string(column.type) and _is_dubious(column):
            return None
        if pa.types.is_floating(column.type) and pc.max(pc.abs(column)).as_py() >= 2.0**53:
            return None  # among them may be a whole number that a float does not hold
        columns[name] = column
    return columns


def _is_dubious(column: pa.LargeStringArray) -> bool:
    """Whether a text may have been made of an object or a list, or of half a character."""
    offsets = np.frombuffer(column.buffers()[1], np.int64)[column.offset :][: len(column) + 1]
    data = np.frombuffer(column.buffers()[2] or b"", np.uint8)
    first = data[offsets[:-1][offsets[:-1] < offsets[1:]]]
    made = (first == ord("{")) | (first == ord("["))
    return bool(made.any() or not data[offsets[0] : offsets[-1]].all())


def _read_json_lines(open_file: Open, part: Part, names: Sequence[str]) -> Iterator[Decode]:
    with open_file() as file:
        blocks, first_line = _line_part(open_file, file, part)
        counter = _RowCounter(first_line)
        for block in _line_blocks(blocks):
            block = block.removeprefix(codecs.BOM_UTF8)
            count = _count_lines(block)
            yield functools.partial(_decode_json_lines, block, count, counter.advance(count), names)


def _decode_json_lines(
    block: bytes, count: int, first: Callable[[], int], names: Sequence[str]
) -> RawBatch:
    columns = _json_lines_fast(block, names)
    if columns is None:
        return _json_lines_slowly(block, first(), names)
    return RawBatch(columns, count, _counted(first, count))


def _json_document(file: IO[bytes]) -> list[Any]:
    """The rows of a JSON document: a page of the Connect REST resource, or an array of pages or rows."""
    value = _parse_json(file.read().decode("utf-8-sig"))
    return list(_json_rows(value if isinstance(value, list) else [value]))


def _read_json_document(open_file: Open, part: Part, names: Sequence[str]) -> Iterator[Decode]:
    with open_file() as file:
        rows = _json_document(file)
    yield functools.partial(_json_batch, list(enumerate(rows, 1)), names, [])


# CSV


class _Header(NamedTuple):
    names: list[str]
    delimiter: str
    num_bytes: int  # of the file, byte order mark and line end included


def _csv_header(file: IO[bytes]) -> _Header:
    line = next(_line_blocks(_read_exactly(file, _LONGEST_RECORD_BYTES)), b"")
    line = line[: line.find(b"\n") + 1] or line
    text = line.decode("utf-8-sig").rstrip("\r\n")
    delimiter = max(_DELIMITERS, key=text.count)
    names = next(csv.reader([text], delimiter=delimiter), [])
    return _Header(names, delimiter, len(line))


def _csv_parts(file: IO[bytes], size: int) -> list[Part]:
    """Byte ranges where no line end is inside quotes: every line has an even number of them."""
    ranges = _byte_ranges(size)
    if len(ranges) > 1:
        for block in _line_blocks(_read_exactly(file, None)):
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


def _csv_fast(
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
    return RawBatch(columns, num_records, _counted(first, starts))


def _csv_record(text: str, header: _Header) -> list[str] | str:
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


def _csv_slowly(
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
            record = _csv_record(text.removesuffix("\r"), header)
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


def _read_csv(open_file: Open, part: Part, names: Sequence[str]) -> Iterator[Decode]:
    with open_file() as file:
        header = _csv_header(file)
        file.seek(0)
        blocks, first_line = _line_part(open_file, file, part)
        counter = _RowCounter(first_line)
        lines = _line_blocks(blocks)
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
            raw = _csv_fast(rest[:used], first, header, names) if used else None
            if raw is None:
                raw, used = _csv_slowly(rest, first(), header, names, last)
            yield functools.partial(_already, raw)
            if used:
                counter.advance(_count_lines(rest[:used]))
                rest = rest[used:]


# Parquet


def _parquet_names(file: IO[bytes]) -> list[str]:
    schema = pq.ParquetFile(file).schema
    leaves = (schema.column(i).path.split(".list.")[0] for i in range(len(schema)))
    return list(dict.fromkeys(leaves))


def _parquet_parts(file: IO[bytes], size: int) -> list[Part]:
    metadata = pq.ParquetFile(file).metadata
    parts, start, num_bytes = [], 0, 0
    for group in range(metadata.num_row_groups):
        num_bytes += metadata.row_group(group).total_byte_size
        if num_bytes >= PART_BYTES:
            parts.append(Part(start, group + 1))
            start, num_bytes = group + 1, 0
    if start < metadata.num_row_groups:
        parts.append(Part(start, metadata.num_row_groups))
    return parts


def _repeats(file: pq.ParquetFile, name: str) -> bool:
    """Whether a text column is so small in the file that its values must be repeating."""
    if name not in file.schema_arrow.names or not file.metadata.num_row_groups:
        return False
    if not pa.types.is_string(file.schema_arrow.field(name).type):
        return False
    group = file.metadata.row_group(0)
    chunks = (group.column(i) for i in range(group.num_columns))
    (size,) = (c.total_uncompressed_size for c in chunks if c.path_in_schema == name)
    return size < _REPEATING_BYTES * group.num_rows


def _read_parquet(open_file: Open, part: Part, names: Sequence[str]) -> Iterator[Decode]:
    with open_file() as file:
        parquet = pq.ParquetFile(file)
        leaves = _parquet_names(file)
        columns = [name for name in names if name in leaves]
        # Ids of sessions, roles and types repeat; they stay the dictionary codes that the file has.
        texts = [name for name in columns if _repeats(parquet, name)]
        parquet = pq.ParquetFile(file, metadata=parquet.metadata, read_dictionary=texts)
        before = sum(parquet.metadata.row_group(i).num_rows for i in range(part.start))
        counter = _RowCounter(lambda: 1 + before)
        for group in range(part.start, part.end or 0):
            num_rows = parquet.metadata.row_group(group).num_rows
            if num_rows <= _MOST_ROWS_AT_ONCE * BATCH_ROWS:
                first = counter.advance(num_rows)
                yield functools.partial(
                    _decode_row_group, open_file, parquet.metadata, texts, group, columns, first
                )
                continue
            for batch in parquet.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns):
                rows = _counted(counter.advance(len(batch)), len(batch))
                raw = RawBatch(columns_of(batch, columns), len(batch), rows)
                yield functools.partial(_already, raw)


def _decode_row_group(
    open_file: Open,
    metadata: pq.FileMetaData,
    texts: Sequence[str],
    group: int,
    columns: Sequence[str],
    first: Callable[[], int],
) -> RawBatch:
    with open_file() as file:
        parquet = pq.ParquetFile(file, metadata=metadata, read_dictionary=texts)
        table = parquet.read_row_group(group, columns=list(columns), use_threads=False)
    return RawBatch(columns_of(table, columns), len(table), _counted(first, len(table)))


# Avro


_AVRO_INSTANT = re.compile(rb'"logicalType"(\s*:\s*"(?:local-)?timestamp-)')
_AVRO_MARKER_BYTES = 16
_AVRO_DENSEST = 1032  # rows in a byte: what deflate makes of one, and each row has at least one
_AVRO_UNITS = {"millis": "ms", "micros": "us", "nanos": "ns"}


def _avro_header(file: IO[bytes]) -> tuple[dict[str, Any], bytes, bytes]:
    """The schema, the whole header, and the marker that ends each block.

    Instants are unmarked as such (`instantType`), so that they are decoded as the numbers that they
    are: one that is out of range spoils no file.
    """
    fastavro.block_reader(file)
    size = file.tell()
    file.seek(0)
    header = _AVRO_INSTANT.sub(rb'"instantType"\1', file.read(size))
    schema: Any = fastavro.block_reader(io.BytesIO(header)).writer_schema
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise ValueError("its rows are no records")
    return schema, header, header[-_AVRO_MARKER_BYTES:]


def _avro_columns(schema: dict[str, Any], prefix: str = "") -> dict[str, str | None]:
    """The columns, nested ones with dots, and the unit of those that are instants."""
    columns: dict[str, str | None] = {}
    for field in schema["fields"]:
        name, kind = prefix + field["name"], field["type"]
        kinds = [t for t in (kind if isinstance(kind, list) else [kind]) if isinstance(t, dict)]
        records = [t for t in kinds if t.get("type") == "record"]
        instants = (str(t["instantType"]) for t in kinds if "instantType" in t)
        if not records:
            columns[name] = _AVRO_UNITS.get(next(instants, "").rpartition("-")[2])
        for record in records:
            columns.update(_avro_columns(record, f"{name}."))
    return columns


def _find(file: IO[bytes], marker: bytes, start: int) -> int:
    """Where the marker first begins at `start` or later, -1 if nowhere."""
    file.seek(start)
    at, rest = start, b""
    while block := file.read(1 << 20):
        rest += block
        found = rest.find(marker)
        if found >= 0:
            return at + found
        at += max(0, len(rest) - len(marker) + 1)
        rest = rest[-len(marker) + 1 :]
    return -1


def _avro_blocks(file: IO[bytes], end: int) -> Iterator[tuple[int, int]]:
    """The number of rows and the last byte's offset, marker included, of each block up to an offset."""

    def varint() -> int:
        value = shift = 0
        while True:
            byte = file.read(1)
            if not byte:
                raise EOFError("a block is not complete")
            value |= (byte[0] & 0x7F) << shift
            shift += 7
            if byte[0] < 0x80:
                return (value >> 1) ^ -(value & 1)

    while file.tell() < end:
        rows, size = varint(), varint()
        if not 0 <= rows <= size * _AVRO_DENSEST or size < 0:
            raise ValueError("a block has an impossible size")
        yield rows, file.seek(size + _AVRO_MARKER_BYTES, io.SEEK_CUR)


def _read_avro(open_file: Open, part: Part, names: Sequence[str]) -> Iterator[Decode]:
    with open_file() as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        schema, header, marker = _avro_header(file)
        file.seek(size - len(marker))
        if file.read(len(marker)) != marker:
            raise EOFError("its last block is not complete")
        # A block belongs to the part in which the marker before it begins; the header ends with one.
        before = len(header) - len(marker)
        first = _find(file, marker, max(part.start, before))
        last = _find(file, marker, max(part.end or 0, before))
        start, end = first + len(marker), size if last < 0 else last + len(marker)
        if first < 0 or start >= end:
            return
        file.seek(start)
        blocks = file.read(end - start)

    def rows_before() -> int:
        with open_file() as again:
            again.seek(len(header))
            return sum(rows for rows, _ in _avro_blocks(again, start))

    counter = _RowCounter(lambda: 1 + rows_before())
    begin = waiting = 0
    for rows, block_end in _avro_blocks(io.BytesIO(blocks), len(blocks)):
        waiting += rows
        if waiting >= BATCH_ROWS or block_end == len(blocks):
            content = b"".join([header, memoryview(blocks)[begin:block_end]])
            first_row = counter.advance(waiting)
            yield functools.partial(_decode_avro, content, schema, names, waiting, first_row)
            begin, waiting = block_end, 0


def _decode_avro(
    content: bytes,
    schema: dict[str, Any],
    names: Sequence[str],
    num_rows: int,
    first: Callable[[], int],
) -> RawBatch:
    units = _avro_columns(schema)
    names = [name for name in names if name in units]
    columns = _avro_fast(content, schema, names)
    if columns is None:
        columns = _avro_slowly(content, schema, names)
    for name, column in columns.items():
        if units[name] and pa.types.is_integer(column.type):
            columns[name] = column.cast(pa.timestamp(units[name]))
    return RawBatch(columns, num_rows, _counted(first, num_rows))


def _is_plain(kind: Any) -> bool:
    """Whether Polars decodes, or passes over, an Avro type, and gives what fastavro does."""
    if isinstance(kind, list):
        return len(kind) == 2 and "null" in kind and all(k == "null" or _is_plain(k) for k in kind)
    if not isinstance(kind, dict):
        return kind in ("boolean", "int", "long", "double", "bytes", "string")
    if kind.get("type") == "record":
        return all(_is_plain(field["type"]) for field in kind["fields"])
    if kind.get("type") == "array":
        return kind["items"] == "string"
    return "logicalType" not in kind and _is_plain(kind.get("type"))


def _avro_fast(
    content: bytes, schema: dict[str, Any], names: Sequence[str]
) -> dict[str, pa.Array] | None:
    """The columns of a file of plain types, else None."""
    if not _is_plain(schema):
        return None
    import polars as pl

    tops = {name.split(".")[0] for name in names}
    try:
        frame = pl.read_avro(io.BytesIO(content), columns=sorted(tops))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        return None
    return columns_of(frame.to_arrow(compat_level=pl.CompatLevel.oldest()), names)


def _avro_slowly(
    content: bytes, schema: dict[str, Any], names: Sequence[str]
) -> dict[str, pa.Array]:
    """Row by row: for what the fast way can't read, and to tell what is wrong."""
    tops = {name.split(".")[0] for name in names}
    needed = dict(schema, fields=[f for f in schema["fields"] if f["name"] in tops])
    try:
        fastavro.parse_schema(needed)
    except fastavro.schema.UnknownType:  # a needed field names a type that another one defines
        needed = schema
    rows: list[Any] = list(fastavro.reader(io.BytesIO(content), reader_schema=needed))
    return {name: _python_column([_look_up(row, name) for row in rows]) for name in names}


def _python_column(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # a union of several types
        return pa.array([None if v is None else str(v) for v in values], pa.string())


_JSON_LINES = Format(
    0.4, _json_lines_names, lambda file, size: _byte_ranges(size), _read_json_lines
)
_JSON = Format(
    0.4,
    lambda file: _json_names(_json_document(file)),
    lambda file, size: [WHOLE],
    _read_json_document,
)
_CSV = Format(0.6, lambda file: _csv_header(file).names, _csv_parts, _read_csv)

_FORMATS = {
    ".avro": Format(
        1.5,
        lambda file: list(_avro_columns(_avro_header(file)[0])),
        lambda file, size: _byte_ranges(size),
        _read_avro,
    ),
    ".parquet": Format(3.0, _parquet_names, _parquet_parts, _read_parquet),
    ".jsonl": _JSON_LINES,
    ".ndjson": _JSON_LINES,
    ".json": _JSON,
    ".csv": _CSV,
    ".jsonl.gz": _zipped(_JSON_LINES),
    ".ndjson.gz": _zipped(_JSON_LINES),
    ".json.gz": _zipped(_JSON),
    ".csv.gz": _zipped(_CSV),
}
