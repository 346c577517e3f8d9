"""Messages that name only their conversation, in a pipeline of one's own."""

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline as Pipeline
from apache_beam.testing.util import assert_that, equal_to, is_empty
from apache_beam.utils.timestamp import Timestamp

from tests.support import batches
from tests.support.enhanced import session, sessions_of, unassigned
from tests.support.jobs import put
from tests.support.steps import labels_of
from transforms import (
    AssignSessions,
    Batches,
    BatchMessages,
    BatchSessions,
    ComputeSessionMetrics,
    MessageRow,
    Policy,
    ReadParticipants,
    SessionRow,
    ToRejects,
    ToRows,
)
from transforms.batches import BY_TIME, MESSAGES
from transforms.keying import assign
from transforms.keying.sharding import SHARD_BYTES
from transforms.plumbing.counters import STAGES, add_counts
from transforms.rejects import Reject

NAMED = batches.messages(("A", "n1", 150, "EndUser"), ("x", "n2", 150, "Agent"))
WAITING = [
    unassigned(("c", "1", 150, "EndUser"), ("d", "2", 150, "Agent", 4), ("e", "3", 150, "Agent")),
    unassigned(("c", "4", 45, "Bot"), ("c", "5", 250, "EndUser"), ("c", "6", 5, "Agent")),
]
SESSIONS = [
    batches.sessions(session("A", 100, 200), session("B", 0, 300, conversation_id="d")),
    batches.sessions(session("C", 400, None, status="Active")),
]
FOUND = {"1": "A", "2": "B", "4": "A", "5": "A"}
COUNTS = {
    "assigned_as_late": 1,
    "assigned_as_opening": 1,
    "assigned_by_time": 2,
    "assigned_to_none": 2,
    "messages_of_unknown_session": 2,
}


def inputs(pipeline, name, *found, num_bytes=1):
    """Batches as one input."""
    return Batches(
        pipeline
        | f"{name}Batches" >> beam.Create(found, reshuffle=False).with_output_types(pa.RecordBatch),
        pipeline | f"{name}Rejects" >> beam.Create([], reshuffle=False),
        pipeline | f"{name}Counts" >> beam.Create([], reshuffle=False),
        pipeline | f"{name}Bytes" >> beam.Create([num_bytes], reshuffle=False),
    )


def check_assigned(found, expected, num_batches=1, is_packed=False):
    def check(got):
        assert len(got) == num_batches
        by_message = {}
        for batch in got:
            assert batch.schema.names[-1] == BY_TIME.name
            assert set(batch.schema.names) <= {*MESSAGES.names, BY_TIME.name}
            # Nobody needs a sequence that no message has.
            assert ("sequence" in batch.schema.names) == (not is_packed)
            assert (batch.column("message_id").type == pa.binary(16)) == is_packed
            of_batch = sessions_of(batch)
            assert not of_batch.keys() & by_message.keys()
            by_message |= of_batch
        assert by_message == expected

    assert_that(found.batches, check, "AreAssigned")


def check_counts(counts, expected):
    total = counts | "Total" >> beam.CombineGlobally(add_counts)
    assert_that(total, equal_to([expected]), "AreCounts")


@pytest.mark.parametrize(
    # The two conversations are of two shards of many.
    ("num_bytes", "num_batches"),
    [(1, 1), (40 * SHARD_BYTES, 2)],
    ids=["one shard", "many shards"],
)
@pytest.mark.parametrize("together", [False, True])
def test_messages_without_a_session_get_one(together, num_bytes, num_batches):
    with Pipeline(runner="FnApiRunner") as pipeline:
        messages, sessions = [NAMED, *WAITING], SESSIONS
        if together:
            given = inputs(pipeline, "All", *sessions, *messages, num_bytes=num_bytes)
        else:
            given = (
                inputs(pipeline, "Messages", *messages, num_bytes=num_bytes),
                inputs(pipeline, "Sessions", *sessions),
            )
        found = given | AssignSessions()
        check_assigned(found, FOUND, num_batches)
        check_counts(found.counts, COUNTS)


def test_the_lead_of_the_transform():
    with Pipeline(runner="FnApiRunner") as pipeline:
        found = inputs(pipeline, "All", *SESSIONS, *WAITING) | AssignSessions(lead_us=54_999_999)
        # The message at 45 s is 55 s early.
        check_assigned(found, {"1": "A", "2": "B", "5": "A"})


@pytest.mark.parametrize("found", [[NAMED, *SESSIONS], SESSIONS, [NAMED], []], ids=len)
def test_sessions_are_not_keyed_by_conversation_where_each_message_names_its_own(found):
    pipeline = beam.Pipeline(FnApiRunner(), options=PipelineOptions([]))
    assigned = inputs(pipeline, "All", *found) | AssignSessions()
    assert_that(assigned.batches, is_empty(), "NoBatches")
    assert_that(assigned.counts, is_empty(), "NoCounts")
    counters = pipeline.run().metrics().query()["counters"]
    names = {c.key.metric.name for c in counters if c.key.metric.namespace == STAGES}
    assert not {name for name in names if name.startswith("assign_")}


def test_only_sessions_that_a_message_may_name_otherwise_wait():
    """Where what waits is kept, each row counts."""
    named, others = (
        batches.sessions({"session_id": "0Mw1", **names}, {"session_id": "0Mw2"})
        for names in ({"conversation_id": "c"}, {})
    )
    (waiting,) = assign._of_conversations(named)
    assert waiting.column("session_id").to_pylist() == ["0Mw1"]
    assert "conversation_identifier" not in waiting.schema.names
    for batch in (others, NAMED, WAITING[0]):
        assert list(assign._of_conversations(batch)) == []


def test_a_conversation_of_many_batches():
    ids = [f"{n:08}-09f1-4a6e-b3d2-7e01fa5b9c8d" for n in range(30)]
    messages = [unassigned(("c", i, 100 + n, "Agent")) for n, i in enumerate(ids)]
    sessions = [batches.sessions(session(f"s{n:02}", 100 + 2 * n, 101 + 2 * n)) for n in range(15)]
    with Pipeline(runner="FnApiRunner") as pipeline:
        found = inputs(pipeline, "All", *messages, *sessions) | AssignSessions()
        expected = {i: f"s{n // 2:02}" for n, i in enumerate(ids)}
        check_assigned(found, expected, is_packed=True)
        check_counts(found.counts, {"assigned_by_time": 30})


def test_the_steps_that_a_job_page_shows():
    pipeline = beam.Pipeline(FnApiRunner(), options=PipelineOptions([]))
    inputs(pipeline, "All", *SESSIONS) | ComputeSessionMetrics()
    labels = labels_of(pipeline)
    for step in ("KeyMessages", "KeySessions", "GroupByConversation", "Assign"):
        assert f"ComputeSessionMetrics/AssignSessions/{step}" in labels


# Typed rows: a conversation of two sessions, of which an agent takes the second.

UUID = "5C0DE4AB-09F1-4A6E-B3D2-7E01FA5B9C8D"
FIRST, SECOND = "0Mwbb000007MGoTCAW", "0Mwbb000007MGotCAG"
END = Timestamp(1_000)


def message(number, second, role="EndUser", conversation="0dwbb000007MGoT", **more):
    row = {"session_id": None, "conversation_id": conversation, "sender_role": role, **more}
    return MessageRow(message_id=f"m{number}", sent_at=Timestamp(second), **row)


def session_row(session_id, start, end, **more):
    row = {
        "conversation_id": "0dwbb000007MGoTAAW",
        "status": "Ended",
        "channel_type": "EmbeddedMessaging",
        **more,
    }
    ended_at = None if end is None else Timestamp(end)
    return SessionRow(session_id, started_at=Timestamp(start), ended_at=ended_at, **row)


MESSAGE_ROWS = [
    # Before any session.
    message(0, 5),
    # It opens the first session.
    message(1, 90),
    message(2, 110, "Agent"),
    # Named, and of the same session.
    message(3, 120, session_id="0Mwbb000007MGoT"),
    message(4, 124, "Agent"),
    # Late for the first, and too early for the second.
    message(5, 300),
    # It opens the second.
    message(6, 480),
    message(7, 510, "Bot"),
    message(8, 512, "Agent", conversation=UUID),
    message(9, 520, conversation=UUID.lower()),
    # Of no session, skipped, rejected.
    message(10, 520, conversation="0dwbb000007MGot"),
    message(11, 520, "System"),
    message(12, 520, conversation=None),
    # Twice.
    message(9, 520, conversation=UUID),
    # Named, and there is none.
    message(13, 520, session_id="0Mw000000000001AAA"),
]
SESSION_ROWS = [
    session_row("0Mwbb000007MGoT", 100, 130),
    session_row(SECOND, 500, 1_000, conversation_identifier=UUID),
]
VALUES = {FIRST: [2, 12, 93, 3, 20, 176], SECOND: [1, 32, 10, 2, 32, 10]}
FATES = {
    "assigned_as_late": 1,
    "assigned_as_opening": 2,
    "assigned_by_session_id": 2,
    "assigned_by_time": 6,
    "assigned_to_none": 2,
    "messages_counted": 9,
    "messages_duplicate": 1,
    "messages_of_unknown_session": 3,
    "messages_read": 15,
    "messages_rejected_session_id_missing": 1,
    "messages_skipped_role": 1,
    "outside_messages": 1,
    "outside_messages_by_0_min": 1,
    "sessions_read": 2,
    "sessions_reported": 2,
}


def compute(pipeline, messages, sessions, policy=None, participants=None):
    rows = (
        pipeline | "Messages" >> beam.Create(messages) | BatchMessages(participants),
        pipeline | "Sessions" >> beam.Create(sessions) | BatchSessions(),
    )
    return rows | ComputeSessionMetrics(policy or Policy())


def check_values(metrics, expected):
    values = (
        metrics
        | ToRows()
        | beam.Map(lambda row: (row.MessagingSessionId, row.MessagingSessionMetricValue))
        | beam.GroupByKey()
        | beam.MapTuple(lambda session_id, found: (session_id, list(found)))
    )
    assert_that(values, equal_to(list(expected.items())), "AreValues")


def test_metrics_of_rows_that_name_their_conversation():
    with Pipeline(runner="FnApiRunner") as pipeline:
        metrics = compute(pipeline, MESSAGE_ROWS, SESSION_ROWS)
        check_values(metrics, VALUES)
        check_counts(metrics.counts, FATES)
        rejects = [Reject("rows", 0, "session_id_missing", "", None, "m12")]
        assert_that(metrics.rejects | ToRejects(), equal_to(rejects), "AreRejects")


def test_each_message_has_one_fate():
    fates = (
        "messages_counted",
        "messages_duplicate",
        "messages_of_unknown_session",
        "messages_rejected_session_id_missing",
        "messages_skipped_role",
    )
    assert sum(FATES[name] for name in fates) == FATES["messages_read"] == len(MESSAGE_ROWS)
    # Each message that is neither skipped nor rejected was assigned once.
    ways = [number for name, number in FATES.items() if name.startswith("assigned_")]
    assert sum(ways) == FATES["messages_read"] - 2


def test_order_and_repetition_of_rows():
    with Pipeline(runner="FnApiRunner") as pipeline:
        metrics = compute(pipeline, MESSAGE_ROWS[::-1] * 2, SESSION_ROWS[::-1])
        check_values(metrics, VALUES)


def test_the_lead_of_the_policy():
    messages = [message(1, 97, "EndUser"), message(2, 98, "Agent"), message(3, 100, "Agent")]
    for lead_us, values in ((3_000_000, [2, 1, 0, 1, 1, 0]), (2_999_999, [2, 0, 0, 0, 0, 0])):
        with Pipeline(runner="FnApiRunner") as pipeline:
            policy = Policy(session_lead_us=lead_us)
            metrics = compute(pipeline, messages, SESSION_ROWS[:1], policy)
            check_values(metrics, {FIRST: values})


@pytest.mark.parametrize(
    "policy",
    [
        Policy(closed_from_us=1_000_000_000),
        Policy(created_from_us=500_000_000),
    ],
    ids=["closed", "created"],
)
def test_a_session_out_of_range_takes_its_messages_all_the_same(policy):
    with Pipeline(runner="FnApiRunner") as pipeline:
        metrics = compute(pipeline, MESSAGE_ROWS, SESSION_ROWS, policy)
        check_values(metrics, {SECOND: VALUES[SECOND]})
        counts = {
            "messages_counted": 4,
            "messages_of_session_not_reported": 5,
            "sessions_out_of_range": 1,
            "sessions_reported": 1,
        }
        dropped = ("messages_counted", "sessions_reported", "messages_duplicate", "outside")
        rest = {name: n for name, n in FATES.items() if not name.startswith(dropped)}
        check_counts(
            metrics.counts, dict(sorted((rest | counts | {"messages_duplicate": 1}).items()))
        )


@pytest.mark.parametrize(
    ("more", "fate"),
    [
        ({"status": "Active", "end": None}, "sessions_not_closed"),
        ({"channel_type": "Text", "platform_type": "Standard"}, "sessions_not_enhanced"),
    ],
)
def test_a_session_without_records_takes_its_messages_all_the_same(more, fate):
    row = {"session_id": "0Mwbb000007MGoT", "start": 100, "end": 130} | more
    sessions = [session_row(**row), session_row(SECOND, 0, 1_000)]
    with Pipeline(runner="FnApiRunner") as pipeline:
        metrics = compute(pipeline, [message(1, 110), message(2, 20)], sessions)
        check_values(metrics, {SECOND: [0, 0, 0, 1, 0, 0]})
        counts = {
            "assigned_by_time": 2,
            "messages_counted": 1,
            "messages_of_session_not_reported": 1,
            "messages_read": 2,
            fate: 1,
            "sessions_read": 2,
            "sessions_reported": 1,
        }
        check_counts(metrics.counts, dict(sorted(counts.items())))


@pytest.mark.parametrize("is_newest", [True, False])
def test_a_session_whose_newest_snapshot_is_deleted(is_newest):
    gone = session_row(FIRST, 100, 130, deleted=True, modified_at=Timestamp(2))
    there = session_row("0Mwbb000007MGoT", 100, 130, modified_at=Timestamp(1 if is_newest else 3))
    around = session_row(SECOND, 50, 1_000, deleted=False)
    with Pipeline(runner="FnApiRunner") as pipeline:
        metrics = compute(pipeline, [message(1, 110)], [gone, around, there])
        one, zero = [0, 0, 0, 1, 0, 0], [0] * 6
        check_values(metrics, {SECOND: one} if is_newest else {FIRST: one, SECOND: zero})
        counts = {
            "assigned_by_time": 1,
            "messages_counted": 1,
            "messages_read": 1,
            **({"sessions_deleted": 1} if is_newest else {"reported_without_messages": 1}),
            "sessions_read": 3,
            "sessions_reported": 1 if is_newest else 2,
            "sessions_superseded": 1,
        }
        check_counts(metrics.counts, counts)


def test_roles_of_participants(tmp_path):
    more = put(tmp_path / "1.csv", "Id,EngagementParticipantRole", "p1,End User", "p2,AGENT", "p3,")
    other = put(tmp_path / "2.csv", "ParticipantRole,ssot__Id__c", "System,p4", "Wizard,p5")
    messages = [
        message(1, 100, None, participant_id="p1"),
        message(2, 110, None, participant_id="p2"),
        # The message's own role goes before.
        message(3, 120, "EndUser", participant_id="p2"),
        message(4, 120, None, participant_id="p4"),
        message(5, 120, None, participant_id="p3"),
        message(6, 120, None, participant_id="p6"),
        message(7, 120, None),
        message(8, 120, "Wizard", participant_id="p1"),
    ]
    with Pipeline(runner="FnApiRunner") as pipeline:
        participants = ReadParticipants([more, other])
        metrics = compute(pipeline, messages, SESSION_ROWS[:1], participants=participants)
        check_values(metrics, {FIRST: [1, 10, 10, 2, 10, 10]})
        rejects = [
            Reject("rows", 0, "sender_role_missing", "p3", None, "m5"),
            Reject("rows", 0, "sender_role_missing", "p6", None, "m6"),
            Reject("rows", 0, "sender_role_missing", "", None, "m7"),
            Reject("rows", 0, "sender_role_unknown", "Wizard", None, "m8"),
            Reject(other, 3, "sender_role_unknown", "Wizard", None, None),
        ]
        assert_that(metrics.rejects | ToRejects(), equal_to(rejects), "AreRejects")
        counts = {
            "assigned_by_time": 3,
            "messages_counted": 3,
            "messages_read": 8,
            "messages_rejected_sender_role_missing": 3,
            "messages_rejected_sender_role_unknown": 1,
            "messages_skipped_role": 1,
            "participants_read": 5,
            "participants_rejected_sender_role_unknown": 1,
            "sessions_read": 1,
            "sessions_reported": 1,
        }
        check_counts(metrics.counts, counts)
