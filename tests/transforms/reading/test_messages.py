"""Raw rows to messages and participants."""

import numpy as np
import pyarrow as pa
import pytest

from tests.support.raw_rows import MESSAGE, NOON, NOON_US, messages, one, raw
from transforms.batches import (
    AGENT,
    BOT,
    END_USER,
    MESSAGES,
    NEVER_COUNTED,
    NO_SEQUENCE,
    PARTICIPANTS,
    UNASSIGNED,
)
from transforms.reading.columns import RawBatch
from transforms.reading.lookups import Given, Lookups
from transforms.reading.messages import normalize_messages, normalize_participants
from transforms.reading.names import ColumnNames
from transforms.rejects import Reject, rejects_in


def test_a_message():
    found = messages(one(MESSAGE, sequence="7", entry_type="Text"))
    (batch,) = found.batches
    assert batch.schema == MESSAGES
    assert batch.to_pylist() == [
        {
            "session_id": "s",
            "message_id": "m",
            "sent_at_us": NOON_US,
            "sequence": 7,
            "sender": END_USER,
        }
    ]
    assert rejects_in(found.rejects) == []
    assert found.counts == {"messages_read": 1, "assigned_by_session_id": 1}


@pytest.mark.parametrize(
    ("role", "sender"),
    [
        ("EndUser", END_USER),
        ("END_USER", END_USER),
        ("Agent", AGENT),
        ("Bot", BOT),
        ("Chatbot", BOT),
        ("AiAgent", BOT),
    ],
)
def test_senders(role, sender):
    assert messages(one(MESSAGE, sender_role=role)).batches[0]["sender"].to_pylist() == [sender]


@pytest.mark.parametrize("role", ["System", "supervisor", "Router"])
def test_senders_that_are_never_counted(role):
    found = messages(one(MESSAGE, sender_role=role, message_id=None, sent_at="x"))
    assert (found.batches[0].num_rows, rejects_in(found.rejects)) == (0, [])
    assert found.counts == {"messages_read": 1, "messages_skipped_role": 1}


@pytest.mark.parametrize(
    "entry_type",
    ["Text", "text", "Message", "MESSAGE", "CONVERSATION_MESSAGE", "ConversationMessage", None, "",
     ...],
)  # fmt: skip
def test_entries_that_are_messages(entry_type):
    found = messages(one(MESSAGE, entry_type=entry_type), one(MESSAGE, entry_type="Text"))
    assert found.batches[0].num_rows == 2
    assert found.counts == {"messages_read": 2, "assigned_by_session_id": 2}


@pytest.mark.parametrize(
    "entry_type", ["texts", "TextMessage", "ParticipantChanged", "Typing", "Other"]
)
def test_other_entries_are_skipped_before_anything_else_is_looked_at(entry_type):
    found = messages(MESSAGE, {"entry_type": entry_type, "sender_role": "?", "sent_at": "never"})
    assert (found.batches[0].num_rows, rejects_in(found.rejects)) == (1, [])
    assert found.counts == {
        "messages_read": 2,
        "messages_skipped_entry_type": 1,
        "assigned_by_session_id": 1,
    }


@pytest.mark.parametrize(
    "deletion",
    [{"IsDeleted": "true"}, {"_fivetran_deleted": "TRUE"}, {"_ab_cdc_deleted_at": NOON},
     {"IsDeleted": "false", "_sdc_deleted_at": NOON}],
)  # fmt: skip
def test_deleted_rows_are_skipped_before_anything_else_is_looked_at(deletion):
    found = messages(MESSAGE, one({"sender_role": "?"}, entry_type="Typing", **deletion))
    assert (found.batches[0].num_rows, rejects_in(found.rejects)) == (1, [])
    assert found.counts == {
        "messages_read": 2,
        "messages_skipped_deleted": 1,
        "assigned_by_session_id": 1,
    }


def test_no_rows():
    (batch,), rejects, counts = messages()
    assert (batch.num_rows, batch.schema, len(rejects)) == (0, MESSAGES, 0)
    assert counts == {"messages_read": 0}
    none = RawBatch({}, 2, lambda: np.arange(1, 3))
    found = normalize_messages(none, ColumnNames.of("messages"), "f")
    assert found.counts == {"messages_read": 2, "messages_rejected_session_id_missing": 2}


@pytest.mark.parametrize(
    ("entry_time", "millis", "micros"),
    [
        ("2024-10-02T12:00:00.000Z", "123", 123_000),
        ("2024-10-02T12:00:00Z", "0.0", 0),
        ("2024-10-02T12:00:00Z", "999.0", 999_000),
        ("2024-10-02T12:00:00Z", None, 0),
        ("2024-10-02T12:00:00Z", "", 0),
        ("2024-10-02T12:00:00Z", "x", 0),
        ("2024-10-02T12:00:00Z", "1000", 0),
        ("2024-10-02T12:00:00Z", "-1", 0),
        ("2024-10-02T12:00:00.5Z", "500", 500_000),  # has its fraction already
        ("2024-10-02T12:00:00.000001Z", "500", 1),
        ("1969-12-31T23:59:59Z", "250", 250_000 - 1_000_000 - NOON_US),
        ("1969-12-31T23:59:58.5Z", "250", -1_500_000 - NOON_US),
    ],
)
@pytest.mark.parametrize("name", ["EntryTime", "sent_at", "TranscriptedDateTime", "Entry Time"])
def test_whole_seconds_have_their_milliseconds_beside_them(name, entry_time, millis, micros):
    row = one(MESSAGE, EntryTimeMilliSecs=millis, **{"sent_at": ..., name: entry_time})
    names = ColumnNames.of("messages").resolve(list(row), "f", False)
    (batch,), _, _ = normalize_messages(raw([row]), names, "f")
    assert batch["sent_at_us"].to_pylist() == [NOON_US + micros]


def test_milliseconds_are_no_instant_of_their_own():
    found = messages(
        one(MESSAGE, EntryTimeMilliSecs="5"),
        one(MESSAGE, sent_at=None, EntryTime=NOON, EntryTimeMilliSecs="5"),
        one(MESSAGE, sent_at=None, EntryTime="?", EntryTimeMilliSecs="5"),
        one(MESSAGE, sent_at=None, EntryTimeMilliSecs="5"),
    )
    assert found.batches[0]["sent_at_us"].to_pylist() == [NOON_US + 5000] * 2
    assert [(r.reason, r.detail) for r in rejects_in(found.rejects)] == [
        ("sent_at_missing", ""),
        ("sent_at_invalid", "a text of 1 characters"),
    ]


def test_instants_of_the_wall_clock():
    row = one(MESSAGE, sent_at="2024-10-02T14:00:00Z", EntryTimeMilliSecs="7")
    (batch,) = messages(row, given=Given(time_zone="Europe/Berlin")).batches
    assert batch["sent_at_us"].to_pylist() == [NOON_US + 7000]


def test_native_columns():
    columns = {
        "session_id": pa.array(["s", "s"]).dictionary_encode(),
        "message_id": pa.array([1, 2]),
        "sent_at": pa.array([NOON_US, None], pa.timestamp("us", "UTC")),
        "sender_role": pa.array(["Agent", "Agent"], pa.large_string()),
        "sequence": pa.array([None, 2], pa.int32()),
        "deleted": pa.array([False, None]),
    }
    numbered = RawBatch(columns, 2, lambda: np.array([1, 2]))
    found = normalize_messages(numbered, ColumnNames.of("messages"), "f")
    assert found.batches[0].to_pylist() == [
        {
            "session_id": "s",
            "message_id": "1",
            "sent_at_us": NOON_US,
            "sequence": NO_SEQUENCE,
            "sender": AGENT,
        }
    ]
    assert rejects_in(found.rejects) == [Reject("f", 2, "sent_at_missing", "", "s", "2")]


# Sessions and conversations.

SESSION_ID = "0Mwbb000007MGoTCAW"


def named(**ids):
    """The session, else the conversation, that a message has which names these."""
    found = messages(one(MESSAGE, session_id=..., **ids))
    rows = [row for batch in found.batches for row in batch.to_pylist()]
    ((session_id, conversation_id),) = (
        (row.get("session_id"), row.get("conversation_id")) for row in rows
    )
    assert found.counts.get("assigned_by_session_id", 0) == (session_id is not None)
    return session_id, conversation_id


def test_a_message_that_names_its_conversation_alone():
    found = messages(one(MESSAGE, session_id=..., ConversationId="c", sequence="7"), MESSAGE)
    first, second = found.batches
    assert (first.schema, second.schema) == (MESSAGES, UNASSIGNED)
    assert first["session_id"].to_pylist() == ["s"]
    assert second.to_pylist() == [
        {
            "conversation_id": "c",
            "message_id": "m",
            "sent_at_us": NOON_US,
            "sequence": 7,
            "sender": END_USER,
        }
    ]
    assert (rejects_in(found.rejects), found.counts) == (
        [],
        {"messages_read": 2, "assigned_by_session_id": 1},
    )


@pytest.mark.parametrize("column", ["ConversationId", "conversation_id", "ConversationIdentifier"])
@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("0Mwbb000007MGoT", (SESSION_ID, None)),
        (SESSION_ID, (SESSION_ID, None)),
        ("0Mw-anything", ("0Mw-anything", None)),
        ("0dwbb0000000001", (None, "0dwbb0000000001AAA")),
        ("8A1D7C52-6D0E-4C3A-9A0F-2C9B3E1F4D10", (None, "8a1d7c52-6d0e-4c3a-9a0f-2c9b3e1f4d10")),
        ("s1", (None, "s1")),
    ],
)
def test_the_value_decides_whether_a_session_or_a_conversation_is_named(column, value, names):
    assert named(**{column: value}) == names


def test_a_session_is_preferred_to_a_conversation():
    assert named(MessagingSessionId="s", ConversationId="c") == ("s", None)
    assert named(MessagingSessionId="s", ConversationId=SESSION_ID) == ("s", None)
    assert named(MessagingSessionId=None, ConversationId="c") == (None, "c")
    assert named(conversation_id="c", ConversationId="d") == (None, "c")
    assert named(conversation_id="", ConversationId="d") == (None, "d")
    assert named(conversation_id="c", ConversationId=SESSION_ID) == (SESSION_ID, None)
    assert named(relatedRecords=f'["500bb0000000001", "{SESSION_ID}"]') == (SESSION_ID, None)
    assert named(relatedRecords='["500bb0000000001"]', ConversationId="c") == (None, "c")


def test_sessions_and_conversations_in_one_column():
    ids = [SESSION_ID, "c", None, "0Mwbb000007MGoT", "d", "c"]
    rows = [
        one(MESSAGE, session_id=None, ConversationId=i, message_id=str(n))
        for n, i in enumerate(ids)
    ]
    # The session that stands in a column of its own comes first.
    rows.append(one(MESSAGE, session_id="s", ConversationId=SESSION_ID, message_id="6"))
    found = messages(*rows)
    first, second = (
        {row["message_id"]: row[name] for row in batch.to_pylist()}
        for batch, name in zip(found.batches, ("session_id", "conversation_id"), strict=True)
    )
    assert first == {"0": SESSION_ID, "3": SESSION_ID, "6": "s"}
    assert second == {"1": "c", "4": "d", "5": "c"}
    assert rejects_in(found.rejects) == [Reject("f", 13, "session_id_missing", "", None, "2")]
    assert found.counts == {
        "messages_read": 7,
        "messages_rejected_session_id_missing": 1,
        "assigned_by_session_id": 3,
    }


# Participants.


def participants(**senders):
    batch = pa.RecordBatch.from_arrays(
        [pa.array(list(senders)), pa.array(list(senders.values()), pa.int8())], schema=PARTICIPANTS
    )
    return Given(Lookups.of([batch]))


GIVEN = participants(
    **{"p1": END_USER, "p2": AGENT, "p3": NEVER_COUNTED, "0dPbb0000000001EAA": BOT}
)


def by_participant(participant, **changes):
    row = one(MESSAGE, sender_role=None, EngagementParticipantId=participant, **changes)
    return messages(row, given=GIVEN)


@pytest.mark.parametrize(
    ("participant", "sender"),
    [("p1", END_USER), ("p2", AGENT), ("0dPbb0000000001", BOT), ("0dPbb0000000001EAA", BOT)],
)
def test_the_role_of_a_participant(participant, sender):
    found = by_participant(participant)
    assert found.batches[0]["sender"].to_pylist() == [sender]
    assert (rejects_in(found.rejects), found.counts["messages_read"]) == ([], 1)


def test_a_role_of_its_own_is_preferred_to_that_of_the_participant():
    row = one(MESSAGE, EngagementParticipantId="p2")
    rows = [row, one(row, sender_role=None), one(row, sender_role="Ghost")]
    found = messages(*rows, given=GIVEN)
    assert found.batches[0]["sender"].to_pylist() == [END_USER, AGENT]
    assert rejects_in(found.rejects) == [Reject("f", 13, "sender_role_unknown", "Ghost", "s", "m")]


def test_a_participant_who_is_never_counted():
    found = by_participant("p3", message_id=None)
    assert (found.batches[0].num_rows, rejects_in(found.rejects)) == (0, [])
    assert found.counts == {"messages_read": 1, "messages_skipped_role": 1}


@pytest.mark.parametrize(
    ("participant", "detail"),
    [("p9", "p9"), ("not an id", "a text of 9 characters"), ("", ""), (None, "")],
)
def test_a_participant_without_a_role(participant, detail):
    found = by_participant(participant)
    assert rejects_in(found.rejects) == [Reject("f", 11, "sender_role_missing", detail, "s", "m")]
    assert found.counts == {"messages_read": 1, "messages_rejected_sender_role_missing": 1}


def test_participants():
    rows = [
        {"Id": "p1", "ParticipantRole": "EndUser"},
        {"Id": "0dPbb0000000001", "ParticipantRole": "CHATBOT"},
        {"Id": "p3", "ParticipantRole": "System"},
        {"Id": "p4", "ParticipantRole": ""},
        {"Id": "", "ParticipantRole": "Agent"},
        {"Id": "p6", "ParticipantRole": "Ghost"},
        {"Id": None, "ParticipantRole": None},
    ]
    names = ColumnNames.of("participants")
    (batch,), rejects, counts = normalize_participants(raw(rows), names, "f")
    assert batch.schema == PARTICIPANTS
    assert batch.to_pylist() == [
        {"participant_id": "p1", "sender": END_USER},
        {"participant_id": "0dPbb0000000001EAA", "sender": BOT},
        {"participant_id": "p3", "sender": NEVER_COUNTED},
    ]
    assert rejects_in(rejects) == [
        Reject("f", 15, "participant_id_missing", "", None, None),
        Reject("f", 17, "participant_id_missing", "", None, None),
        Reject("f", 16, "sender_role_unknown", "Ghost", None, None),
    ]
    assert counts == {
        "participants_read": 7,
        "participants_rejected_participant_id_missing": 2,
        "participants_rejected_sender_role_unknown": 1,
    }
