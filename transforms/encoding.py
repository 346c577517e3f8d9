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
from typing import IO, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray
from zlib_ng import zlib_ng

from schemas import arrow_schema, avro_schema, is_nullable, symbols_of
from transforms import texts

_BLOCK_SESSIONS = 1 << 12
_ENCODED_SESSIONS = 1 << 14  # at once: with fewer, threads wait for the interpreter's lock
_ROW_GROUP_SESSIONS = 1 << 16
_DEFLATE_LEVEL = 2  # see docs/decisions.md
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


def encode(kind: Kind, sessions: Sessions, output_format: str) -> bytes:
    """The bytes of a file with the rows of sessions, which are sorted by id."""
    file = io.BytesIO()
    WRITERS[output_format](kind, sessions, file)
    return file.getvalue()


def _slices(sessions: Sessions, size: int) -> Iterator[pa.RecordBatch]:
    return (sessions.slice(start, size) for start in range(0, len(sessions), size))


def write_parquet(kind: Kind, sessions: Sessions, file: IO[bytes]) -> None:
    """Writes the rows, with the field descriptions, Zstandard-compressed."""
    with pq.ParquetWriter(file, arrow_schema(kind.schema), compression="zstd") as writer:
        for piece in _slices(sessions, _ROW_GROUP_SESSIONS):
            writer.write_batch(kind.to_rows(piece))


def write_csv(kind: Kind, sessions: Sessions, file: IO[bytes]) -> None:
    """Writes the columns `csv_columns`, instants as ISO 8601, null as nothing; LF, UTF-8."""
    file.write(f"{','.join(kind.csv_columns)}\n".encode())
    options = pa.csv.WriteOptions(include_header=False, quoting_style="needed")
    for piece in _slices(sessions, _ROW_GROUP_SESSIONS):
        rows = kind.to_rows(piece).select(list(kind.csv_columns))
        columns = [_iso(c) if pa.types.is_timestamp(c.type) else c for c in rows.columns]
        pa.csv.write_csv(pa.table(columns, rows.schema.names), file, options)


def _iso(instants: pa.Array) -> pa.Array:
    return pc.strftime(instants, "%Y-%m-%dT%H:%M:%SZ")  # %S has the microseconds


def write_json_lines(kind: Kind, sessions: Sessions, file: IO[bytes]) -> None:
    """Writes an object per line, instants as ISO 8601 with microseconds."""
    for piece in _slices(sessions, _BLOCK_SESSIONS):
        rows = kind.to_rows(piece)
        keyed = [
            part
            for name, column in zip(rows.schema.names, rows.columns, strict=True)
            for part in (f', "{name}": ', _json_values(column))
        ]
        lines = pc.binary_join_element_wise("{" + keyed[0][2:], *keyed[1:], "}\n", "")
        file.write("".join(lines.to_pylist()).encode())


def _json_values(column: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(column.type):
        column = _iso(column)
    if not pa.types.is_string(column.type):
        return column.cast(pa.string()).fill_null("null")
    if pc.any(pc.match_substring_regex(column, _ESCAPED)).as_py():
        return pa.array([json.dumps(t, ensure_ascii=False) for t in column.to_pylist()])
    return pc.binary_join_element_wise('"', column, '"', "").fill_null("null")


def write_avro(kind: Kind, sessions: Sessions, file: IO[bytes]) -> None:
    """Writes an Avro object container file, deflated, with the schema and its docs in the header."""
    schema = json.dumps(avro_schema(kind.schema), separators=(",", ":")).encode()
    marker = hashlib.blake2b(schema, digest_size=16).digest()
    meta = {b"avro.codec": b"deflate", b"avro.schema": schema}
    file.write(_AVRO_MAGIC + varint(len(meta)))
    for text in itertools.chain.from_iterable(meta.items()):
        file.write(varint(len(text)) + text)
    file.write(varint(0) + marker)

    rows_per_session = kind.rows_per_session(sessions.schema)

    def block(rows: pa.BinaryArray) -> bytes:
        """Number of rows, number of bytes, and the rows' bytes, deflated; marker."""
        deflate = zlib_ng.compressobj(_DEFLATE_LEVEL, wbits=-zlib_ng.MAX_WBITS)
        content = deflate.compress(texts.bytes_of(rows)) + deflate.flush()
        return varint(len(rows) * rows_per_session) + varint(len(content)) + content + marker

    def blocks(start: int) -> list[bytes]:
        encoded = kind.to_avro(sessions.slice(start, _ENCODED_SESSIONS))
        starts = range(0, len(encoded), _BLOCK_SESSIONS)
        return [block(encoded.slice(start, _BLOCK_SESSIONS)) for start in starts]

    for written in _pool().map(blocks, range(0, len(sessions), _ENCODED_SESSIONS)):
        file.writelines(written)


@functools.cache
def _pool() -> concurrent.futures.ThreadPoolExecutor:
    """Threads for blocks, of all files: deflate leaves the interpreter's lock, and most of the rest."""
    return concurrent.futures.ThreadPoolExecutor(os.cpu_count())


WRITERS: dict[str, Callable[[Kind, Sessions, IO[bytes]], None]] = {
    "avro": write_avro,
    "parquet": write_parquet,
    "csv": write_csv,
    "jsonl": write_json_lines,
}
"""By output format, which is also the suffix of its files."""


# Avro's binary encoding, by array operations: each byte of the numbers that stand side by side is an
# array over the rows, and what they make up is joined with the texts row by row.


Numbers = NDArray[np.signedinteger] | NDArray[np.bool_]


def avro_rows(columns: Sequence[pa.Array], schema: str) -> pa.BinaryArray:
    """Rows in Avro's binary encoding.

    Args:
      columns: one for each field of the schema, in that order; texts also as dictionaries.
      schema: its name.
    """
    fields = list(zip(columns, avro_schema(schema)["fields"], strict=True))
    parts = []
    for is_text, run in itertools.groupby(fields, lambda field: _is_text(field[1])):
        if is_text:
            parts += [_texts(column, is_nullable(field)) for column, field in run]
        else:
            parts.append(avro_numbers([_numbers(*field) for field in run]))
    return joined(parts)


def _is_text(field: dict[str, Any]) -> bool:
    return field["type"] in ("string", ["null", "string"])


def joined(parts: Sequence[pa.Array | bytes]) -> pa.BinaryArray:
    """The bytes of columns side by side, end to end in each row."""
    return pc.binary_join_element_wise(*parts, b"")


def _numbers(column: pa.Array, field: dict[str, Any]) -> tuple[Numbers, NDArray[np.bool_] | None]:
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


def avro_numbers(
    columns: Sequence[tuple[Numbers, NDArray[np.bool_] | None]],
) -> pa.BinaryArray:
    """Numbers side by side: zigzag varints, booleans as a byte.

    Args:
      columns: the values, and which of them are stated, where the field is a union with null, which
        comes first; what is not stated is 0.
    """
    places: list[NDArray[Any]] = []  # by place in the row, a byte of each row
    used: list[NDArray[np.bool_]] = []
    for values, stated in columns:
        there = np.ones(len(values), bool)
        if stated is not None:
            places.append(stated.view(np.uint8) << 1)
            used.append(there)
            there = stated
        if values.dtype == bool:
            places.append(values.view(np.uint8))
            used.append(there)
            continue
        sign = 8 * values.itemsize - 1
        rest = ((values << 1) ^ (values >> sign)).view(f"u{values.itemsize}")
        while True:
            follows = rest > 0x7F
            byte = rest.astype(np.uint8)
            byte &= 0x7F
            byte |= follows.view(np.uint8) << 7
            places.append(byte)
            used.append(there)
            if not follows.any():
                break
            rest, there = rest >> 7, follows
    kept = np.stack(used, axis=1)
    ends = np.cumsum(np.stack(used).sum(axis=0, dtype=np.int32), dtype=np.int32)
    data = np.compress(kept.ravel(), np.stack(places, axis=1).ravel())
    offsets = np.concatenate([np.zeros(1, np.int32), ends])
    return pa.BinaryArray.from_buffers(
        pa.binary(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    )


def avro_texts(column: pa.Array) -> pa.BinaryArray:
    """Length and UTF-8 bytes."""
    lengths = avro_numbers([(texts.lengths_of(column), None)])
    return joined([lengths, column.cast(pa.binary())])


def _texts(column: pa.Array, nullable: bool) -> pa.BinaryArray:
    if pa.types.is_dictionary(column.type):
        values = _texts(column.dictionary, nullable)
        if column.null_count:
            values = pa.concat_arrays([values, pa.array([varint(0)], values.type)])
        return values.take(column.indices.fill_null(len(values) - 1))
    if not nullable:
        return avro_texts(column)
    stated = joined([varint(1), avro_texts(column.fill_null(""))])
    return pc.if_else(column.is_valid(), stated, varint(0))


def varint(number: int) -> bytes:
    """One integer."""
    return avro_numbers([(np.array([number]), None)])[0].as_py()
