"""The names of columns: those that are known, and how a file spells them."""

import pytest

from schemas import aliases, envelopes
from tests.support.raw_rows import MESSAGE, NOON, messages, one
from transforms.batches import AGENT
from transforms.errors import InputError
from transforms.reading.names import FILE_NAME, ColumnNames

HIDDEN = "; found: 3 not shown, for they may be values of a row"

DELETED = ["deleted", "IsDeleted", "_fivetran_deleted", "_sdc_deleted_at", "_ab_cdc_deleted_at"]


def test_alias_table():
    """Every name of the contract, in its order; the canonical name comes first."""
    kinds = ("messages", "sessions", "participants", "channels")
    names = {
        kind: {column: entry["names"] for column, entry in aliases(kind).items()} for kind in kinds
    }
    assert names == {
        "messages": {
            "session_id": [
                "session_id",
                "MessagingSessionId",
                "MessagingSession.Id",
                "relatedRecords",
                "relatedRecordsJson",
            ],
            "conversation_id": [
                "conversation_id",
                "ConversationId",
                "conversationId",
                "ConversationIdentifier",
                "conversation_identifer",
            ],
            "message_id": ["message_id", "MessageIdentifier", "identifier", "Id"],
            "sent_at": [
                "sent_at",
                "ServerReceivedTimestamp",
                "serverReceivedTimestamp",
                "transcriptedTimestamp",
                "TranscriptedDateTime",
                "EntryTime",
            ],
            "sent_at_ms": ["sent_at_ms", "EntryTimeMilliSecs"],
            "sender_role": ["sender_role", "ActorType", "sender.role", "senderRole", "role"],
            "participant_id": ["participant_id", "EngagementParticipantId"],
            "entry_type": [
                "entry_type",
                "EntryType",
                "entryType",
                "ConversationEntryType",
                "entryPayload.entryType",
            ],
            "sequence": ["sequence", "Seq", "SequenceNumber"],
            "deleted": DELETED,
        },
        "sessions": {
            "session_id": ["session_id", "Id", "MessagingSessionId"],
            "conversation_id": ["conversation_id", "ConversationId"],
            "conversation_identifier": [
                "conversation_identifier",
                "Conversation.ConversationIdentifier",
            ],
            "status": ["status", "Status", "MessagingSessionStatus"],
            "channel_type": ["channel_type", "ChannelType", "EngagementChannelType"],
            "platform_type": ["platform_type", "PlatformType", "MessagingChannel.PlatformType"],
            "channel_id": ["channel_id", "MessagingChannelId", "EngagementChannelId"],
            "started_at": ["started_at", "StartTime", "MessagingSessionStartTime"],
            "ended_at": ["ended_at", "EndTime", "MessagingSessionEndTime"],
            "created_at": ["created_at", "CreatedDate"],
            "modified_at": ["modified_at", "SystemModstamp", "LastModifiedDate"],
            "accepted_at": ["accepted_at", "AcceptTime", "AcceptedDateTime"],
            "routed_at": ["routed_at"],
            "deleted": DELETED,
            "agent_message_count": ["agent_message_count", "AgentMessageCount"],
            "end_user_message_count": ["end_user_message_count", "EndUserMessageCount"],
        },
        "participants": {
            "participant_id": ["participant_id", "Id"],
            "sender_role": ["sender_role", "EngagementParticipantRole", "ParticipantRole"],
        },
        "channels": {
            "channel_id": ["channel_id", "Id"],
            "platform_type": ["platform_type", "PlatformType"],
        },
    }
    required = {
        kind: {
            column: entry.get("or") for column, entry in aliases(kind).items() if entry["required"]
        }
        for kind in names
    }
    assert required == {
        "messages": {
            "session_id": "conversation_id",
            "message_id": None,
            "sent_at": None,
            "sender_role": "participant_id",
        },
        "sessions": {"session_id": None, "status": None, "ended_at": None},
        "participants": {"participant_id": None, "sender_role": None},
        "channels": {"channel_id": None, "platform_type": None},
    }
    assert envelopes() == ["conversationEntry", "_airbyte_data"]


@pytest.mark.parametrize(
    "name",
    [
        (column, name)
        for column, entry in aliases("messages").items()
        for name in entry["names"]
        if column in ("session_id", "message_id", "sent_at", "sent_at_ms", "sender_role",
                      "entry_type", "sequence", "deleted")
    ],
    ids=lambda name: name[1],
)  # fmt: skip
def test_each_alias_of_a_message(name):
    column, alias = name
    row = one(
        MESSAGE, sequence="7", entry_type="Text", sent_at_ms="5", deleted="", session_id="0Mwa"
    )
    renamed = {alias if key == column else key: value for key, value in row.items()}
    assert messages(renamed).batches == messages(row).batches
    assert messages(renamed).batches[0].num_rows == 1


# Spellings.


def resolved(*found, kind="messages", rows_differ=False, mapping=None):
    """The names of the columns that a file with these columns has."""
    names = ColumnNames.of(kind, mapping).resolve(found, "f", rows_differ).names
    return {column: names for column, names in names.items() if names}


def test_the_spelling_of_the_file_is_taken():
    found = ("ssot__Id__c", "CONVERSATION_ID", "Entry Time", "actortype", "Message")
    assert resolved(*found) == {
        "message_id": ("ssot__Id__c",),
        "conversation_id": ("CONVERSATION_ID",),
        "sent_at": ("Entry Time",),
        "sender_role": ("actortype",),
    }
    assert resolved("Sender.Role", "MESSAGING_SESSION.ID", "entry_payload.ENTRYTYPE") == {
        "sender_role": ("Sender.Role",),
        "session_id": ("MESSAGING_SESSION.ID",),
        "entry_type": ("entry_payload.ENTRYTYPE",),
    }


def test_several_columns_stay_in_order_of_preference():
    found = ("Id", "IDENTIFIER", "message_id")
    assert resolved(*found) == {"message_id": ("message_id", "IDENTIFIER", "Id")}


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (["ConversationId", "CONVERSATIONID", "Conversation ID"], ("ConversationId",)),
        (["CONVERSATIONID", "conversation_id"], ("conversation_id",)),
        (["conversationId", "ConversationId", "conversation_id"],
         ("conversation_id", "ConversationId", "conversationId")),
    ],
)  # fmt: skip
def test_of_several_spellings_the_exact_ones_are_taken(found, names):
    for order in (found, found[::-1]):
        assert resolved(*order) == {"conversation_id": names}


def test_two_spellings_of_which_none_is_exact():
    with pytest.raises(InputError) as caught:
        resolved("Conversation ID", "CONVERSATIONID")
    assert str(caught.value) == (
        "f: Conversation ID and CONVERSATIONID may both be conversation_id; rename one, or map "
        "conversation_id to the right one"
    )
    mapping = {"conversation_id": "CONVERSATIONID"}
    assert resolved("Conversation ID", "CONVERSATIONID", mapping=mapping) == {
        "conversation_id": ("CONVERSATIONID",)
    }
    with pytest.raises(InputError, match=r"^f: Start time and START_TIME may both be started_at;"):
        resolved("Start time", "START_TIME", kind="sessions")


def test_the_names_of_an_envelope_come_after_those_outside():
    found = (
        "identifier",
        "conversationEntry.identifier",
        "conversationEntry.sender.role",
        "conversationEntry.SenderRole",
        "conversation_entry.Seq",
        "other.entryType",
    )
    assert resolved(*found) == {
        "message_id": ("identifier", "conversationEntry.identifier"),
        "sender_role": ("conversationEntry.SenderRole", "conversationEntry.sender.role"),
        "sequence": ("conversation_entry.Seq",),
    }
    assert resolved("_airbyte_data.Status", kind="sessions") == {
        "status": ("_airbyte_data.Status",)
    }


def test_of_several_spellings_in_an_envelope_the_exact_ones_are_taken():
    found = ("_airbyte_data.STARTTIME", "_airbyte_data.StartTime", "_airbyte_data.start time")
    assert resolved(*found, kind="sessions") == {"started_at": ("_airbyte_data.StartTime",)}
    found = ("conversationEntry.ConversationId", "conversationEntry.conversationId")
    assert resolved(*found) == {"conversation_id": found}
    with pytest.raises(
        InputError, match=r"^f: _airbyte_data.STATUS and _airbyte_data.s_tatus may "
    ):
        resolved("_airbyte_data.STATUS", "_airbyte_data.s_tatus", kind="sessions")


def test_texts_are_looked_into_only_for_what_no_column_has():
    assert resolved("Sender") == {"sender_role": ("Sender.role",)}
    assert resolved("sender", "ActorType") == {"sender_role": ("ActorType",)}
    # It is no text: there are columns inside.
    assert resolved("sender", "sender.subject") == {}
    assert resolved("sender", "sender.role") == {"sender_role": ("sender.role",)}


def test_a_text_may_be_an_envelope():
    found = resolved("_airbyte_data", "Id", kind="sessions")
    assert found["session_id"] == ("Id",)
    assert found["status"] == (
        "_airbyte_data.status",
        "_airbyte_data.Status",
        "_airbyte_data.MessagingSessionStatus",
    )
    assert resolved("conversationEntry")["sender_role"] == (
        "conversationEntry.sender_role",
        "conversationEntry.ActorType",
        "conversationEntry.sender.role",
        "conversationEntry.senderRole",
        "conversationEntry.role",
    )


def test_where_rows_differ_the_names_that_are_not_found_stay():
    found = resolved("IDENTIFIER", "sender", "other", rows_differ=True)
    assert found["message_id"] == ("message_id", "MessageIdentifier", "IDENTIFIER", "Id")
    assert found["sequence"] == ("sequence", "Seq", "SequenceNumber")
    assert found["sender_role"] == (
        "sender_role",
        "ActorType",
        "sender.role",
        "senderRole",
        "role",
    )
    found = resolved("sender", "ActorType", "conversationEntry.role", rows_differ=True)
    # The text is not looked into, for there is a column.
    assert found["sender_role"] == (
        "sender_role",
        "ActorType",
        "senderRole",
        "role",
        "conversationEntry.role",
    )


def test_the_name_of_the_file_may_be_a_column():
    mapping = {"conversation_id": FILE_NAME}
    assert resolved("Id", mapping=mapping) == {
        "message_id": ("Id",),
        "conversation_id": ("@file",),
    }
    names = ColumnNames.of("messages", mapping)
    names.check(["Id", "sent_at", "role"], "f")


# What a file must have.


def test_a_mapped_column_is_known_under_that_name_alone():
    mapping = {"sent_at": "When", "sender_role": "From.Kind"}
    row = {"session_id": "s", "message_id": "m", "When": NOON, "From.Kind": "Agent"}
    decoys = {"sent_at": "x", "sender_role": "Ghost"}
    assert messages({**row, **decoys}, mapping=mapping).batches[0]["sender"].to_pylist() == [AGENT]
    names = ColumnNames.of("messages", mapping)
    names.check(["session_id", "Id", "When", "From.Kind"], "f")
    with pytest.raises(InputError, match=r"^f: no column for sent_at of the messages; found: "):
        names.check(["session_id", "Id", "sent_at", "From.Kind"], "f")


def test_a_mapping_of_no_column():
    with pytest.raises(InputError, match=r"^messages have no column 'sentat' to map; there are "):
        ColumnNames.of("messages", {"sentat": "When"})


def told(*found, kind="messages", needed=(), has_participants=False):
    """What a check of these columns says."""
    with pytest.raises(InputError) as caught:
        ColumnNames.of(kind, None, has_participants).check(found, "f", needed)
    return str(caught.value)


def test_missing_columns_are_told_with_what_to_do():
    assert told("Id", "Status", "Foo", kind="sessions") == (
        "f: no column for ended_at of the sessions; found: Id, Status, Foo. "
        "Map them with --session_columns ended_at=Their.Name (optional, and not found either: "
        "conversation_id, conversation_identifier, channel_type, platform_type, channel_id, "
        "started_at, created_at, modified_at, accepted_at, routed_at, deleted, agent_message_count, "
        "end_user_message_count)"
    )
    assert told("Id", kind="participants") == (
        "f: no column for sender_role of the participants; found: Id. "
        "Map them with --participant_columns sender_role=Their.Name"
    )
    assert told("Id", kind="channels") == (
        "f: no column for platform_type of the channels; found: Id. "
        "Map them with --channel_columns platform_type=Their.Name"
    )
    assert told("session_id", kind="records").endswith("of the records; found: session_id")
    assert ": none. Map them with --message_columns session_id=Their.Name,message_id=" in told()
    assert f"{HIDDEN}. Map them" in told("0Mwbb000007MGoT", "EntryTyp2", "I lost my card")
    assert ", c98, c99. Map them" in told(*(f"c{i}" for i in range(100)))
    assert ", c98, c99 and 20 more. Map them" in told(*(f"c{i}" for i in range(120)))


def test_a_needed_column_is_a_required_one():
    found = ("Id", "Status", "EndTime")
    ColumnNames.of("sessions").check(found, "f")
    assert told(*found, kind="sessions", needed=["channel_type"]).startswith(
        "f: no column for channel_type of the sessions; "
    )


def test_a_conversation_may_stand_in_for_a_session():
    ColumnNames.of("messages").check(["Conversation ID", "Id", "sent_at", "role"], "f")
    assert told("Id", "sent_at", "role") == (
        "f: no column for session_id or conversation_id of the messages; found: Id, sent_at, role. "
        "Map them with --message_columns session_id=Their.Name (optional, and not found either: "
        "sent_at_ms, participant_id, entry_type, sequence, deleted)"
    )


def test_a_participant_may_stand_in_for_a_role_where_participants_are_read():
    found = ("ConversationId", "Id", "sent_at", "EngagementParticipantId")
    ColumnNames.of("messages", None, True).check(found, "f")
    assert told(*found) == (
        "f: no column for sender_role of the messages; found: ConversationId, Id, sent_at, "
        "EngagementParticipantId. Its messages name participants: give them with --participants "
        "(optional, and not found either: sent_at_ms, entry_type, sequence, deleted)"
    )
    assert told(*found[:3], has_participants=True) == (
        "f: no column for sender_role or participant_id of the messages; found: ConversationId, Id, "
        "sent_at. Map them with --message_columns sender_role=Their.Name (optional, and not found "
        "either: sent_at_ms, entry_type, sequence, deleted)"
    )


# What is mapped must be there.


def told_of_mapping(mapping, kind="messages", **files):
    with pytest.raises(InputError) as caught:
        ColumnNames.of(kind, mapping).check_mapped(files)
    return str(caught.value)


def test_a_column_that_is_mapped_to_a_name_that_is_not_there():
    found = ["Id", "ActorType", "EntryType", "I lost my card"]
    assert told_of_mapping({"entry_type": "EntryTyp"}, f=found) == (
        "f: no column EntryTyp, to which --message_columns maps entry_type (did you mean EntryType?); "
        "found: Id, ActorType, EntryType, I lost my card"
    )
    assert told_of_mapping({"entry_type": "zz", "sent_at": "Sent"}, f=["a", "sent"], g=["b"]) == (
        "f, g: no column zz, to which --message_columns maps entry_type; found: a, sent, b"
    )
    assert told_of_mapping(
        {"modified_at": "Changed", "status": "x"}, "sessions", f=["CHANGED_ON"]
    ) == (
        "f: no column Changed, to which --session_columns maps modified_at (did you mean CHANGED_ON?); "
        "no column x, to which --session_columns maps status; found: CHANGED_ON"
    )
    row = ["0Mwbb000007MGoT", "EntryTyp2", "I lost my card"]
    assert told_of_mapping({"entry_type": "EntryTyp"}, f=row).endswith(
        "; found: 3 not shown, for they may be values of a row"
    )


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Kind", ["a", "KIND"]),
        ("entry.kind", ["a", "entry"]),
        ("entry.kind", ["a", "entry", "entry.Kind"]),
        ("kind", ["_airbyte_data"]),
        ("kind", ["conversationEntry.kind"]),
        (FILE_NAME, ["a"]),
    ],
)
def test_a_mapped_name_in_another_place_is_there(name, found):
    names = ColumnNames.of("messages", {"entry_type": name})
    names.check_mapped({"f": found})
    names.check_mapped({"f": ["a"], "g": found})
    names.check_mapped({})
    ColumnNames.of("messages").check_mapped({"f": ["a"]})


def test_what_was_found_is_told():
    names = ColumnNames.of("participants", {"sender_role": "Kind"})
    assert names.tell(["ID", "kind"], "f") == (
        "f: participants with participant_id=ID, sender_role=kind; not found: none"
    )
    assert ColumnNames.of("messages").tell(["IDENTIFIER", "Id", "sender"], "f") == (
        "f: messages with message_id=IDENTIFIER|Id, sender_role=sender.role; not found: "
        "conversation_id, sent_at_ms, participant_id, entry_type, sequence, deleted"
    )
