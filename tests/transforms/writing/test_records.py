"""The six records of a session and their bytes, read back by libraries that share no code with them."""

import csv
import datetime
import io
import json

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import arrow_schema, avro_schema
from transforms.folding.metrics import DEFAULT_METRICS, schema_of
from transforms.writing.avro import avro_numbers
from transforms.writing.encoders import ENCODERS, encode
from transforms.writing.records import RECORDS_OUTPUT, names, to_records

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
MIN_US, MAX_US = -62_135_596_800_000_000, 253_402_300_799_999_999  # the years 1 to 9999
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
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


def read_avro(content: bytes) -> list[dict]:
    return list(fastavro.reader(io.BytesIO(content)))


EXAMPLE = metrics(
    ("0Mwbb000007MGoTCAW", 1_727_874_000_123_456, 1, 2, 3, 4, 5, MAX_VALUE),
    *((i, -1, 0, 63, 64, 8191, 8192, MAX_VALUE) for i in sorted(ODD_IDS)),
)


def test_known_vector():
    first = metrics(("0Mwbb000007MGoTCAW", 1_727_874_000_123_456, 1, 2, 3, 4, 5, 6))
    ended = datetime.datetime(2024, 10, 2, 13, 0, 0, 123456, datetime.timezone.utc)
    types = [
        "AgentMessageCount",
        "AverageAgentResponseTime",
        "AverageEndUserResponseTime",
        "EndUserMessageCount",
        "MaxAgentResponseTime",
        "MaxEndUserResponseTime",
    ]
    assert as_rows(first) == [
        {
            "Name": f"MSM-354983734807007769823897{number}",
            "MessagingSessionId": "0Mwbb000007MGoTCAW",
            "MessagingSessionMetricType": kind,
            "MessagingSessionMetricValue": number,
            "CreatedDate": ended,
        }
        for number, kind in enumerate(types, 1)
    ]


def test_records_and_schema_agree_in_both_directions():
    for batch in (EXAMPLE, EXAMPLE[:0]):
        table = to_records(batch)
        assert table.schema.equals(arrow_schema(), check_metadata=True)
        table.validate(full=True)
    assert [field["name"] for field in avro_schema()["fields"]] == FIELDS
    for row in as_rows(EXAMPLE):
        assert list(row) == FIELDS
        assert fastavro.validate(row, avro_schema())


def test_a_record_that_is_not_of_the_restricted_list_is_no_record():
    row = as_rows(EXAMPLE)[0] | {"MessagingSessionMetricType": "MedianAgentResponseTime"}
    assert not fastavro.validate(row, avro_schema(), raise_errors=False)


def test_name_is_a_pure_function_of_session_and_type():
    forward = names(EXAMPLE.column(0), SIX).to_pylist()
    backward = names(EXAMPLE.column(0)[::-1], SIX).to_pylist()
    sixes = [forward[i : i + 6] for i in range(0, len(forward), 6)]
    assert sixes[::-1] == [backward[i : i + 6] for i in range(0, len(backward), 6)]
    assert names(EXAMPLE.column(0)[3:5], SIX).to_pylist() == [*sixes[3], *sixes[4]]
    for name in forward:
        assert name[:4] == "MSM-" and name[4:].isdecimal() and len(name) == 29
    for six in sixes:
        assert len({name[:-1] for name in six}) == 1
        assert [name[-1] for name in six] == list("123456")


def test_names_are_distinct():
    found = names(pa.array([f"0Mw{i:015d}" for i in range(100_000)]), SIX).to_pylist()
    assert len(set(found)) == 600_000


@pytest.mark.parametrize("batch", [EXAMPLE, EXAMPLE[2:5], EXAMPLE[:0], many(5000)], ids=len)
def test_avro(batch):
    """5,000 sessions are more than a block."""
    content = b"".join(encode(RECORDS_OUTPUT, batch, "avro"))
    assert read_avro(content) == as_rows(batch)
    reader = fastavro.reader(io.BytesIO(content))
    assert reader.codec == "deflate"
    assert json.loads(reader.metadata["avro.schema"]) == avro_schema()
    for field in reader.writer_schema["fields"]:
        assert len(field["doc"]) > 10


@pytest.mark.parametrize("batch", [EXAMPLE, EXAMPLE[2:5], EXAMPLE[:0], many(70_000)], ids=len)
def test_parquet(batch):
    """70,000 sessions are more than a row group."""
    file = pq.ParquetFile(io.BytesIO(b"".join(encode(RECORDS_OUTPUT, batch, "parquet"))))
    assert file.schema_arrow.equals(arrow_schema())
    for field, avro in zip(file.schema_arrow, avro_schema()["fields"], strict=True):
        assert field.metadata[b"description"].decode() == avro["doc"]
        assert not field.nullable
    assert file.schema_arrow.metadata[b"description"].decode() == avro_schema()["doc"]
    assert file.read().combine_chunks() == pa.Table.from_batches([to_records(batch)])


@pytest.mark.parametrize("batch", [EXAMPLE, EXAMPLE[2:5], EXAMPLE[:0]], ids=len)
def test_csv_has_what_bulk_api_can_insert(batch):
    text = b"".join(encode(RECORDS_OUTPUT, batch, "csv")).decode()
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns = FIELDS[1:4]
    assert header == columns
    assert rows == [[str(row[c]) for c in columns] for row in as_rows(batch)]
    assert text.startswith(",".join(columns) + "\n")


def test_csv_quotes_as_rfc_4180():
    batch = metrics(*((i, 0, 1, 2, 3, 4, 5, 6) for i in ('a"b', "c,d", "e\r\nf", "plain")))
    text = b"".join(encode(RECORDS_OUTPUT, batch, "csv")).decode()
    assert '\n"a""b","AgentMessageCount",1\n' in text
    assert '\n"c,d","AgentMessageCount",1\n' in text
    assert '\n"e\r\nf","AgentMessageCount",1\n' in text


@pytest.mark.parametrize("batch", [EXAMPLE, EXAMPLE[2:5], EXAMPLE[:0], many(5000)], ids=len)
def test_json_lines(batch):
    lines = b"".join(encode(RECORDS_OUTPUT, batch, "jsonl")).decode().split("\n")
    assert lines.pop() == ""
    rows = [json.loads(line) for line in lines]
    for row in rows:
        assert list(row) == FIELDS
        assert row["CreatedDate"].endswith("Z") and len(row["CreatedDate"]) == 27
        row["CreatedDate"] = datetime.datetime.strptime(
            row["CreatedDate"], "%Y-%m-%dT%H:%M:%S.%f%z"
        )
    assert rows == as_rows(batch)


def test_same_records_have_same_bytes():
    for output_format in ENCODERS:
        whole = b"".join(encode(RECORDS_OUTPUT, EXAMPLE, output_format))
        assert b"".join(encode(RECORDS_OUTPUT, EXAMPLE, output_format)) == whole
        pieces = pa.Table.from_batches([EXAMPLE[:4], EXAMPLE[4:]]).combine_chunks().to_batches()
        assert b"".join(encode(RECORDS_OUTPUT, pieces[0], output_format)) == whole


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(max_size=70) | st.sampled_from(["", "é" * 100, "x" * 63, "x" * 64, "x" * 200]),
            st.integers(MIN_US, MAX_US)
            | st.sampled_from([-1, 0, 63, 64, -64, -65, MIN_US, MAX_US]),
            *[st.integers(0, MAX_VALUE) | st.sampled_from([0, 63, 64, 8191, 8192, MAX_VALUE])] * 6,
        ),
        max_size=8,
    )
)
def test_avro_rows_are_those_of_fastavro(rows):
    expected = io.BytesIO()
    schema = fastavro.parse_schema(avro_schema())
    named = names(pa.array([row[0] for row in rows], pa.string()), SIX).to_pylist()
    for number, row in enumerate(rows):
        for kind, (name, value) in enumerate(zip(SIX, row[2:], strict=True)):
            record = {
                "Name": named[number * 6 + kind],
                "MessagingSessionId": row[0],
                "MessagingSessionMetricType": name,
                "MessagingSessionMetricValue": value,
                "CreatedDate": EPOCH + datetime.timedelta(microseconds=row[1]),
            }
            fastavro.schemaless_writer(expected, schema, record)
    batch = metrics(*rows)
    assert b"".join(RECORDS_OUTPUT.to_avro(batch).to_pylist()) == expected.getvalue()
    assert read_avro(b"".join(encode(RECORDS_OUTPUT, batch, "avro"))) == as_rows(batch)


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_varints_are_those_of_fastavro(numbers):
    expected = io.BytesIO()
    for number in numbers:
        fastavro.schemaless_writer(expected, "long", number)
    encoded = avro_numbers([(np.array(numbers, np.int64), None)])
    assert b"".join(encoded.to_pylist()) == expected.getvalue()


@given(st.lists(st.tuples(st.integers(-(2**31), 2**31 - 1), st.none() | st.booleans())))
def test_numbers_side_by_side_are_those_of_fastavro(rows):
    """Short ones, and those that may be null."""
    schema = {"type": "record", "name": "r", "fields": [{"name": "a", "type": "int"}]}
    schema["fields"].append({"name": "b", "type": ["null", "boolean"]})
    schema["fields"].append({"name": "c", "type": ["null", "long"]})
    expected = [io.BytesIO() for _ in rows]
    for file, (a, b) in zip(expected, rows, strict=True):
        record = {"a": a, "b": b, "c": None if b is None else a << 31}
        fastavro.schemaless_writer(file, fastavro.parse_schema(schema), record)
    a = np.array([a for a, _ in rows], np.int32)
    stated = np.array([b is not None for _, b in rows], bool)
    c = np.where(stated, a.astype(np.int64) << 31, 0)
    columns = [(a, None), (np.array([bool(b) for _, b in rows], bool), stated), (c, stated)]
    assert avro_numbers(columns).to_pylist() == [file.getvalue() for file in expected]
