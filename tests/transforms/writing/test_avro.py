"""Avro by array operations, beside fastavro, row by row."""

import datetime
import io

import fastavro
import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import avro_schema
from tests.support.records import MAX_VALUE, SIX, as_rows, metrics
from transforms.writing.avro import avro_numbers
from transforms.writing.encoders import ENCODERS
from transforms.writing.records import RECORDS_OUTPUT, names

MIN_US, MAX_US = -62_135_596_800_000_000, 253_402_300_799_999_999  # the years 1 to 9999
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


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
    assert list(
        fastavro.reader(io.BytesIO(b"".join(ENCODERS["avro"](RECORDS_OUTPUT, batch))))
    ) == as_rows(batch)


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


def test_the_row_that_is_worked_out_in_the_source():
    columns = [
        (np.array([300, 1], np.int64), None),
        (np.array([0, 7], np.int32), np.array([False, True])),
    ]
    assert avro_numbers(columns).to_pylist() == [b"\xd8\x04\x00", b"\x02\x02\x0e"]
