"""The bytes of rows in each file format: Avro, Parquet, CSV, JSON Lines. Pure; no Beam.

Everything here is a function of the rows alone: no clock, no random, no arrival order.
"""

import concurrent.futures
import dataclasses
import hashlib
import io
import itertools
import json
import os
import zlib
from collections.abc import Callable, Iterator
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas import arrow_schema, avro_schema, is_nullable
from transforms import texts

_BLOCK_SESSIONS = 1 << 12
_ROW_GROUP_SESSIONS = 1 << 16
_DEFLATE_LEVEL = 1  # a fifth of the default's time for a tenth more bytes
_AVRO_MAGIC = b"Obj\x01"
_ESCAPED = r'[\x00-\x1f"\\]'  # in a JSON string


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
      ended_column: the column of the batches with that end.
      layout: the schema of a batch without rows; `session_id` is its first column.
      to_rows: a batch to the rows that are written, schema `arrow_schema(schema)`.
      to_avro: a batch to the same rows in Avro's binary encoding, end to end.
      rows_per_session: of a batch.
      csv_columns: the columns that a CSV file has.
    """

    schema: str
    files: str
    id_field: str
    ended_field: str
    partition: str
    ended_column: str
    layout: pa.Schema
    to_rows: Callable[[pa.RecordBatch], pa.RecordBatch]
    to_avro: Callable[[pa.RecordBatch], pa.Buffer]
    rows_per_session: Callable[[pa.RecordBatch], int]
    csv_columns: tuple[str, ...]

    def empty(self) -> pa.RecordBatch:
        """A batch without rows."""
        return pa.RecordBatch.from_pylist([], self.layout)

    def ended_us(self, batch: pa.RecordBatch) -> NDArray[np.int64]:
        """When each session of a batch ended."""
        return batch.column(self.ended_column).cast(pa.int64()).to_numpy()


def encode(kind: Kind, batch: pa.RecordBatch, output_format: str) -> bytes:
    """The bytes of a file with the rows of a batch, which is sorted by session id."""
    file = io.BytesIO()
    WRITERS[output_format](kind, batch, file)
    return file.getvalue()


def _slices(batch: pa.RecordBatch, size: int) -> Iterator[pa.RecordBatch]:
    return (batch.slice(start, size) for start in range(0, len(batch), size))


def write_parquet(kind: Kind, batch: pa.RecordBatch, file: IO[bytes]) -> None:
    """Writes the rows, with the field descriptions, Zstandard-compressed."""
    with pq.ParquetWriter(file, arrow_schema(kind.schema), compression="zstd") as writer:
        for piece in _slices(batch, _ROW_GROUP_SESSIONS):
            writer.write_batch(kind.to_rows(piece))


def write_csv(kind: Kind, batch: pa.RecordBatch, file: IO[bytes]) -> None:
    """Writes the columns `csv_columns`, instants as ISO 8601, null as nothing; LF, UTF-8."""
    file.write(f"{','.join(kind.csv_columns)}\n".encode())
    options = pa.csv.WriteOptions(include_header=False, quoting_style="needed")
    for piece in _slices(batch, _ROW_GROUP_SESSIONS):
        rows = kind.to_rows(piece).select(list(kind.csv_columns))
        columns = [_iso(c) if pa.types.is_timestamp(c.type) else c for c in rows.columns]
        pa.csv.write_csv(pa.table(columns, rows.schema.names), file, options)


def _iso(instants: pa.Array) -> pa.Array:
    return pc.strftime(instants, "%Y-%m-%dT%H:%M:%SZ")  # %S has the microseconds


def write_json_lines(kind: Kind, batch: pa.RecordBatch, file: IO[bytes]) -> None:
    """Writes an object per line, instants as ISO 8601 with microseconds."""
    for piece in _slices(batch, _BLOCK_SESSIONS):
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


def write_avro(kind: Kind, batch: pa.RecordBatch, file: IO[bytes]) -> None:
    """Writes an Avro object container file, deflated, with the schema and its docs in the header."""
    schema = json.dumps(avro_schema(kind.schema), separators=(",", ":")).encode()
    marker = hashlib.blake2b(schema, digest_size=16).digest()
    meta = {b"avro.codec": b"deflate", b"avro.schema": schema}
    file.write(_AVRO_MAGIC + varint(len(meta)))
    for text in itertools.chain.from_iterable(meta.items()):
        file.write(varint(len(text)) + text)
    file.write(varint(0) + marker)

    def block(piece: pa.RecordBatch) -> bytes:
        """Number of rows, number of bytes, and the rows' bytes, deflated."""
        deflate = zlib.compressobj(_DEFLATE_LEVEL, wbits=-zlib.MAX_WBITS)
        content = deflate.compress(kind.to_avro(piece)) + deflate.flush()
        rows = len(piece) * kind.rows_per_session(piece)
        return varint(rows) + varint(len(content)) + content

    # Deflate leaves the interpreter's lock, and so does most of the rest.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for content in pool.map(block, _slices(batch, _BLOCK_SESSIONS)):
            file.write(content + marker)


WRITERS: dict[str, Callable[[Kind, pa.RecordBatch, IO[bytes]], None]] = {
    "avro": write_avro,
    "parquet": write_parquet,
    "csv": write_csv,
    "jsonl": write_json_lines,
}
"""By output format, which is also the suffix of its files."""


# Avro's binary encoding, by array operations: each field of the rows is a column of bytes, and the
# columns are joined row by row.


def avro_rows(rows: pa.RecordBatch, schema: str) -> pa.Buffer:
    """Rows in Avro's binary encoding, fields in the order of the schema."""
    columns = [rows.column(field["name"]) for field in avro_schema(schema)["fields"]]
    nullable = [is_nullable(field) for field in avro_schema(schema)["fields"]]
    return joined([_avro_column(*one) for one in zip(columns, nullable, strict=True)], len(rows))


def joined(fields: list[pa.Array | bytes], count: int) -> pa.Buffer:
    """The bytes of columns, row by row, end to end."""
    rows = pc.binary_join_element_wise(*fields, b"")
    offsets = np.frombuffer(rows.buffers()[1], np.int32)
    return rows.buffers()[2][: int(offsets[count])]


def _avro_column(column: pa.Array, nullable: bool) -> pa.Array:
    if pa.types.is_boolean(column.type):
        return avro_bytes(column.to_numpy(zero_copy_only=False))
    if pa.types.is_string(column.type):
        encoded = avro_texts(column.fill_null(""))
        if not nullable:
            return encoded
        present = pc.binary_join_element_wise(varint(1), encoded, b"")
        return pc.if_else(column.is_valid(), present, varint(0))
    numbers = column.cast(pa.int64()).fill_null(0).to_numpy()
    return avro_integers(
        numbers, column.is_valid().to_numpy(zero_copy_only=False) if nullable else None
    )


def avro_bytes(values: NDArray[np.bool_]) -> pa.BinaryArray:
    """Booleans, a byte each."""
    offsets = np.arange(len(values) + 1, dtype=np.int32)
    data = pa.py_buffer(values.astype(np.uint8))
    return pa.BinaryArray.from_buffers(
        pa.binary(), len(values), [None, pa.py_buffer(offsets), data]
    )


def avro_integers(
    numbers: NDArray[np.int64], stated: NDArray[np.bool_] | None = None
) -> pa.BinaryArray:
    """Zigzag varints; with `stated` as unions with null, which comes first."""
    zigzag = ((numbers << 1) ^ (numbers >> 63)).view(np.uint64)
    widest = max(1, -(-int(zigzag.max(initial=0)).bit_length() // 7))
    shifts = np.arange(widest, dtype=np.uint64) * np.uint64(7)
    groups = zigzag[:, None] >> shifts
    used = groups != 0
    used[:, 0] = True
    encoded = (groups & np.uint64(0x7F)).astype(np.uint8)
    encoded[:, :-1] |= used[:, 1:].astype(np.uint8) << 7  # more bytes follow
    if stated is not None:
        used &= stated[:, None]
        used = np.column_stack([np.ones(len(used), bool), used])
        encoded = np.column_stack([stated.astype(np.uint8) << 1, encoded])
    offsets = np.concatenate([[0], np.cumsum(np.count_nonzero(used, axis=1))]).astype(np.int32)
    data = encoded[used]
    return pa.BinaryArray.from_buffers(
        pa.binary(), len(numbers), [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    )


def avro_texts(column: pa.Array) -> pa.BinaryArray:
    """Length and UTF-8 bytes."""
    return pc.binary_join_element_wise(
        avro_integers(texts.lengths_of(column)), column.cast(pa.binary()), b""
    )


def varint(number: int) -> bytes:
    """One integer."""
    return avro_integers(np.array([number]))[0].as_py()
