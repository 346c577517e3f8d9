"""Typed rows in, as one uses them in a pipeline of one's own."""

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline as Pipeline
from apache_beam.testing.util import assert_that, equal_to, is_empty
from apache_beam.utils.timestamp import Timestamp

from tests.support.rows import END, SESSIONS, ZERO, Their, batches, compute
from transforms import ComputeSessionMetrics, SessionRow, ToRows
from transforms.batches import Reject
from transforms.plumbing.counters import add_counts


@pytest.mark.parametrize("sessions", [SESSIONS[2:], []], ids=len)
def test_no_messages(sessions):
    with Pipeline(runner="FnApiRunner") as pipeline:
        metrics = compute(pipeline, [], sessions)
        assert_that(metrics | ToRows(), equal_to([r for _ in sessions for r in ZERO]))
        assert_that(metrics.rejects, is_empty(), "NoRejects")


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
