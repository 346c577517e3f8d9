"""Avro object container files."""

import functools
import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, NamedTuple

import fastavro
import pyarrow as pa

from transforms.reading.columns import RawBatch
from transforms.reading.formats import parts
from transforms.reading.formats.avro_codecs import unpacker
from transforms.reading.formats.parts import (
    Decode,
    Format,
    Open,
    Part,
    RowCounter,
    byte_ranges,
    columns_of,
    columns_to_read,
    counted,
    look_up,
)

_INSTANT = re.compile(rb'"logicalType"(\s*:\s*"(?:local-)?timestamp-)')

_MARKER_BYTES = 16

# Rows in a byte of a file, by codec: a row has at least one byte, of which deflate puts 1,032 into one.
# The other codecs have no such bound; their blocks are looked at when they have been unpacked.
_DENSEST = {"null": 1, "deflate": 1032}

_IMPOSSIBLE = "a block has an impossible size"

_UNITS = {"millis": "ms", "micros": "us", "nanos": "ns"}


def _header(file: IO[bytes]) -> tuple[dict[str, Any], bytes, bytes]:
    """The schema, the whole header, and the marker that ends each block.

    In the schema and the header `logicalType` of instants is `instantType`, which no decoder knows: so
    instants are decoded as plain numbers, and one that is out of range is one reject, not a broken file.
    """
    fastavro.block_reader(file)
    size = file.tell()
    file.seek(0)
    header = _INSTANT.sub(rb'"instantType"\1', file.read(size))
    reader = fastavro.block_reader(io.BytesIO(header))
    unpacker(reader.codec)
    schema: Any = reader.writer_schema
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise ValueError("its rows are no records")
    return schema, header, header[-_MARKER_BYTES:]


def _columns(schema: dict[str, Any], prefix: str = "") -> dict[str, str | None]:
    """The columns, nested ones with dots, and the unit of those that are instants."""
    columns: dict[str, str | None] = {}
    for field in schema["fields"]:
        name, kind = prefix + field["name"], field["type"]
        kinds = [t for t in (kind if isinstance(kind, list) else [kind]) if isinstance(t, dict)]
        records = [t for t in kinds if t.get("type") == "record"]
        instants = (str(t["instantType"]) for t in kinds if "instantType" in t)
        if not records:
            columns[name] = _UNITS.get(next(instants, "").rpartition("-")[2])
        for record in records:
            columns.update(_columns(record, f"{name}."))
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


class _Block(NamedTuple):
    """A block of a file: the number of its rows, and where these begin and end, without the marker."""

    num_rows: int
    start: int
    end: int


def _blocks(file: IO[bytes], end: int, densest: int | None) -> Iterator[_Block]:
    """Walks the blocks up to an offset.

    A block is two numbers, then that many bytes of rows, then the marker. A number is written zigzag
    (0, -1, 1, -2 are 0, 1, 2, 3), seven bits in a byte, the lowest first; a byte of 0x80 or more says
    that another follows.

        04          2 rows
        d8 01       0x58 + (1 << 7) = 216, so 108 bytes
        ...         108 bytes of rows, packed by the file's codec
        16 bytes    the marker

    Args:
      file: at the beginning of a block.
      end: where the last block ends, with its marker.
      densest: how many rows a byte may have; None is any number.
    """

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
        if rows < 0 or size < 0 or (densest is not None and rows > size * densest):
            raise ValueError(_IMPOSSIBLE)
        if densest == 1 and size and not rows:
            raise ValueError(_IMPOSSIBLE)
        start = file.tell()
        yield _Block(rows, start, start + size)
        file.seek(start + size + _MARKER_BYTES)


def _varint(number: int) -> bytes:
    """A number of 0 or more as `_blocks` reads it."""
    number <<= 1
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _unpacked(header: bytes, blocks: memoryview) -> bytes:
    """A file of these blocks without a codec."""
    reader = fastavro.block_reader(io.BytesIO(header))
    schema, marker = reader.metadata["avro.schema"].encode(), header[-_MARKER_BYTES:]
    key = b"avro.schema"
    found = [b"Obj\x01", _varint(1), _varint(len(key)), key, _varint(len(schema)), schema, b"\0"]
    found.append(marker)
    unpack = unpacker(reader.codec)
    for block in _blocks(io.BytesIO(blocks), len(blocks), None):
        rows = unpack(bytes(blocks[block.start : block.end]))
        if block.num_rows > len(rows) or (rows and not block.num_rows):
            raise ValueError(_IMPOSSIBLE)
        if blocks[block.end : block.end + _MARKER_BYTES] != marker:
            raise ValueError("a block does not end where it should")
        found += [_varint(block.num_rows), _varint(len(rows)), rows, marker]
    return b"".join(found)


def _read(open_file: Open, part: Part, names: Sequence[str]) -> Iterator[Decode]:
    with open_file() as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        schema, header, marker = _header(file)
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

    codec = fastavro.block_reader(io.BytesIO(header)).codec
    densest = _DENSEST.get(codec)

    def rows_before() -> int:
        with open_file() as again:
            again.seek(len(header))
            return sum(block.num_rows for block in _blocks(again, start, densest))

    counter = RowCounter(lambda: 1 + rows_before())
    begin = waiting = 0
    for block in _blocks(io.BytesIO(blocks), len(blocks), densest):
        waiting += block.num_rows
        block_end = block.end + _MARKER_BYTES
        if waiting >= parts.BATCH_ROWS or block_end >= len(blocks):
            some = memoryview(blocks)[begin:block_end]
            content = (
                functools.partial(b"".join, [header, some])
                if codec == "null"
                else functools.partial(_unpacked, header, some)
            )
            first_row = counter.advance(waiting)
            yield functools.partial(_decode, content, schema, names, waiting, first_row)
            begin, waiting = block_end, 0


def _decode(
    make_content: Callable[[], bytes],
    schema: dict[str, Any],
    names: Sequence[str],
    num_rows: int,
    first: Callable[[], int],
) -> RawBatch:
    content = make_content()
    units = _columns(schema)
    names = columns_to_read(names, units)
    columns = _fast(content, schema, names)
    # Polars takes a block without rows for the end of the file.
    if columns is None or any(len(column) != num_rows for column in columns.values()):
        columns = _slowly(content, schema, names)
    for name, column in columns.items():
        if units[name] and pa.types.is_integer(column.type):
            columns[name] = column.cast(pa.timestamp(units[name]))
    return RawBatch(columns, num_rows, counted(first, num_rows))


def _is_plain(kind: Any) -> bool:
    """Whether Polars decodes an Avro type, or passes over it, with the values that fastavro gives."""
    if isinstance(kind, list):
        return len(kind) == 2 and "null" in kind and all(k == "null" or _is_plain(k) for k in kind)
    if not isinstance(kind, dict):
        return kind in ("boolean", "int", "long", "double", "bytes", "string")
    if kind.get("type") == "record":
        return all(_is_plain(field["type"]) for field in kind["fields"])
    if kind.get("type") == "array":
        return kind["items"] == "string"
    return "logicalType" not in kind and _is_plain(kind.get("type"))


def _fast(
    content: bytes, schema: dict[str, Any], names: Sequence[str]
) -> dict[str, pa.Array] | None:
    """The columns of a file of plain types; None for any other."""
    if not _is_plain(schema):
        return None
    import polars as pl

    tops = {name.split(".")[0] for name in names}
    try:
        frame = pl.read_avro(io.BytesIO(content), columns=sorted(tops))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        return None
    return columns_of(frame.to_arrow(compat_level=pl.CompatLevel.oldest()), names)


def _slowly(content: bytes, schema: dict[str, Any], names: Sequence[str]) -> dict[str, pa.Array]:
    """The columns row by row: for types that the fast way can't read, and for broken files."""
    tops = {name.split(".")[0] for name in names}
    needed = dict(schema, fields=[f for f in schema["fields"] if f["name"] in tops])
    try:
        fastavro.parse_schema(needed)
    except fastavro.schema.UnknownType:
        # A needed field names a type that another field defines.
        needed = schema
    rows: list[Any] = list(fastavro.reader(io.BytesIO(content), reader_schema=needed))
    return {name: _python_column([look_up(row, name) for row in rows]) for name in names}


def _python_column(values: list[Any]) -> pa.Array:
    """An array of a column's values, as text if they are of several types."""
    try:
        return pa.array(values)
    # A union of several types has no Arrow type.
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if v is None else str(v) for v in values], pa.string())


AVRO = Format(
    lambda file: 1.5,
    lambda file: list(_columns(_header(file)[0])),
    lambda file, size: byte_ranges(size),
    _read,
)
