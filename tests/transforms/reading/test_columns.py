"""The names of columns, and the value that a row has under several of them."""

import pytest

from schemas import aliases
from tests.support.raw_rows import MESSAGE, NOON, SESSION, messages, one, sessions
from transforms.batches import AGENT
from transforms.errors import InputError
from transforms.reading.columns import ColumnNames


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
