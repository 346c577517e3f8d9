"""Typed rows, and what is computed of them in a pipeline of one's own."""

from typing import NamedTuple

import apache_beam as beam
from apache_beam.utils.timestamp import Timestamp

from schemas import DEFAULT_METRICS
from transforms import (
    BatchMessages,
    BatchSessions,
    ComputeSessionMetrics,
    MessageRow,
    MetricRow,
    Metrics,
    Policy,
    SessionRow,
)

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


class Their(NamedTuple):
    """Somebody's own row, with a field more and one less."""

    session_id: str | None
    message_id: str
    sent_at: Timestamp | None
    sender_role: str | None
    text: str
