"""The records of a session, one per metric: their rows, and their encoding in Avro. Pure; no Beam."""

import numpy as np
import pyarrow as pa
import xxhash

from schemas import metric_types
from schemas.arrow import arrow_schema
from transforms.folding.metrics import schema_of
from transforms.writing.avro import avro_numbers, avro_texts, joined, varint
from transforms.writing.outputs import Output

_TWELVE_DIGITS = 10**12

_NAME_BYTES = len("MSM-") + 24 + 1

BULK_INSERT_COLUMNS = (
    "MessagingSessionId",
    "MessagingSessionMetricType",
    "MessagingSessionMetricValue",
)


def types_of(schema: pa.Schema) -> list[str]:
    """The metrics of batches with this schema (see `metrics.schema_of`), in the order of the records."""
    return [name for name in metric_types() if name in schema.names]


def names(session_ids: pa.Array, types: list[str]) -> pa.Array:
    """The `Name` of each record, those of a session in the order of `types`: `MSM-` and 25 digits.

    24 digits are two 64-bit halves of the XXH3 hash of the session id, each modulo 10^12; the last
    is the number of the type, from 1. Among 10^8 sessions two share one with probability
    (10^8)^2 / 2 / 10^24 = 5e-9.
    """
    digests = map(xxhash.xxh3_128_digest, session_ids.cast(pa.binary()).to_pylist())
    halves = np.frombuffer(b"".join(digests), ">u8") % np.uint64(_TWELVE_DIGITS)
    digits = np.empty((len(halves), 12), np.uint8)
    for place in range(11, -1, -1):
        halves, digits[:, place] = np.divmod(halves, np.uint64(10))
    text = np.empty((len(session_ids), len(types), _NAME_BYTES), np.uint8)
    text[:, :, :4] = np.frombuffer(b"MSM-", np.uint8)
    text[:, :, 4:-1] = digits.reshape(-1, 1, 24) + ord("0")
    text[:, :, -1] = [metric_types().index(name) + 1 + ord("0") for name in types]
    offsets = np.arange(0, text.size + 1, _NAME_BYTES, dtype=np.int32)
    return pa.StringArray.from_buffers(
        len(session_ids) * len(types), pa.py_buffer(offsets), pa.py_buffer(text)
    )


def to_records(metrics: pa.RecordBatch) -> pa.RecordBatch:
    """Makes a record of each metric of each session, in the order of sessions, then of types.

    Args:
      metrics: schema as `metrics.schema_of`; other columns are left out.

    Returns:
      Rows with the schema of the records.
    """
    session_ids, types = metrics.column("session_id"), types_of(metrics.schema)
    values = np.stack([metrics.column(name).to_numpy() for name in types], axis=1)
    of_session = pa.array(np.repeat(np.arange(len(metrics)), len(types)))
    return pa.RecordBatch.from_arrays(
        [
            names(session_ids, types),
            session_ids.take(of_session),
            pa.array(np.tile(types, len(metrics)), pa.string()),
            pa.array(values.reshape(-1)),
            metrics.column("ended_at_us").take(of_session).cast(pa.timestamp("us", "UTC")),
        ],
        schema=arrow_schema(),
    )


def _to_avro(metrics: pa.RecordBatch) -> pa.BinaryArray:
    """The records of each session as `avro_rows` encodes them; what they share is encoded once."""
    count, types = len(metrics), types_of(metrics.schema)
    name = joined(avro_texts(names(metrics.column("session_id"), types)))
    session_id = joined(avro_texts(metrics.column("session_id")))
    created = avro_numbers([(metrics.column("ended_at_us").to_numpy(), None)])
    fields = []
    for number, metric in enumerate(types):
        values = metrics.column(metric).to_numpy()
        fields += [
            name.take(pa.array(np.arange(number, count * len(types), len(types)))),
            session_id,
            varint(metric_types().index(metric)),
            avro_numbers([(values, None)]),
            created,
        ]
    return joined(fields)


def _records_per_session(schema: pa.Schema) -> int:
    return len(types_of(schema))


RECORDS_OUTPUT = Output(
    schema="messaging_session_metrics",
    files="metrics",
    id_field="MessagingSessionId",
    ended_field="CreatedDate",
    partition="created_date",
    layout=schema_of(metric_types()),
    to_rows=to_records,
    to_avro=_to_avro,
    rows_per_session=_records_per_session,
    csv_columns=BULK_INSERT_COLUMNS,
)
