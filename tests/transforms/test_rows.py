"""The row doors, as one uses them in a pipeline of one's own."""

import json
from typing import NamedTuple

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline as Pipeline
from apache_beam.testing.util import assert_that, equal_to, is_empty
from apache_beam.utils.timestamp import Timestamp

from schemas import avro_schema
from tests.support.cli import output_bytes
from transforms import (
    BatchMessages,
    BatchSessions,
    ComputeSessionMetrics,
    MessageRow,
    MetricRow,
    Metrics,
    Policy,
    SessionRow,
    ToRows,
    WriteMetrics,
)
from transforms.batches import Reject
from transforms.folding.metrics import DEFAULT_METRICS
from transforms.plumbing.counters import add_counts

END = Timestamp(micros=1_727_874_000_123_456)
MESSAGES = [
    MessageRow("0Mwbb000007MGoT", "m1", Timestamp(0), "EndUser"),
    MessageRow("0Mwbb000007MGoT", "m2", Timestamp(10), "Bot", "Text"),
    MessageRow("0Mwbb000007MGoTCAW", "m3", Timestamp(micros=42_500_000), "Agent", sequence=2),
    MessageRow("0Mwbb000007MGoT", "m4", Timestamp(micros=42_500_000), "EndUser", sequence=1),
    MessageRow("0Mwbb000007MGoT", "m5", Timestamp(50), "EndUser", "TypingStarted"),
]
SESSIONS = [
    SessionRow("0Mwbb000007MGoT", "Ended", END, platform_type="Enhanced"),
    SessionRow("open", "Active", platform_type="Enhanced"),
    SessionRow("zero", "Ended", END, "EmbeddedMessaging", started_at=Timestamp(1)),
]
NAMES = {
    "0Mwbb000007MGoTCAW": "MSM-354983734807007769823897",
    "zero": "MSM-256924714148010444889166",
}


def metric_rows(session_id: str, values: list[int]) -> list[MetricRow]:
    return [
        MetricRow(f"{NAMES[session_id]}{number}", session_id, kind, value, END)
        for number, (kind, value) in enumerate(zip(DEFAULT_METRICS, values, strict=True), 1)
    ]


ZERO = metric_rows("zero", [0] * 6)


def batches(pipeline: beam.Pipeline, messages: list, sessions: list, **assume: str) -> tuple:
    return (
        pipeline | "Messages" >> beam.Create(messages) | BatchMessages(),
        pipeline | "Sessions" >> beam.Create(sessions) | BatchSessions(**assume),
    )


def compute(pipeline: beam.Pipeline, messages: list, sessions: list) -> Metrics:
    return batches(pipeline, messages, sessions) | ComputeSessionMetrics(Policy())


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


@pytest.mark.parametrize("sessions", [SESSIONS[2:], []], ids=len)
def test_no_messages(sessions):
    with Pipeline(runner="FnApiRunner") as pipeline:
        metrics = compute(pipeline, [], sessions)
        assert_that(metrics | ToRows(), equal_to([r for _ in sessions for r in ZERO]))
        assert_that(metrics.rejects, is_empty(), "NoRejects")


class Their(NamedTuple):
    """Somebody's own row, with a field more and one less."""

    session_id: str | None
    message_id: str
    sent_at: Timestamp | None
    sender_role: str | None
    text: str


def test_rejects_and_counts_of_rows():
    messages = [
        Their("s", "1", Timestamp(0), "EndUser", "private"),
        Their(None, "2", Timestamp(0), "EndUser", "private"),
        Their("s", "3", None, "EndUser", "private"),
        Their("s", "4", Timestamp(0), "Wizard", "private"),
        Their("s", "5", Timestamp(0), None, "private"),
    ]
    sessions = [
        SessionRow("s", "Ended", END),
        SessionRow("", "Ended", END, platform_type="Enhanced"),
    ]
    rejects = [
        Reject("rows", 0, "session_id_missing", "", None, "2"),
        Reject("rows", 0, "sent_at_missing", "", "s", "3"),
        Reject("rows", 0, "sender_role_unknown", "Wizard", "s", "4"),
        Reject("rows", 0, "sender_role_missing", "", "s", "5"),
        Reject("rows", 0, "platform_unknown", "", "s", None),
        Reject("rows", 0, "session_id_missing", "", None, None),
    ]
    counts = {
        "messages_of_unknown_session": 1,
        "messages_read": 5,
        "messages_rejected_sender_role_missing": 1,
        "messages_rejected_sender_role_unknown": 1,
        "messages_rejected_sent_at_missing": 1,
        "messages_rejected_session_id_missing": 1,
        "sessions_read": 2,
        "sessions_rejected_platform_unknown": 1,
        "sessions_rejected_session_id_missing": 1,
    }
    with Pipeline(runner="FnApiRunner") as pipeline:
        metrics = compute(pipeline, messages, sessions)
        assert_that(metrics.rejects, equal_to(rejects))
        total = metrics.counts | beam.CombineGlobally(add_counts)
        assert_that(total, equal_to([counts]), "Counts")
        assert_that(metrics | ToRows(), is_empty(), "NoRows")


def test_assumed_platform():
    with Pipeline(runner="FnApiRunner") as pipeline:
        inputs = batches(pipeline, [], [SessionRow("s", "Ended", END)], assume_platform="Enhanced")
        ids = inputs | ComputeSessionMetrics() | ToRows() | beam.Map(lambda r: r.MessagingSessionId)
        assert_that(ids, equal_to(["s"] * 6))


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
