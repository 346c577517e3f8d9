"""Sessions with metrics, and the records that a reader should find of them."""

import pyarrow as pa

from schemas import DEFAULT_METRICS
from transforms.folding.metrics import schema_of
from transforms.writing.records import to_records

METRICS = schema_of(DEFAULT_METRICS)
SIX = list(DEFAULT_METRICS)
FIELDS = [
    "Name",
    "MessagingSessionId",
    "MessagingSessionMetricType",
    "MessagingSessionMetricValue",
    "CreatedDate",
]
MAX_VALUE = 999_999_999
ODD_IDS = [
    "a,b",
    'say "hi"',
    "two\nlines",
    "cr\rhere",
    " blank ",
    "Zoë",
    "会話-😀",
    "{}\\",
    "0" * 200,
]


def metrics(*rows: tuple) -> pa.RecordBatch:
    """Rows of session id, end in microseconds, and the six values."""
    columns = zip(*rows, strict=True) if rows else [[]] * len(METRICS)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, METRICS, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=METRICS)


def many(count: int) -> pa.RecordBatch:
    return metrics(*((f"s{i:06d}", i * 1_000_001, *range(i, i + 6)) for i in range(count)))


def as_rows(batch: pa.RecordBatch) -> list[dict]:
    """What a reader should see of a batch, by the one-by-one way."""
    return to_records(batch).to_pylist()


EXAMPLE = metrics(
    ("0Mwbb000007MGoTCAW", 1_727_874_000_123_456, 1, 2, 3, 4, 5, MAX_VALUE),
    *((i, -1, 0, 63, 64, 8191, 8192, MAX_VALUE) for i in sorted(ODD_IDS)),
)
