"""What an output is."""

import pickle

import pyarrow as pa
import pytest

from tests.support.metrics import metrics
from tests.support.records import EXAMPLE
from transforms.errors import OutputError
from transforms.writing.outputs import check_rows
from transforms.writing.records import RECORDS_OUTPUT
from transforms.writing.summary_rows import SUMMARIES_OUTPUT

OUTPUTS = pytest.mark.parametrize(
    "output", [RECORDS_OUTPUT, SUMMARIES_OUTPUT], ids=lambda o: o.files
)


@OUTPUTS
def test_a_pickled_copy_is_equal(output):
    """A step compares the output that it was given with one that another process has."""
    assert pickle.loads(pickle.dumps(output)) == output
    assert RECORDS_OUTPUT != SUMMARIES_OUTPUT


@OUTPUTS
def test_a_batch_without_rows(output):
    empty = output.empty()
    assert (len(empty), empty.schema) == (0, output.layout)
    assert len(output.to_rows(empty)) == len(output.to_avro(empty)) == 0


@OUTPUTS
def test_columns_of_other_outputs_are_left_out(output):
    names = ["session_id", "ended_at_us", "AgentMessageCount", "agent_responses", "other"]
    batch = pa.record_batch([pa.array([0])] * len(names), names)
    kept = {"metrics": "AgentMessageCount", "summaries": "agent_responses"}[output.files]
    assert output.select(batch).schema.names == ["session_id", "ended_at_us", kept]


def test_rows_per_session():
    assert RECORDS_OUTPUT.rows_per_session(EXAMPLE.schema) == 6
    assert RECORDS_OUTPUT.rows_per_session(EXAMPLE.select([0, 1, 3]).schema) == 1
    assert SUMMARIES_OUTPUT.rows_per_session(EXAMPLE.schema) == 1


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("session_id", None, "metrics: a row without session_id"),
        ("session_id", "", "metrics: a row with an empty session_id"),
        ("ended_at_us", None, "metrics: a row without ended_at_us"),
        ("ended_at_us", 253_402_300_800_000_000, "metrics: a row with ended_at_us out of range"),
        ("AgentMessageCount", None, "metrics: a row without AgentMessageCount"),
        ("MaxAgentResponseTime", -1, "metrics: a row with MaxAgentResponseTime out of range"),
        ("MaxAgentResponseTime", 10**9, "metrics: a row with MaxAgentResponseTime out of range"),
    ],
)
def test_records_that_are_not_as_the_schema_says(column, value, said):
    good = metrics(["a", "b"])
    check_rows(RECORDS_OUTPUT, good)
    check_rows(RECORDS_OUTPUT, good[:0])
    rows = good.to_pylist()
    rows[1][column] = value
    bad = pa.RecordBatch.from_pylist(rows, pa.schema([f.with_nullable(True) for f in good.schema]))
    with pytest.raises(OutputError) as caught:
        check_rows(RECORDS_OUTPUT, bad)
    assert str(caught.value) == f"{said}; nothing was published"
