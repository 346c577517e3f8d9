"""Raw rows to canonical batches."""

import numpy as np
import pyarrow as pa
import pytest

from tests.support.raw_rows import MESSAGE, NOON, NOON_US, SESSION, messages, one, raw, sessions
from transforms.batches import AGENT, BOT, END_USER, MESSAGES, NO_SEQUENCE, SESSIONS, Reject
from transforms.reading.columns import ColumnNames, RawBatch
from transforms.reading.normalize import normalize_channels, normalize_messages, normalize_records


def test_a_message():
    found = messages(one(MESSAGE, sequence="7", entry_type="Text"))
    assert found.batch.schema == MESSAGES
    assert found.batch.to_pylist() == [
        {
            "session_id": "s",
            "message_id": "m",
            "sent_at_us": NOON_US,
            "sequence": 7,
            "sender": END_USER,
        }
    ]
    assert found.rejects == []
    assert found.counts == {"messages_read": 1}


@pytest.mark.parametrize(
    ("role", "sender"),
    [
        ("EndUser", END_USER),
        ("Agent", AGENT),
        ("Bot", BOT),
        ("Chatbot", BOT),
        ("AiAgent", BOT),
    ],
)
def test_senders(role, sender):
    assert messages(one(MESSAGE, sender_role=role)).batch["sender"].to_pylist() == [sender]


@pytest.mark.parametrize("role", ["System", "Supervisor", "Router"])
def test_senders_that_are_never_counted(role):
    found = messages(one(MESSAGE, sender_role=role, message_id=None, sent_at="x"))
    assert (found.batch.num_rows, found.rejects) == (0, [])
    assert found.counts == {"messages_read": 1, "messages_skipped_role": 1}


@pytest.mark.parametrize("entry_type", ["Text", "Message", "MESSAGE", None, "", ...])
def test_entries_that_are_messages(entry_type):
    found = messages(one(MESSAGE, entry_type=entry_type), one(MESSAGE, entry_type="Text"))
    assert (found.batch.num_rows, found.counts) == (2, {"messages_read": 2})


@pytest.mark.parametrize("entry_type", ["text", "message", "ParticipantChanged", "Typing", "Other"])
def test_other_entries_are_skipped_before_anything_else_is_looked_at(entry_type):
    found = messages(MESSAGE, {"entry_type": entry_type, "sender_role": "?", "sent_at": "never"})
    assert (found.batch.num_rows, found.rejects) == (1, [])
    assert found.counts == {"messages_read": 2, "messages_skipped_entry_type": 1}


def test_no_rows():
    for found, schema in ((messages(), MESSAGES), (sessions(), SESSIONS)):
        assert (found.batch.num_rows, found.batch.schema, found.rejects) == (0, schema, [])
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
        ("1969-12-31T23:59:59Z", "250", 250_000 - 1_000_000 - NOON_US),
    ],
)
def test_entry_time_has_its_milliseconds_beside_it(entry_time, millis, micros):
    found = messages(one(MESSAGE, sent_at=..., EntryTime=entry_time, EntryTimeMilliSecs=millis))
    assert found.batch["sent_at_us"].to_pylist() == [NOON_US + micros]


def test_the_milliseconds_belong_to_entry_time_alone():
    found = messages(
        one(MESSAGE, EntryTimeMilliSecs="5"),
        one(MESSAGE, sent_at=None, EntryTime=NOON, EntryTimeMilliSecs="5"),
        one(MESSAGE, sent_at=None, EntryTime="?", EntryTimeMilliSecs="5"),
    )
    assert found.batch["sent_at_us"].to_pylist() == [NOON_US, NOON_US + 5000]
    assert [(r.reason, r.detail) for r in found.rejects] == [
        ("sent_at_invalid", "a text of 1 characters")
    ]


def test_native_columns():
    columns = {
        "session_id": pa.array(["s", "s"]).dictionary_encode(),
        "message_id": pa.array([1, 2]),
        "sent_at": pa.array([NOON_US, None], pa.timestamp("us", "UTC")),
        "sender_role": pa.array(["Agent", "Agent"], pa.large_string()),
        "sequence": pa.array([None, 2], pa.int32()),
    }
    numbered = RawBatch(columns, 2, lambda: np.array([1, 2]))
    found = normalize_messages(numbered, ColumnNames.of("messages"), "f")
    assert found.batch.to_pylist() == [
        {
            "session_id": "s",
            "message_id": "1",
            "sent_at_us": NOON_US,
            "sequence": NO_SEQUENCE,
            "sender": AGENT,
        }
    ]
    assert found.rejects == [Reject("f", 2, "sent_at_missing", "", "s", "2")]


def test_a_session():
    found = sessions(
        one(
            SESSION,
            session_id="0Mwbb000007MGoT",
            ChannelType="Text",
            StartTime="2024-10-02T11:00:00Z",
            LastModifiedDate="2024-10-02T13:00:00Z",
        )
    )
    assert found.batch.schema == SESSIONS
    hour = 3_600_000_000
    assert found.batch.to_pylist() == [
        {
            "session_id": "0Mwbb000007MGoTCAW",
            "status": "Ended",
            "channel_type": "Text",
            "platform_type": "Enhanced",
            "started_at_us": NOON_US - hour,
            "ended_at_us": NOON_US,
            "created_at_us": NOON_US - hour,  # falls back to the start
            "modified_at_us": NOON_US + hour,
            "accepted_at_us": None,
            "routed_at_us": None,
        }
    ]
    assert found.counts == {"sessions_read": 1}
    stated = sessions(one(SESSION, CreatedDate=NOON, StartTime="2024-10-02T11:00:00Z"))
    assert stated.batch["created_at_us"].to_pylist() == [NOON_US]


def test_an_open_session_needs_no_end():
    found = sessions(one(SESSION, status="Active", ended_at=None))
    assert found.batch["ended_at_us"].to_pylist() == [None]


CHANNELS = {"c": "Enhanced", "d": "Standard"}


@pytest.mark.parametrize(
    ("changes", "options", "platform"),
    [
        ({"platform_type": "Standard"}, {}, "Standard"),
        ({"platform_type": "Standard", "channel_id": "c"}, {}, "Standard"),
        ({"platform_type": None, "channel_id": "c"}, {}, "Enhanced"),
        ({"platform_type": None, "channel_id": "d"}, {"assume_platform": "Enhanced"}, "Standard"),
        ({"platform_type": None, "channel_id": "d", "channel_type": "EmbeddedMessaging"}, {},
         "Enhanced"),
        ({"platform_type": "Standard", "channel_type": "EmbeddedMessaging"}, {}, "Enhanced"),
        ({"platform_type": None, "channel_type": "EmbeddedMessaging"}, {}, "Enhanced"),
        ({"platform_type": None, "channel_type": "EmbeddedMessaging"},
         {"assume_platform": "Standard"}, "Enhanced"),
        ({"platform_type": None}, {"assume_platform": "Standard"}, "Standard"),
        ({"platform_type": None, "channel_id": "e"}, {"assume_platform": "Enhanced"}, "Enhanced"),
        ({"platform_type": None, "channel_id": "e"}, {}, None),
        ({"platform_type": "", "channel_type": "Text"}, {}, None),
        ({"platform_type": ...}, {}, None),
    ],
)  # fmt: skip
def test_the_platform_of_a_session(changes, options, platform):
    row = one(SESSION, **changes)
    found = sessions(row, channel_platforms=CHANNELS, **options)
    assert found.batch["platform_type"].to_pylist() == ([platform] if platform else [])
    assert [r.reason for r in found.rejects] == ([] if platform else ["platform_unknown"])


def test_channels():
    rows = [
        {"Id": "c", "PlatformType": "Enhanced"},
        {"Id": "d", "PlatformType": None},
        {"Id": None, "PlatformType": "Standard"},
    ]
    table, rejects, counts = normalize_channels(raw(rows), ColumnNames.of("channels"), "f")
    assert table == {"c": "Enhanced"}
    assert rejects == [Reject("f", 13, "channel_id_missing", "", None, None)]
    assert counts == {"channels_read": 3, "channels_rejected_channel_id_missing": 1}


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
    batch, rejects, counts = normalize_records(raw, ColumnNames.of("records"), "f")
    assert batch.to_pylist() == [
        {"session_id": "0Mwbb000007MGoTCAW", "metric_type": 4, "value": 42},
        {"session_id": "0Mwbb000007MGoTCAW", "metric_type": 0, "value": 0},
    ]
    assert (rejects, counts) == ([], {"records_read": 2})
