"""The six records of a session, and the bytes they have in each file format. Pure; no Beam.

Everything here is a function of the records alone: no clock, no random, no arrival order.
"""

import concurrent.futures
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

from schemas import arrow_schema, avro_schema, metric_types
from transforms import texts

NUM_TYPES = len(metric_types())
_BLOCK_SESSIONS = 1 << 12
_ROW_GROUP_SESSIONS = 1 << 16
_DEFLATE_LEVEL = 1  # a fifth of the default's time for a tenth more bytes
_AVRO_MAGIC = b"Obj\x01"
_TWELVE_DIGITS = 10**12
_NAME_BYTES = len("MSM-") + 24 + 1
BULK_INSERT_COLUMNS = [
    "MessagingSessionId",
    "MessagingSessionMetricType",
    "MessagingSessionMetricValue",
]

Bytes = NDArray[np.uint8]


def names(session_ids: pa.Array) -> pa.Array:
    """The `Name` of each record, six per session: `MSM-` and 25 digits.

    24 digits are two 64-bit halves of a BLAKE2b hash of the session id, each modulo 10^12; the last
    is the number of the type, 1 to 6. Among 10^8 sessions two share one with probability
    (10^8)^2 / 2 / 10^24 = 5e-9.
    """
    digests = [
        hashlib.blake2b(i.encode(), digest_size=16).digest() for i in session_ids.to_pylist()
    ]
    halves = np.frombuffer(b"".join(digests), ">u8") % np.uint64(_TWELVE_DIGITS)
    digits = np.empty((len(halves), 12), np.uint8)
    for place in range(11, -1, -1):
        halves, digits[:, place] = np.divmod(halves, np.uint64(10))
    text = np.empty((len(digests), NUM_TYPES, _NAME_BYTES), np.uint8)
    text[:, :, :4] = np.frombuffer(b"MSM-", np.uint8)
    text[:, :, 4:-1] = digits.reshape(-1, 1, 24) + ord("0")
    text[:, :, -1] = np.arange(1, NUM_TYPES + 1) + ord("0")
    offsets = np.arange(0, text.size + 1, _NAME_BYTES, dtype=np.int32)
    return pa.StringArray.from_buffers(
        len(digests) * NUM_TYPES, pa.py_buffer(offsets), pa.py_buffer(text)
    )


def to_records(metrics: pa.RecordBatch) -> pa.RecordBatch:
    """Makes six records of each row of schema `METRICS`, in order of type; schema as in the .avsc."""
    session_ids = metrics.column("session_id")
    values = np.stack([metrics.column(name).to_numpy() for name in metric_types()], axis=1)
    types = pa.array(np.tile(metric_types(), len(metrics)), pa.string())
    return pa.RecordBatch.from_arrays(
        [
            names(session_ids),
            _six_times(session_ids),
            types,
            pa.array(values.reshape(-1)),
            _six_times(metrics.column("ended_at_us")).cast(pa.timestamp("us", "UTC")),
        ],
        schema=arrow_schema(),
    )


def _six_times(array: pa.Array) -> pa.Array:
    return array.take(pa.array(np.repeat(np.arange(len(array)), NUM_TYPES)))


def _slices(metrics: pa.RecordBatch, size: int) -> Iterator[pa.RecordBatch]:
    return (metrics.slice(start, size) for start in range(0, len(metrics), size))


def write_parquet(metrics: pa.RecordBatch, file: IO[bytes]) -> None:
    """Writes the records, with the field descriptions, Zstandard-compressed."""
    with pq.ParquetWriter(file, arrow_schema(), compression="zstd") as writer:
        for piece in _slices(metrics, _ROW_GROUP_SESSIONS):
            writer.write_batch(to_records(piece))


def write_csv(metrics: pa.RecordBatch, file: IO[bytes]) -> None:
    """Writes what Bulk API 2.0 can insert: the three columns that can be created; LF, UTF-8."""
    schema = pa.schema([arrow_schema().field(name) for name in BULK_INSERT_COLUMNS])
    file.write(f"{','.join(BULK_INSERT_COLUMNS)}\n".encode())
    options = pa.csv.WriteOptions(include_header=False, quoting_style="needed")
    with pa.csv.CSVWriter(file, schema, write_options=options) as writer:
        for piece in _slices(metrics, _ROW_GROUP_SESSIONS):
            writer.write(to_records(piece).select(BULK_INSERT_COLUMNS))


def write_json_lines(metrics: pa.RecordBatch, file: IO[bytes]) -> None:
    """Writes an object per line, the instant as ISO 8601 with microseconds."""
    fields = arrow_schema().names
    for piece in _slices(metrics, _BLOCK_SESSIONS):
        ended_at = piece.column("ended_at_us").cast(pa.timestamp("us", "UTC"))
        session_ids = [json.dumps(i, ensure_ascii=False) for i in piece[0].to_pylist()]
        records = to_records(piece)
        columns = [
            pc.binary_join_element_wise('"', records.column("Name"), '"', ""),
            _six_times(pa.array(session_ids, pa.string())),
            pc.binary_join_element_wise('"', records.column(fields[2]), '"', ""),
            records.column(fields[3]).cast(pa.string()),
            _six_times(pc.strftime(ended_at, '"%Y-%m-%dT%H:%M:%SZ"')),
        ]
        keyed = [
            part
            for name, column in zip(fields, columns, strict=True)
            for part in (f', "{name}": ', column)
        ]
        lines = pc.binary_join_element_wise("{" + keyed[0][2:], *keyed[1:], "}\n", "")
        file.write("".join(lines.to_pylist()).encode())


def write_avro(metrics: pa.RecordBatch, file: IO[bytes]) -> None:
    """Writes an Avro object container file, deflated, with the schema and its docs in the header.

    A block is laid out by array operations: each field of its records is a column of bytes, and the
    columns are joined row by row.
    """
    schema = json.dumps(avro_schema(), separators=(",", ":")).encode()
    marker = hashlib.blake2b(schema, digest_size=16).digest()
    meta = {b"avro.codec": b"deflate", b"avro.schema": schema}
    file.write(_AVRO_MAGIC + _varint(len(meta)))
    for text in itertools.chain.from_iterable(meta.items()):
        file.write(_varint(len(text)) + text)
    file.write(_varint(0) + marker)
    # Deflate leaves the interpreter's lock, and so does most of the rest.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for block in pool.map(_avro_block, _slices(metrics, _BLOCK_SESSIONS)):
            file.write(block + marker)


def _avro_block(metrics: pa.RecordBatch) -> bytes:
    """Number of records, number of bytes, and the records' bytes, deflated."""
    deflate = zlib.compressobj(_DEFLATE_LEVEL, wbits=-zlib.MAX_WBITS)
    content = deflate.compress(_avro_rows(metrics)) + deflate.flush()
    return _varint(len(metrics) * NUM_TYPES) + _varint(len(content)) + content


def _avro_rows(metrics: pa.RecordBatch) -> pa.Buffer:
    """The records in Avro's binary encoding, fields in the order of the schema."""
    count = len(metrics)
    name = _avro_texts(names(metrics.column("session_id")))
    session_id = _avro_texts(metrics.column("session_id"))
    created = _avro_integers(metrics.column("ended_at_us").to_numpy())
    fields = []
    for number, metric in enumerate(metric_types()):
        values = metrics.column(metric).to_numpy().astype(np.int64)
        fields += [
            name.take(pa.array(np.arange(number, count * NUM_TYPES, NUM_TYPES))),
            session_id,
            _varint(number),
            _avro_integers(values),
            created,
        ]
    rows = pc.binary_join_element_wise(*fields, b"")  # a session's six records end to end
    offsets = np.frombuffer(rows.buffers()[1], np.int32)
    return rows.buffers()[2][: int(offsets[count])]


def _avro_integers(numbers: NDArray[np.int64]) -> pa.BinaryArray:
    """Zigzag varints."""
    zigzag = ((numbers << 1) ^ (numbers >> 63)).view(np.uint64)
    widest = max(1, -(-int(zigzag.max(initial=0)).bit_length() // 7))
    shifts = np.arange(widest, dtype=np.uint64) * np.uint64(7)
    groups = zigzag[:, None] >> shifts
    used = groups != 0
    used[:, 0] = True
    encoded = (groups & np.uint64(0x7F)).astype(np.uint8)
    encoded[:, :-1] |= used[:, 1:].astype(np.uint8) << 7  # more bytes follow
    offsets = np.concatenate([[0], np.cumsum(np.count_nonzero(used, axis=1))]).astype(np.int32)
    data = encoded[used]
    return pa.BinaryArray.from_buffers(
        pa.binary(), len(numbers), [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    )


def _avro_texts(column: pa.Array) -> pa.BinaryArray:
    """Length and UTF-8 bytes."""
    return pc.binary_join_element_wise(
        _avro_integers(texts.lengths_of(column)), column.cast(pa.binary()), b""
    )


def _varint(number: int) -> bytes:
    return _avro_integers(np.array([number]))[0].as_py()


WRITERS: dict[str, Callable[[pa.RecordBatch, IO[bytes]], None]] = {
    "avro": write_avro,
    "parquet": write_parquet,
    "csv": write_csv,
    "jsonl": write_json_lines,
}
"""By output format, which is also the suffix of its files."""


def encode(metrics: pa.RecordBatch, output_format: str) -> bytes:
    """The bytes of a file with the records of `metrics`, which is sorted by session id."""
    file = io.BytesIO()
    WRITERS[output_format](metrics, file)
    return file.getvalue()
