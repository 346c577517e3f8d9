"""Raw rows to canonical batches, rejects and counts."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import aliases
from transforms.batches import AGENT, BOT, END_USER, MESSAGES, NO_SEQUENCE, SESSIONS, Reject
from transforms.errors import InputError
from transforms.reading.columns import ColumnNames, RawBatch
from transforms.reading.normalize import normalize_channels, normalize_messages, normalize_sessions

NOON = "2024-10-02T12:00:00.000Z"
NOON_US = 1_727_870_400_000_000
MESSAGE = {"session_id": "s", "message_id": "m", "sent_at": NOON, "sender_role": "EndUser"}
SESSION = {"session_id": "s", "status": "Ended", "ended_at": NOON, "platform_type": "Enhanced"}


def raw(rows, malformed=()):
    """Rows as text columns, numbered from 11; a key that a row lacks is null."""
    keys = dict.fromkeys(key for row in rows for key in row)
    columns = {key: pa.array([row.get(key) for row in rows], pa.string()) for key in keys}
    return RawBatch(columns, len(rows), lambda: np.arange(11, 11 + len(rows)), malformed)


def messages(*rows, mapping=None, malformed=()):
    return normalize_messages(raw(rows, malformed), ColumnNames.of("messages", mapping), "f")


def sessions(*rows, mapping=None, **options):
    return normalize_sessions(raw(rows), ColumnNames.of("sessions", mapping), "f", **options)


def one(row, **changes):
    return {key: value for key, value in {**row, **changes}.items() if value is not ...}


def test_alias_table():
    """Every name of the contract, in its order; the canonical name comes first."""
    names = {
        kind: {column: entry["names"] for column, entry in aliases(kind).items()}
        for kind in ("messages", "sessions", "channels")
    }
    assert names == {
        "messages": {
            "session_id": [
                "session_id",
                "ConversationId",
                "MessagingSessionId",
                "MessagingSession.Id",
                "relatedRecords",
            ],
            "message_id": ["message_id", "MessageIdentifier", "identifier", "Id"],
            "sent_at": [
                "sent_at",
                "ServerReceivedTimestamp",
                "serverReceivedTimestamp",
                "transcriptedTimestamp",
                "EntryTime",
            ],
            "sent_at_ms": ["EntryTimeMilliSecs"],
            "sender_role": ["sender_role", "ActorType", "sender.role", "role"],
            "entry_type": ["entry_type", "EntryType", "entryType"],
            "sequence": ["sequence", "Seq"],
        },
        "sessions": {
            "session_id": ["session_id", "Id"],
            "status": ["status", "Status"],
            "channel_type": ["channel_type", "ChannelType"],
            "platform_type": ["platform_type", "PlatformType", "MessagingChannel.PlatformType"],
            "channel_id": ["channel_id", "MessagingChannelId"],
            "started_at": ["started_at", "StartTime"],
            "ended_at": ["ended_at", "EndTime"],
            "created_at": ["created_at", "CreatedDate"],
            "modified_at": ["modified_at", "SystemModstamp", "LastModifiedDate"],
            "accepted_at": ["accepted_at", "AcceptTime"],
            "routed_at": ["routed_at"],
        },
        "channels": {
            "channel_id": ["channel_id", "Id"],
            "platform_type": ["platform_type", "PlatformType"],
        },
    }
    required = {
        kind: {column for column, entry in aliases(kind).items() if entry["required"]}
        for kind in names
    }
    assert required == {
        "messages": {"session_id", "message_id", "sent_at", "sender_role"},
        "sessions": {"session_id", "status", "ended_at"},
        "channels": {"channel_id", "platform_type"},
    }


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
    "name",
    [(column, name) for column, entry in aliases("messages").items() for name in entry["names"]],
    ids=lambda name: name[1],
)
def test_each_alias_of_a_message(name):
    column, alias = name
    row = one(MESSAGE, sequence="7", entry_type="Text", sent_at_ms="0")
    renamed = {alias if key == column else key: value for key, value in row.items()}
    assert messages(renamed).batch == messages(one(MESSAGE, sequence="7")).batch


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


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        ({"session_id": None}, "session_id_missing", ""),
        ({"session_id": ""}, "session_id_missing", ""),
        ({"message_id": None}, "message_id_missing", ""),
        ({"message_id": ""}, "message_id_missing", ""),
        ({"sent_at": None}, "sent_at_missing", ""),
        ({"sent_at": ""}, "sent_at_missing", ""),
        ({"sent_at": "2024-10-02"}, "sent_at_invalid", "2024-10-02"),
        ({"sent_at": "see you at noon"}, "sent_at_invalid", "a text of 15 characters"),
        ({"sender_role": None}, "sender_role_missing", ""),
        ({"sender_role": ""}, "sender_role_missing", ""),
        ({"sender_role": "Ghost"}, "sender_role_unknown", "Ghost"),
        ({"sender_role": "enduser"}, "sender_role_unknown", "enduser"),
        ({"sender_role": "My secret!"}, "sender_role_unknown", "a text of 10 characters"),
        ({"sequence": "1.5"}, "sequence_invalid", "1.5"),
        ({"sequence": "one two"}, "sequence_invalid", "a text of 7 characters"),
        # the first that is wrong is the reason
        ({"message_id": None, "sent_at": "x", "sender_role": "y"}, "message_id_missing", ""),
        ({"sent_at": "x", "sender_role": "y"}, "sent_at_invalid", "x"),
    ],
)
def test_rejects_of_messages(changes, reason, detail):
    row = one(MESSAGE, **changes)
    found = messages(MESSAGE, row, one(MESSAGE, message_id="n"))
    ids = (row["session_id"] or None, row["message_id"] or None)
    assert found.rejects == [Reject("f", 12, reason, detail, *ids)]
    assert found.batch["message_id"].to_pylist() == ["m", "n"]
    assert found.counts == {"messages_read": 3, f"messages_rejected_{reason}": 1}


def test_rejects_show_the_long_form_of_a_session_id():
    found = messages(one(MESSAGE, session_id="0Mwbb000007MGoT", sent_at=None))
    assert found.rejects == [Reject("f", 11, "sent_at_missing", "", "0Mwbb000007MGoTCAW", "m")]


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        ({"session_id": None}, "session_id_missing", ""),
        ({"status": None}, "status_missing", ""),
        ({"started_at": "x y"}, "started_at_invalid", "a text of 3 characters"),
        ({"ended_at": "2024-10-02"}, "ended_at_invalid", "2024-10-02"),
        ({"created_at": "x"}, "created_at_invalid", "x"),
        ({"modified_at": "x"}, "modified_at_invalid", "x"),
        ({"platform_type": None}, "platform_unknown", ""),
    ],
)
def test_rejects_of_sessions(changes, reason, detail):
    row = one(SESSION, **changes)
    found = sessions(SESSION, row, one(SESSION, session_id="t"))
    assert found.rejects == [Reject("f", 12, reason, detail, row["session_id"], None)]
    assert found.batch["session_id"].to_pylist() == ["s", "t"]
    assert found.counts == {"sessions_read": 3, f"sessions_rejected_{reason}": 1}


def test_malformed_rows_are_read_and_rejected():
    found = messages(MESSAGE, malformed=[(3, "not JSON: why"), (5, "not UTF-8")])
    assert found.rejects == [
        Reject("f", 3, "malformed_row", "not JSON: why", None, None),
        Reject("f", 5, "malformed_row", "not UTF-8", None, None),
    ]
    assert found.counts == {"messages_read": 3, "messages_rejected_malformed_row": 2}


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(
    ["session_id", "message_id", "sent_at", "sender_role", "entry_type", "sequence"],
    st.text(max_size=50) | st.sampled_from(["Text", "EndUser", NOON, "1"]) | st.none(),
))))  # fmt: skip
def test_no_row_is_lost_and_no_detail_is_prose(rows):
    found = messages(*rows)
    skipped = sum(n for name, n in found.counts.items() if "_skipped_" in name)
    rejected = sum(n for name, n in found.counts.items() if "_rejected_" in name)
    assert found.counts["messages_read"] == len(rows)
    assert rejected == len(found.rejects)
    assert found.batch.num_rows + skipped + rejected == len(rows)
    found.batch.validate(full=True)
    for reject in found.rejects:
        prose = re.fullmatch(r"a text of \d+ characters", reject.detail)
        assert prose or re.fullmatch(r"[\w.:+/-]{0,40}", reject.detail)


def test_no_rows():
    for found, schema in ((messages(), MESSAGES), (sessions(), SESSIONS)):
        assert (found.batch.num_rows, found.batch.schema, found.rejects) == (0, schema, [])
    none = RawBatch({}, 2, lambda: np.arange(1, 3))
    found = normalize_messages(none, ColumnNames.of("messages"), "f")
    assert found.counts == {"messages_read": 2, "messages_rejected_session_id_missing": 2}


def test_a_value_is_the_first_that_is_stated():
    """Row by row: one that fills one column for some rows, another for the rest, is read whole."""
    first = one(MESSAGE, sequence="1", Seq="2", ActorType="Ghost", ServerReceivedTimestamp="x")
    second = {
        "ConversationId": "s",
        "session_id": "",
        "Id": "m",
        "serverReceivedTimestamp": NOON,
        "EntryTime": "x",
        "role": "EndUser",
        "Seq": "1",
    }
    found = messages(first, second)
    assert found.rejects == []
    assert [*found.batch.to_pylist()] == [found.batch.to_pylist()[0]] * 2


def test_a_value_that_is_stated_wrong_is_not_looked_for_elsewhere():
    found = messages(
        one(MESSAGE, sent_at="x", EntryTime=NOON),
        one(MESSAGE, sequence="x", Seq="1"),
        one(MESSAGE, sent_at=None, EntryTime=NOON),
    )
    assert [(r.row, r.reason) for r in found.rejects] == [
        (11, "sent_at_invalid"),
        (12, "sequence_invalid"),
    ]
    found = sessions(one(SESSION, modified_at=None, SystemModstamp="x", LastModifiedDate=NOON))
    assert [r.reason for r in found.rejects] == ["modified_at_invalid"]


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


def test_a_mapped_column_is_known_under_that_name_alone():
    mapping = {"sent_at": "When", "sender_role": "From.Kind"}
    row = {"session_id": "s", "message_id": "m", "When": NOON, "From.Kind": "Agent"}
    decoys = {"sent_at": "x", "sender_role": "Ghost"}
    assert messages({**row, **decoys}, mapping=mapping).batch["sender"].to_pylist() == [AGENT]
    names = ColumnNames.of("messages", mapping)
    names.check(["session_id", "Id", "When", "From.Kind"], "f")
    with pytest.raises(InputError, match=r"^f: no column for sent_at of the messages; found: "):
        names.check(["session_id", "Id", "sent_at", "From.Kind"], "f")


def test_a_mapping_of_no_column():
    with pytest.raises(InputError, match=r"^messages have no column 'sentat' to map; there are "):
        ColumnNames.of("messages", {"sentat": "When"})


def test_missing_columns_are_told_with_what_to_do():
    with pytest.raises(InputError) as caught:
        ColumnNames.of("sessions").check(["Id", "Status", "Foo"], "s.csv")
    assert str(caught.value) == (
        "s.csv: no column for ended_at of the sessions; found: Id, Status, Foo. "
        "Map them with --session_columns ended_at=Their.Name"
    )
    with pytest.raises(InputError, match=r"found: none\. Map them with --message_columns sess"):
        ColumnNames.of("messages").check([], "m.csv")
    with pytest.raises(InputError, match=r"found: c0, .*c39, \.\.\.\. Map"):
        ColumnNames.of("messages").check([f"c{i}" for i in range(50)], "m.csv")


def test_a_row_in_place_of_a_header_is_not_shown():
    with pytest.raises(InputError) as caught:
        ColumnNames.of("messages").check(["0Mwx", "I lost my card, help", "EndUser"], "m.csv")
    assert "card" not in str(caught.value)
