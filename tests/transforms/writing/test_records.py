"""The records of a session: their rows, their names, and the schema."""

import datetime

import fastavro
import pyarrow as pa

from schemas import avro_schema
from schemas.arrow import arrow_schema
from tests.support.records import EXAMPLE, FIELDS, SIX, as_rows, metrics
from transforms.writing.records import names, to_records


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
