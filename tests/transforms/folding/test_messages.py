"""Which messages count, and in which order."""

import uuid

import numpy as np
import pyarrow as pa
import pytest

from tests.support.batches import messages, sessions
from tests.support.cases import DUPLICATES, INSTANTS, of_instant
from tests.support.shards import fold_any_order
from transforms.batches import AGENT, BOT, END_USER, NO_SEQUENCE
from transforms.folding.messages import (
    Gathered,
    find_duplicates,
    gather_messages,
    order_messages,
)
from transforms.keying.narrowing import narrow

S = 1_000_000


def test_messages_of_other_sessions_are_counted():
    found, counts = fold_any_order(
        sessions({"session_id": "a"}, {"session_id": "open", "status": "Active"}),
        messages(
            ("a", "1", 0, "EndUser"),
            ("open", "1", 0, "EndUser"),
            ("nobody", "1", 0, "EndUser"),
            ("nobody", "2", 0, "EndUser"),
        ),
    )
    assert found == {"a": (0, 0, 0, 1, 0, 0)}
    assert counts == {
        "messages_counted": 1,
        "messages_of_session_not_reported": 1,
        "messages_of_unknown_session": 2,
        "sessions_not_closed": 1,
        "sessions_reported": 1,
    }


@pytest.mark.parametrize(("end_user", "agent", "end_user_is_first"), INSTANTS)
def test_two_messages_at_one_instant(end_user, agent, end_user_is_first):
    rows = [
        ("a", end_user[0], 5, "EndUser", end_user[1]),
        ("a", agent[0], 5, "Agent", agent[1]),
        ("a", "later", 9, "Agent", 99),
    ]
    found, _ = fold_any_order(sessions({"session_id": "a"}), messages(*rows))
    assert found == {"a": of_instant(end_user_is_first)}


@pytest.mark.parametrize(("first", "second", "expected"), DUPLICATES)
def test_of_one_message_id_the_first_counts(first, second, expected):
    copies = [("a", "x", at_s, role, sequence) for role, at_s, sequence in (first, second)]
    question = ("a", "q", 0, "EndUser")
    for rows in ([question, *copies], [question, *copies, copies[0]]):
        found, counts = fold_any_order(sessions({"session_id": "a"}), messages(*rows))
        assert found == {"a": expected}
        assert counts["messages_duplicate"] == len(rows) - 2


def test_alike_but_for_the_sender_the_end_user_comes_first():
    rows = [("a", "m", 0, "Agent"), ("a", "m", 0, "EndUser")]
    assert fold_any_order(sessions({"session_id": "a"}), messages(*rows))[0] == {
        "a": (0, 0, 0, 1, 0, 0)
    }


def test_duplicates_count_once_the_first_in_order():
    found, counts = fold_any_order(
        sessions({"session_id": "a"}, {"session_id": "b"}),
        messages(
            ("a", "1", 0, "EndUser"),
            ("a", "2", 30, "Agent"),
            ("a", "2", 10, "Agent"),
            ("a", "2", 20, "Agent"),
            # Another session's message.
            ("b", "2", 10, "Agent"),
        ),
    )
    assert found == {"a": (1, 10, 0, 1, 10, 0), "b": (1, 0, 0, 0, 0, 0)}
    assert counts["messages_duplicate"] == 2
    assert counts["messages_counted"] == 3


@pytest.mark.parametrize(
    ("ended_at_us", "counted"),
    [(10 * S, 3), (10 * S + 500_000, 2), (10 * S + 999_999, 3), (9 * S, 1), (11 * S, 4)],
)
def test_late_messages(ended_at_us, counted):
    batches = (
        sessions({"session_id": "a", "ended_at_us": ended_at_us}),
        messages(
            ("a", "1", 0, "EndUser"),
            ("a", "2", 10.5, "Agent"),
            ("a", "3", 10.999999, "Agent"),
            ("a", "4", 11, "Agent"),
        ),
    )
    found, counts = fold_any_order(*batches, late_messages="exclude")
    assert found["a"][0] == counted - 1
    assert counts["messages_counted"] == counted
    assert counts.get("messages_late", 0) == 4 - counted
    found, counts = fold_any_order(*batches)
    assert found["a"][0] == 3
    assert "messages_late" not in counts


def gathered(*batches) -> tuple[Gathered, dict]:
    counts: dict = {}
    ids, known = pa.array(["a", "b"]), pa.array(["a", "b", "open"])
    return gather_messages(batches, ids, known, counts), counts


def test_messages_are_gathered_by_time_of_their_batches_with_the_numbers_of_their_sessions():
    later = messages(("b", "1", 7, "Bot"), ("nobody", "2", 8, "Agent", 5), ("a", "3", 9, "Agent"))
    earlier = messages(("open", "4", 1, "EndUser"), ("a", "5", 0, "EndUser"))
    found, counts = gathered(later, later[:0], earlier)
    assert found.session.tolist() == [-1, 0, 1, -2, 0]
    assert found.sent_at_us.tolist() == [1 * S, 0, 7 * S, 8 * S, 9 * S]
    assert found.sender.tolist() == [END_USER, END_USER, BOT, AGENT, AGENT]
    assert found.sequence.tolist() == [NO_SEQUENCE] * 3 + [5, NO_SEQUENCE]
    assert found.message_id.to_pylist() == ["4", "5", "1", "2", "3"]
    assert counts == {"messages_of_unknown_session": 1, "messages_of_session_not_reported": 1}


def test_ids_are_packed_if_every_batch_has_them_packed():
    ids = [str(uuid.UUID(int=number)) for number in range(3)]
    first, second, text = (messages(("a", i, 0, "Agent")) for i in (ids[1], ids[0], "m"))
    packed, _ = gathered(narrow(first), narrow(second))
    assert packed.message_id.to_pylist() == [uuid.UUID(ids[1]).bytes, uuid.UUID(ids[0]).bytes]
    mixed, _ = gathered(narrow(first), text)
    assert mixed.message_id.to_pylist() == [ids[1], "m"]


def test_the_order_that_is_drawn():
    columns = {
        "session": np.array([1, 0, 1, -1, 1], np.int32),
        "sent_at_us": np.array([50, 70, 50, 10, 20]),
        "sender": np.zeros(5, np.int8),
        "sequence": np.full(5, NO_SEQUENCE),
        "message_id": pa.array(["b", "a", "a", "a", "c"]),
        "by_time": np.zeros(5, bool),
    }
    rows, session, sent_at_us = order_messages(Gathered(**columns))
    assert rows.tolist() == [1, 4, 2, 0]
    assert session.tolist() == [0, 1, 1, 1]
    assert sent_at_us.tolist() == [70, 20, 50, 50]


def test_duplicates_are_found_within_a_session_alone():
    ids = pa.array(["c", "a", "b", "a", "a"])
    rows, session = np.array([1, 2, 3, 4, 0]), np.array([0, 0, 0, 1, 1], np.int32)
    assert find_duplicates(ids, rows, session).tolist() == [False, False, True, False, False]
