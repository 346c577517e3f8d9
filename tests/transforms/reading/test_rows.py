"""Typed rows in, as one uses them in a pipeline of one's own."""

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline as Pipeline
from apache_beam.testing.util import assert_that, equal_to, is_empty
from apache_beam.utils.timestamp import Timestamp

from tests.support.rows import END, SESSIONS, ZERO, Their, batches, compute
from transforms import (
    BatchMessages,
    BatchSessions,
    ComputeSessionMetrics,
    MessageRow,
    ReadParticipants,
    SessionRow,
    ToRejects,
    ToRows,
)
from transforms.batches import AGENT, END_USER, NO_SEQUENCE
from transforms.plumbing.counters import add_counts
from transforms.rejects import Reject


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
        "assigned_by_session_id": 1,
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
        assert_that(metrics.rejects | ToRejects(), equal_to(rejects))
        total = metrics.counts | beam.CombineGlobally(add_counts)
        assert_that(total, equal_to([counts]), "Counts")
        assert_that(metrics | ToRows(), is_empty(), "NoRows")


def test_assumed_platform():
    with Pipeline(runner="FnApiRunner") as pipeline:
        inputs = batches(pipeline, [], [SessionRow("s", "Ended", END)], assume_platform="Enhanced")
        ids = inputs | ComputeSessionMetrics() | ToRows() | beam.Map(lambda r: r.MessagingSessionId)
        assert_that(ids, equal_to(["s"] * 6))


def dicts(batches):
    return batches.batches | beam.FlatMap(lambda batch: batch.to_pylist())


def test_messages_that_name_their_conversation_and_participant(tmp_path):
    path = tmp_path / "participants.csv"
    path.write_text("Id,ParticipantRole\np1,EndUser\np2,Agent\np3,Ghost\n")
    rows = [
        MessageRow(None, "1", Timestamp(1), None, conversation_id="c", participant_id="p2"),
        MessageRow(None, "2", Timestamp(2), "EndUser", conversation_id="0Mwbb000007MGoT"),
        MessageRow(None, "3", Timestamp(3), None, conversation_id="c", participant_id="p9"),
        MessageRow("s", "4", Timestamp(4), "Agent", conversation_id="c", deleted=True),
        MessageRow("s", "5", Timestamp(5), None, participant_id="p1", deleted=False),
    ]
    found = {
        "1": ("conversation_id", "c", AGENT),
        "2": ("session_id", "0Mwbb000007MGoTCAW", END_USER),
        "5": ("session_id", "s", END_USER),
    }
    expected = [
        {
            name: value,
            "message_id": key,
            "sent_at_us": int(key) * 1_000_000,
            "sequence": NO_SEQUENCE,
            "sender": sender,
        }
        for key, (name, value, sender) in found.items()
    ]
    with Pipeline(runner="FnApiRunner") as pipeline:
        messages = pipeline | beam.Create(rows) | BatchMessages(ReadParticipants([str(path)]))
        assert_that(dicts(messages), equal_to(expected))
        rejects = [
            Reject(str(path), 4, "sender_role_unknown", "Ghost", None, None),
            Reject("rows", 0, "sender_role_missing", "p9", None, "3"),
        ]
        assert_that(messages.rejects | ToRejects(), equal_to(rejects), "Rejects")
        counts = {
            "assigned_by_session_id": 2,
            "messages_read": 5,
            "messages_rejected_sender_role_missing": 1,
            "messages_skipped_deleted": 1,
            "participants_read": 3,
            "participants_rejected_sender_role_unknown": 1,
        }
        total = messages.counts | beam.CombineGlobally(add_counts)
        assert_that(total, equal_to([counts]), "Counts")


def test_all_fields_of_a_session():
    row = SessionRow(
        "0Mwbb000007MGoT",
        "ended",
        ended_at=Timestamp(2),
        channel_type="Text",
        platform_type="Enhanced",
        started_at=Timestamp(1),
        conversation_id="0dwbb0000000001",
        conversation_identifier="8A1D7C52-6D0E-4C3A-9A0F-2C9B3E1F4D10",
        deleted=True,
        agent_message_count=3,
        end_user_message_count=0,
    )
    expected = {
        "session_id": "0Mwbb000007MGoTCAW",
        "conversation_id": "0dwbb0000000001AAA",
        "conversation_identifier": "8a1d7c52-6d0e-4c3a-9a0f-2c9b3e1f4d10",
        "deleted": True,
        "status": "Ended",
        "channel_type": "Text",
        "platform_type": "Enhanced",
        "started_at_us": 1_000_000,
        "ended_at_us": 2_000_000,
        "created_at_us": 1_000_000,
        "modified_at_us": None,
        "accepted_at_us": None,
        "routed_at_us": None,
        "agent_message_count": 3,
        "end_user_message_count": 0,
    }
    with Pipeline(runner="FnApiRunner") as pipeline:
        sessions = pipeline | beam.Create([row]) | BatchSessions()
        assert_that(dicts(sessions), equal_to([expected]))
