"""Raw rows to Salesforce's own records, and to summary rows."""

import numpy as np
import pyarrow as pa

from tests.support.raw_rows import NOON, NOON_US, raw
from transforms.batches import SALESFORCE_RECORDS, SUMMARIES
from transforms.reading.columns import RawBatch
from transforms.reading.names import ColumnNames
from transforms.reading.records import normalize_records, normalize_summaries
from transforms.rejects import rejects_in


def test_records_are_normalized():
    raw = RawBatch(
        {
            "MessagingSessionId": pa.array(["0Mwbb000007MGoT", "0Mwbb000007MGoTCAW"]),
            "MessagingSessionMetricType": pa.array(["MaxAgentResponseTime", "AgentMessageCount"]),
            "MessagingSessionMetricValue": pa.array([42.0, 0.0]),
        },
        2,
        lambda: np.array([2, 3]),
    )
    (batch,), rejects, counts = normalize_records(raw, ColumnNames.of("records"), "f")
    assert batch.schema == SALESFORCE_RECORDS
    assert batch.to_pylist() == [
        {"session_id": "0Mwbb000007MGoTCAW", "metric_type": 4, "value": 42},
        {"session_id": "0Mwbb000007MGoTCAW", "metric_type": 0, "value": 0},
    ]
    assert (rejects_in(rejects), counts) == ([], {"records_read": 2})


def test_records_of_other_types_are_skipped_before_anything_else_is_looked_at():
    rows = [
        {"session_id": "s", "metric_type": "TransferCount", "metric_value": "x"},
        {"session_id": "s", "metric_type": "AgentMessageCount", "metric_value": "1"},
    ]
    (batch,), rejects, counts = normalize_records(raw(rows), ColumnNames.of("records"), "f")
    assert batch["value"].to_pylist() == [1]
    assert (rejects_in(rejects), counts) == (
        [],
        {"records_read": 2, "records_skipped_metric_type": 1},
    )


def test_summaries_are_normalized():
    values = {pa.string(): "x", pa.int64(): "7", pa.bool_(): "True"}
    row = {field.name: values.get(field.type, NOON) for field in SUMMARIES}
    without = {**row, "channel_type": None, "agent_response_max_us": ""}
    found = normalize_summaries(raw([row, without]), ColumnNames.of("summaries"), "f")
    (batch,) = found.batches
    assert batch.schema == SUMMARIES
    first, second = batch.to_pylist()
    assert first["agent_messages"] == 7
    assert first["ends_unanswered"] is True
    assert first["ended_at"].timestamp() * 1e6 == NOON_US
    assert second == {**first, "channel_type": None, "agent_response_max_us": None}
    assert (rejects_in(found.rejects), found.counts) == ([], {"summaries_read": 2})
