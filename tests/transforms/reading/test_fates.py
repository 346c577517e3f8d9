"""Why rows are skipped or rejected, and how they are reported."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.raw_rows import MESSAGE, NOON, SESSION, messages, one, raw, sessions
from transforms.batches import SUMMARIES
from transforms.reading.fates import MALFORMED, REJECTED, SESSION_INSTANTS, SKIPPED, Fates
from transforms.reading.messages import normalize_messages, normalize_participants
from transforms.reading.names import ColumnNames
from transforms.reading.records import normalize_records, normalize_summaries
from transforms.reading.sessions import normalize_channels, normalize_sessions
from transforms.rejects import Reject, rejects_in


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
        ({"sender_role": "endusers"}, "sender_role_unknown", "endusers"),
        ({"sender_role": "My secret!"}, "sender_role_unknown", "a text of 10 characters"),
        ({"sequence": "1.5"}, "sequence_invalid", "1.5"),
        ({"sequence": "one two"}, "sequence_invalid", "a text of 7 characters"),
        ({"deleted": "perhaps"}, "deleted_invalid", ""),
        # the first that is wrong is the reason
        ({"message_id": None, "sent_at": "x", "sender_role": "y"}, "message_id_missing", ""),
        ({"sent_at": "x", "sender_role": "y"}, "sent_at_invalid", "x"),
    ],
)
def test_rejects_of_messages(changes, reason, detail):
    row = one(MESSAGE, **changes)
    found = messages(MESSAGE, row, one(MESSAGE, message_id="n"))
    ids = (row["session_id"] or None, row["message_id"] or None)
    assert rejects_in(found.rejects) == [Reject("f", 12, reason, detail, *ids)]
    assert found.batches[0]["message_id"].to_pylist() == ["m", "n"]
    assert found.counts == {
        "messages_read": 3,
        f"messages_rejected_{reason}": 1,
        "assigned_by_session_id": 2,
    }


def test_rejects_show_the_long_form_of_a_session_id():
    found = messages(one(MESSAGE, session_id="0Mwbb000007MGoT", sent_at=None))
    assert rejects_in(found.rejects) == [
        Reject("f", 11, "sent_at_missing", "", "0Mwbb000007MGoTCAW", "m")
    ]


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        ({"session_id": None}, "session_id_missing", ""),
        ({"status": None}, "status_missing", ""),
        ({"status": "Closed"}, "status_unknown", "Closed"),
        ({"status": "my secret"}, "status_unknown", "a text of 9 characters"),
        ({"deleted": "perhaps"}, "deleted_invalid", ""),
        ({"started_at": "x y"}, "started_at_invalid", "a text of 3 characters"),
        ({"ended_at": "2024-10-02"}, "ended_at_invalid", "2024-10-02"),
        ({"created_at": "x"}, "created_at_invalid", "x"),
        ({"modified_at": "x"}, "modified_at_invalid", "x"),
        ({"agent_message_count": "1.5"}, "agent_message_count_invalid", "1.5"),
        ({"end_user_message_count": "x"}, "end_user_message_count_invalid", "x"),
        ({"platform_type": None}, "platform_unknown", ""),
        ({"platform_type": "Legacy"}, "platform_unknown", "Legacy"),
    ],
)
def test_rejects_of_sessions(changes, reason, detail):
    row = one(SESSION, **changes)
    found = sessions(SESSION, row, one(SESSION, session_id="t"))
    assert rejects_in(found.rejects) == [Reject("f", 12, reason, detail, row["session_id"], None)]
    assert found.batches[0]["session_id"].to_pylist() == ["s", "t"]
    assert found.counts == {"sessions_read": 3, f"sessions_rejected_{reason}": 1}


def test_malformed_rows_are_read_and_rejected():
    found = messages(MESSAGE, malformed=[(3, "not JSON: why"), (5, "not UTF-8")])
    assert rejects_in(found.rejects) == [
        Reject("f", 3, "malformed_row", "not JSON: why", None, None),
        Reject("f", 5, "malformed_row", "not UTF-8", None, None),
    ]
    assert found.counts == {
        "messages_read": 3,
        "messages_rejected_malformed_row": 2,
        "assigned_by_session_id": 1,
    }


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(
    ["session_id", "conversation_id", "message_id", "sent_at", "sender_role", "participant_id",
     "entry_type", "sequence", "deleted"],
    st.text(max_size=50) | st.sampled_from(["Text", "EndUser", NOON, "1", "0Mwa"]) | st.none(),
))))  # fmt: skip
def test_no_row_is_lost_and_no_detail_is_prose(rows):
    found = messages(*rows)
    skipped = sum(n for name, n in found.counts.items() if "_skipped_" in name)
    rejected = sum(n for name, n in found.counts.items() if "_rejected_" in name)
    assert found.counts["messages_read"] == len(rows)
    assert rejected == len(rejects_in(found.rejects))
    assert sum(batch.num_rows for batch in found.batches) + skipped + rejected == len(rows)
    for batch in found.batches:
        batch.validate(full=True)
    for reject in rejects_in(found.rejects):
        prose = re.fullmatch(r"a text of \d+ characters", reject.detail)
        assert prose or re.fullmatch(r"[\w.:+/-]{0,40}", reject.detail)


# Every reason


GOOD = {
    "messages": MESSAGE,
    "sessions": SESSION,
    "channels": {"channel_id": "c", "platform_type": "Enhanced"},
    "participants": {"participant_id": "p", "sender_role": "Agent"},
    "records": {"session_id": "s", "metric_type": "AgentMessageCount", "metric_value": "1"},
    "summaries": {
        f.name: {pa.string(): "x", pa.int64(): "1", pa.bool_(): "true"}.get(f.type, NOON)
        for f in SUMMARIES
    },
}
NORMALIZE = {
    "messages": normalize_messages,
    "sessions": normalize_sessions,
    "channels": normalize_channels,
    "participants": normalize_participants,
    "records": normalize_records,
    "summaries": normalize_summaries,
}
REASONS = [
    (kind, fate, reason)
    for fate, table in (("skipped", SKIPPED), ("rejected", REJECTED))
    for kind, reasons in table.items()
    for reason in reasons
]


def bad_row(kind, reason):
    """A row that is good but for the column that the reason is about."""
    named, _, wrong = reason.rpartition("_")
    column, value = {
        "role": ("sender_role", "System"),
        "platform_unknown": ("platform_type", "x y"),
        "deleted": ("deleted", "true"),
        "entry_type": ("entry_type", "Typing"),
        "metric_type": ("metric_type", "Other"),
    }.get(reason, (named, None if wrong == "missing" else "x y"))
    return {**GOOD[kind], column: value}


@pytest.mark.parametrize(("kind", "fate", "reason"), REASONS)
def test_each_reason_that_is_declared_is_given(kind, fate, reason):
    if reason == MALFORMED:
        batch = raw([GOOD[kind]], malformed=[(3, "?")])
    else:
        batch = raw([GOOD[kind], bad_row(kind, reason)])
    batches, rejects, counts = NORMALIZE[kind](batch, ColumnNames.of(kind), "f")
    assigned = {"assigned_by_session_id": 1} if kind == "messages" else {}
    assert counts == {f"{kind}_read": 2, f"{kind}_{fate}_{reason}": 1, **assigned}
    assert [reject.reason for reject in rejects_in(rejects)] == (
        [reason] if fate == "rejected" else []
    )
    assert [len(kept) for kept in batches if len(kept)] == [1]


def test_a_reason_that_is_not_declared_is_refused():
    fates, all_rows = Fates("channels", raw([{}]), "f"), np.array([True])
    with pytest.raises(KeyError, match="session_id_missing"):
        fates.reject("session_id_missing", all_rows)
    with pytest.raises(KeyError, match="metric_type"):
        Fates("messages", raw([{}]), "f").skip("metric_type", all_rows)


def test_the_instants_of_a_session_are_those_of_its_layout():
    assert SESSION_INSTANTS == [
        "started_at",
        "ended_at",
        "created_at",
        "modified_at",
        "accepted_at",
        "routed_at",
    ]
