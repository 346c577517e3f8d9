"""Typed rows out, as one uses them in a pipeline of one's own."""

import json

import apache_beam as beam
from apache_beam.testing.test_pipeline import TestPipeline as Pipeline
from apache_beam.testing.util import assert_that, equal_to

from schemas import avro_schema
from tests.support.cli import output_bytes
from tests.support.rows import MESSAGES, SESSIONS, ZERO, Their, batches, compute, metric_rows
from transforms import ComputeSessionMetrics, MetricRow, Policy, ToRows, WriteMetrics


def test_rows_in_and_records_out():
    expected = metric_rows("0Mwbb000007MGoTCAW", [1, 43, 33, 2, 43, 33])
    expected += metric_rows("zero", [0] * 6)
    with Pipeline(runner="FnApiRunner") as pipeline:
        rows = compute(pipeline, MESSAGES, SESSIONS) | ToRows()
        assert rows.element_type is MetricRow
        assert_that(rows, equal_to(expected))


def test_a_metric_row_is_a_record_of_the_schema():
    assert list(MetricRow._fields) == [field["name"] for field in avro_schema()["fields"]]


def test_policy_reaches_the_rows():
    with Pipeline(runner="FnApiRunner") as pipeline:
        computed = batches(pipeline, MESSAGES, SESSIONS) | ComputeSessionMetrics(
            Policy(bots="answer", rounding="floor")
        )
        values = computed | ToRows() | beam.Map(lambda row: row.MessagingSessionMetricValue)
        assert_that(values, equal_to([1, 0, 32, 2, 0, 32, *[0] * 6]))


def test_write_metrics_from_rows(tmp_path):
    with Pipeline(runner="FnApiRunner") as pipeline:
        metrics = compute(pipeline, [*MESSAGES, Their("s", "5", None, "Agent", "")], SESSIONS)
        published = metrics | WriteMetrics(
            str(tmp_path / "out"), output_format="jsonl", max_reject_ratio=0.2
        )
        written = published | beam.Map(lambda counts: counts["records_written"])
        assert_that(written, equal_to([12]))
    files = output_bytes(tmp_path / "out")
    rejected = files.pop("rejects/rejects-00000-of-00001.jsonl")
    assert json.loads(rejected)["reason"] == "sent_at_missing"
    (content,) = files.values()
    expected = metric_rows("0Mwbb000007MGoTCAW", [1, 43, 33, 2, 43, 33]) + ZERO
    expected = [
        row._replace(CreatedDate="2024-10-02T13:00:00.123456Z")._asdict() for row in expected
    ]
    assert [json.loads(line) for line in content.decode().splitlines()] == expected
