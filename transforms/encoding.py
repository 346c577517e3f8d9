"""The bytes of rows in each file format: Avro, Parquet, CSV, JSON Lines. Pure; no Beam.

Everything here is a function of the rows alone: no clock, no random, no arrival order.
"""

import concurrent.futures
import dataclasses
import functools
import hashlib
import io
import itertools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from isal import isal_zlib
from numpy.typing import NDArray

from schemas import arrow_schema, avro_schema, is_nullable, symbols_of
from transforms import texts

_BLOCK_SESSIONS = 1 << 12
_ENCODED_SESSIONS = 1 << 14  # at once: with fewer, threads wait for the interpreter's lock
_ROW_GROUP_SESSIONS = 1 << 16
_DEFLATE_LEVEL = 1  # see docs/decisions.md
_LINE = 64  # bytes of the processor's caches
_AVRO_MAGIC = b"Obj\x01"
_ESCAPED = r'[\x00-\x1f"\\]'  # in a JSON string


class Sessions(Protocol):
    """A row per session, sorted by session id: a record batch, or what is made into some by pieces."""

    @property
    def schema(self) -> pa.Schema:
        """Of each piece."""

    def __len__(self) -> int: ...

    def slice(self, start: int, length: int) -> pa.RecordBatch:
        """The rows from one place on; fewer at the end."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of rows that is written to files and tables, made of batches with a row per session.

    Its functions are a module's own, so that it is equal to what is left of it after a journey.

    Attributes:
      schema: the name of its Avro schema.
      files: what the names of its files begin with.
      id_field: the field with the session's id.
      ended_field: the field with the session's end, by whose day a table is partitioned.
      partition: what the names of directories by day begin with.
      layout: all columns that a batch may have for it, `batches.KEYS` first.
      to_rows: a batch to the rows that are written, schema `arrow_schema(schema)`.
      to_avro: a batch to the same rows in Avro's binary encoding, those of a session end to end.
      rows_per_session: of batches of a schema.
      csv_columns: the columns that a CSV file has.
    """

    schema: str
    files: str
    id_field: str
    ended_field: str
    partition: str
    layout: pa.Schema
    to_rows: Callable[[pa.RecordBatch], pa.RecordBatch]
    to_avro: Callable[[pa.RecordBatch], pa.BinaryArray]
    rows_per_session: Callable[[pa.Schema], int]
    csv_columns: tuple[str, ...]

    def empty(self) -> pa.RecordBatch:
        """A batch without rows."""
        return pa.RecordBatch.from_pylist([], self.layout)

    def select(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Of a batch, which may have columns for other kinds too, those for this one."""
        return batch.select([name for name in batch.schema.names if name in self.layout.names])


def encode(kind: Kind, sessions: Sessions, output_format: str) -> Iterator[bytes]:
    """The bytes of a file with the rows of sessions, which are sorted by id, in pieces."""
    return ENCODERS[output_format](kind, sessions)


def _slices(sessions: Sessions, size: int) -> Iterator[pa.RecordBatch]:
    return (sessions.slice(start, size) for start in range(0, len(sessions), size))


def encode_parquet(kind: Kind, sessions: Sessions) -> Iterator[bytes]:
    """The rows, with the field descriptions, Zstandard-compressed."""
    file = io.BytesIO()
    with pq.ParquetWriter(file, arrow_schema(kind.schema), compression="zstd") as writer:
        for piece in _slices(sessions, _ROW_GROUP_SESSIONS):
            writer.write_batch(kind.to_rows(piece))
    yield file.getvalue()


def encode_csv(kind: Kind, sessions: Sessions) -> Iterator[bytes]:
    """The columns `csv_columns`, instants as ISO 8601, null as nothing; LF, UTF-8."""
    yield f"{','.join(kind.csv_columns)}\n".encode()
    options = pa.csv.WriteOptions(include_header=False, quoting_style="needed")
    for piece in _slices(sessions, _ROW_GROUP_SESSIONS):
        rows = kind.to_rows(piece).select(list(kind.csv_columns))
        columns = [_iso(c) if pa.types.is_timestamp(c.type) else c for c in rows.columns]
        file = io.BytesIO()
        pa.csv.write_csv(pa.table(columns, rows.schema.names), file, options)
        yield file.getvalue()


def _iso(instants: pa.Array) -> pa.Array:
    return pc.strftime(instants, "%Y-%m-%dT%H:%M:%SZ")  # %S has the microseconds


def encode_json_lines(kind: Kind, sessions: Sessions) -> Iterator[bytes]:
    """An object per line, instants as ISO 8601 with microseconds."""
    for piece in _slices(sessions, _BLOCK_SESSIONS):
        rows = kind.to_rows(piece)
        keyed = [
            part
            for name, column in zip(rows.schema.names, rows.columns, strict=True)
            for part in (f', "{name}": ', _json_values(column))
        ]
        lines = pc.binary_join_element_wise("{" + keyed[0][2:], *keyed[1:], "}\n", "")
        yield bytes(texts.bytes_of(lines))


def _json_values(column: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(column.type):
        column = _iso(column)
    if not pa.types.is_string(column.type):
        return column.cast(pa.string()).fill_null("null")
    if pc.any(pc.match_substring_regex(column, _ESCAPED)).as_py():
        return pa.array([json.dumps(t, ensure_ascii=False) for t in column.to_pylist()])
    return pc.binary_join_element_wise('"', column, '"', "").fill_null("null")


def encode_avro(kind: Kind, sessions: Sessions) -> Iterator[bytes]:
    """An Avro object container file, deflated, with the schema and its docs in the header."""
    schema = json.dumps(avro_schema(kind.schema), separators=(",", ":")).encode()
    marker = hashlib.blake2b(schema, digest_size=16).digest()
    meta = {b"avro.codec": b"deflate", b"avro.schema": schema}
    yield _AVRO_MAGIC + varint(len(meta))
    for text in itertools.chain.from_iterable(meta.items()):
        yield varint(len(text)) + text
    yield varint(0) + marker

    rows_per_session = kind.rows_per_session(sessions.schema)

    def blocks(start: int) -> list[bytes]:
        """Of each: number of rows and number of bytes, the rows' bytes, deflated, and the marker."""
        encoded = kind.to_avro(sessions.slice(start, _ENCODED_SESSIONS))
        starts = range(0, len(encoded), _BLOCK_SESSIONS)
        rows = [encoded.slice(start, _BLOCK_SESSIONS) for start in starts]
        deflated = [
            isal_zlib.compress(texts.bytes_of(block), _DEFLATE_LEVEL, -isal_zlib.MAX_WBITS)
            for block in rows
        ]
        num_rows = np.array([len(block) * rows_per_session for block in rows])
        num_bytes = np.array([len(content) for content in deflated])
        heads = avro_numbers([(num_rows, None), (num_bytes, None)]).to_pylist()
        return [
            piece
            for head, content in zip(heads, deflated, strict=True)
            for piece in (head, content, marker)
        ]

    for encoded in _pool().map(blocks, range(0, len(sessions), _ENCODED_SESSIONS)):
        yield from encoded


@functools.cache
def _pool() -> concurrent.futures.ThreadPoolExecutor:
    """Threads for blocks, of all files: deflate leaves the interpreter's lock, and most of the rest."""
    return concurrent.futures.ThreadPoolExecutor(os.cpu_count())


ENCODERS: dict[str, Callable[[Kind, Sessions], Iterator[bytes]]] = {
    "avro": encode_avro,
    "parquet": encode_parquet,
    "csv": encode_csv,
    "jsonl": encode_json_lines,
}
"""By output format, which is also the suffix of its files."""


# Avro's binary encoding, by array operations: each byte of the numbers that stand side by side is an
# array over the rows, and what they make up is joined with the texts row by row.


Numbers = tuple[NDArray[np.signedinteger] | NDArray[np.bool_], NDArray[np.bool_] | None]
"""The values of a field, and which of them are stated, where it is a union with null, which comes first.

What is not stated is from -64 to 63.
"""


def avro_rows(columns: Sequence[pa.Array | Numbers], schema: str) -> pa.BinaryArray:
    """Rows in Avro's binary encoding.

    Args:
      columns: one for each field of the schema, in that order; texts also as dictionaries, numbers also
        as `avro_numbers` takes them.
      schema: its name.
    """
    fields = list(zip(columns, avro_schema(schema)["fields"], strict=True))
    parts = []
    for is_text, run in itertools.groupby(fields, lambda field: _is_text(field[1])):
        if is_text:
            for column, field in run:
                parts += _texts(column, is_nullable(field))
        else:
            parts.append(avro_numbers([_numbers(*field) for field in run]))
    return joined(parts)


def _is_text(field: dict[str, Any]) -> bool:
    return field["type"] in ("string", ["null", "string"])


def joined(parts: Sequence[pa.Array | bytes]) -> pa.BinaryArray:
    """The bytes of columns side by side, end to end in each row."""
    return pc.binary_join_element_wise(*parts, b"")


def _numbers(column: pa.Array | Numbers, field: dict[str, Any]) -> Numbers:
    if isinstance(column, tuple):
        return column
    nullable = is_nullable(field)
    stated = column.is_valid().to_numpy(zero_copy_only=False) if nullable else None
    if symbols := symbols_of(field):
        column = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        places = pc.index_in(column.dictionary, pa.array(symbols))
        return places.take(column.indices).to_numpy(), stated
    if pa.types.is_boolean(column.type):
        return column.fill_null(False).to_numpy(zero_copy_only=False), stated
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return column.fill_null(0).to_numpy(), stated


def avro_numbers(columns: Sequence[Numbers]) -> pa.BinaryArray:
    """Numbers side by side: zigzag varints, booleans as a byte."""
    numbers = [(_zigzag(values), stated) for values, stated in columns]
    widths = [max(1, -(-int(values.max(initial=0)).bit_length() // 7)) for values, _ in numbers]
    places = sum(widths) + sum(stated is not None for _, stated in numbers)
    count = len(numbers[0][0])
    # By place in the row, a byte of each row, and whether the row has it. They are read across, so each
    # array begins in another set of the cache than the last.
    stride = -(-count // _LINE) * _LINE + _LINE
    data = np.empty((places, stride), np.uint8)[:, :count]
    used = np.empty((places, stride), bool)[:, :count]
    goes_on = np.zeros((places, 1), np.uint8)  # in the next place, if that is used
    place = 0
    for (values, stated), width in zip(numbers, widths, strict=True):
        used[place] = True
        if stated is not None:
            data[place] = stated.view(np.uint8) << 1
            place += 1
            used[place] = stated
        rest: NDArray[Any] = values
        data[place] = rest
        for _ in range(width - 1):
            goes_on[place] = 0x80
            place += 1
            np.greater(rest, 0x7F, out=used[place])
            rest = rest >> 7
            data[place] = rest
        place += 1
    data &= 0x7F
    data[:-1] |= used[1:].view(np.uint8) * goes_on[:-1]
    ends = np.cumsum(used.view(np.uint8).sum(axis=0, dtype=np.uint16), dtype=np.int32)
    offsets = np.concatenate([np.zeros(1, np.int32), ends])
    return pa.BinaryArray.from_buffers(
        pa.binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(data.T[used.T])]
    )


def _zigzag(values: NDArray[Any]) -> NDArray[np.unsignedinteger]:
    if values.dtype == bool:
        return values.view(np.uint8)
    sign = 8 * values.itemsize - 1
    return ((values << 1) ^ (values >> sign)).view(f"u{values.itemsize}")


def avro_texts(column: pa.Array) -> list[pa.BinaryArray]:
    """Lengths, and UTF-8 bytes."""
    return [avro_numbers([(texts.lengths_of(column), None)]), column.cast(pa.binary())]


def _texts(column: pa.Array, nullable: bool) -> list[pa.BinaryArray]:
    if pa.types.is_dictionary(column.type):
        values = joined(_texts(column.dictionary, nullable))
        if column.null_count:
            values = pa.concat_arrays([values, pa.array([varint(0)], values.type)])
        return [values.take(column.indices.fill_null(len(values) - 1))]
    if not nullable:
        return avro_texts(column)
    stated = joined([varint(1), *avro_texts(column.fill_null(""))])
    return [pc.if_else(column.is_valid(), stated, varint(0))]


def varint(number: int) -> bytes:
    """One integer."""
    return avro_numbers([(np.array([number]), None)])[0].as_py()
