"""The bytes of rows in each file format: Avro, Parquet, CSV, JSON Lines. Pure; no Beam.

All bytes are a function of the rows alone: no clock, no random, no arrival order. Each encoder takes an
`Output` and its `Sessions`, and gives the bytes of one file in pieces.
"""

import concurrent.futures
import functools
import hashlib
import io
import itertools
import json
import os
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from isal import isal_zlib

from schemas import avro_schema
from schemas.arrow import arrow_schema
from transforms.plumbing import texts
from transforms.writing.avro import avro_numbers, varint
from transforms.writing.outputs import Output, Sessions

_BLOCK_SESSIONS = 1 << 12

# Sessions that a thread encodes at once: with fewer, threads wait for the interpreter's lock.
_ENCODED_SESSIONS = 1 << 14

_ROW_GROUP_SESSIONS = 1 << 16

# docs/decisions.md has the reason. Deflating by zlib in place of isal takes 1.4 s more for the records of
# ten million messages, 13 % of the job's processor time.
_DEFLATE_LEVEL = 1

_AVRO_MAGIC = b"Obj\x01"

# The characters that are escaped in a JSON string.
_ESCAPED = r'[\x00-\x1f"\\]'


def _slices(sessions: Sessions, size: int) -> Iterator[pa.RecordBatch]:
    return (sessions.slice(start, size) for start in range(0, len(sessions), size))


def encode_parquet(output: Output, sessions: Sessions) -> Iterator[bytes]:
    """A Parquet file, Zstandard-compressed; its fields have the schema's descriptions."""
    file = io.BytesIO()
    with pq.ParquetWriter(file, arrow_schema(output.schema), compression="zstd") as writer:
        for piece in _slices(sessions, _ROW_GROUP_SESSIONS):
            writer.write_batch(output.to_rows(piece))
    yield file.getvalue()


def encode_csv(output: Output, sessions: Sessions) -> Iterator[bytes]:
    """A CSV file of the columns `csv_columns`: instants as ISO 8601, null as nothing; LF, UTF-8."""
    yield f"{','.join(output.csv_columns)}\n".encode()
    options = pa.csv.WriteOptions(include_header=False, quoting_style="needed")
    for piece in _slices(sessions, _ROW_GROUP_SESSIONS):
        rows = output.to_rows(piece).select(list(output.csv_columns))
        columns = [_iso(c) if pa.types.is_timestamp(c.type) else c for c in rows.columns]
        file = io.BytesIO()
        pa.csv.write_csv(pa.table(columns, rows.schema.names), file, options)
        yield file.getvalue()


def _iso(instants: pa.Array) -> pa.Array:
    # %S has the microseconds.
    return pc.strftime(instants, "%Y-%m-%dT%H:%M:%SZ")


def encode_json_lines(output: Output, sessions: Sessions) -> Iterator[bytes]:
    """A JSON object per line; instants as ISO 8601 with microseconds."""
    for piece in _slices(sessions, _BLOCK_SESSIONS):
        yield json_lines(output.to_rows(piece))


def json_lines(rows: pa.RecordBatch) -> bytes:
    """A JSON object for each row, as Python's `json` would write it, each on a line of its own."""
    keyed = [
        part
        for name, column in zip(rows.schema.names, rows.columns, strict=True)
        for part in (f', "{name}": ', _json_values(column))
    ]
    lines = pc.binary_join_element_wise("{" + keyed[0][2:], *keyed[1:], "}\n", "")
    return bytes(texts.bytes_of(lines))


def _json_values(column: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(column.type):
        column = _iso(column)
    if not pa.types.is_string(column.type):
        return column.cast(pa.string()).fill_null("null")
    if pc.any(pc.match_substring_regex(column, _ESCAPED)).as_py():
        return pa.array([json.dumps(t, ensure_ascii=False) for t in column.to_pylist()])
    return pc.binary_join_element_wise('"', column, '"', "").fill_null("null")


def encode_avro(output: Output, sessions: Sessions) -> Iterator[bytes]:
    """An Avro object container file, deflated, with the schema and its docs in the header."""
    schema = json.dumps(avro_schema(output.schema), separators=(",", ":")).encode()
    marker = hashlib.blake2b(schema, digest_size=16).digest()
    meta = {b"avro.codec": b"deflate", b"avro.schema": schema}
    yield _AVRO_MAGIC + varint(len(meta))
    for text in itertools.chain.from_iterable(meta.items()):
        yield varint(len(text)) + text
    yield varint(0) + marker

    def blocks(start: int) -> list[bytes]:
        rows = output.to_avro(sessions.slice(start, _ENCODED_SESSIONS))
        return _avro_blocks(rows, output.rows_per_session(sessions.schema), marker)

    for encoded in _pool().map(blocks, range(0, len(sessions), _ENCODED_SESSIONS)):
        yield from encoded


def _avro_blocks(encoded: pa.BinaryArray, rows_per_session: int, marker: bytes) -> list[bytes]:
    """The blocks of a container file, in pieces.

    A block is the number of its rows, the number of its bytes, the rows, deflated, and the marker.

    Args:
      encoded: the rows of each session.
      rows_per_session: how many that are.
      marker: 16 bytes, the same in all of the file.
    """
    starts = range(0, len(encoded), _BLOCK_SESSIONS)
    blocks = [encoded.slice(start, _BLOCK_SESSIONS) for start in starts]
    deflated = [
        isal_zlib.compress(texts.bytes_of(block), _DEFLATE_LEVEL, -isal_zlib.MAX_WBITS)
        for block in blocks
    ]
    num_rows = np.array([len(block) * rows_per_session for block in blocks])
    num_bytes = np.array([len(content) for content in deflated])
    heads = avro_numbers([(num_rows, None), (num_bytes, None)]).to_pylist()
    return [
        piece
        for head, content in zip(heads, deflated, strict=True)
        for piece in (head, content, marker)
    ]


@functools.cache
def _pool() -> concurrent.futures.ThreadPoolExecutor:
    """Threads that encode the blocks of all files; most of the work leaves the interpreter's lock.

    Files are tasks of the pool of `plumbing.threads`. Blocks have a pool of their own, so that no file
    waits for a thread that another waiting file occupies. Measured on two cores, ten million messages in
    Parquet: with the blocks of a file encoded one after the other the job takes 7 % longer.
    """
    return concurrent.futures.ThreadPoolExecutor(os.cpu_count())


ENCODERS: dict[str, Callable[[Output, Sessions], Iterator[bytes]]] = {
    "avro": encode_avro,
    "parquet": encode_parquet,
    "csv": encode_csv,
    "jsonl": encode_json_lines,
}
"""By output format, which is also the suffix of its files."""
