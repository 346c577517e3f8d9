"""A shard: which sessions, which messages, in which order; and the whole of it against the oracle."""

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import oracle
from tests.support.batches import messages, sessions
from transforms.folding.metrics import DEFAULT_METRICS, schema_of
from transforms.folding.shard import fold_shard
from transforms.keying.sharding import narrow
from transforms.policy import Policy

S = 1_000_000


def run(*batches: pa.RecordBatch, **policy) -> tuple[dict, dict]:
    """The six values by session id, and the counts; the same whatever the order of batches and rows."""
    metrics, counts = fold_shard(batches, Policy(**policy))
    assert metrics.schema == schema_of(DEFAULT_METRICS)
    shuffled = [b.take(pa.array(np.random.default_rng(1).permutation(len(b)))) for b in batches]
    again, counts_again = fold_shard(shuffled[::-1], Policy(**policy))
    assert again.equals(metrics)
    assert counts_again == counts
    ids = metrics.column("session_id").to_pylist()
    assert ids == sorted(set(ids))
    return {row[0]: row[2:] for row in zip(*metrics.to_pydict().values(), strict=True)}, counts


def ids_of(*rows: dict, **policy) -> tuple[list, dict]:
    found, counts = run(sessions(*rows), **policy)
    return list(found), counts


def test_no_rows_at_all():
    assert run() == ({}, {})


def test_a_session_without_messages_has_six_zeros():
    assert run(sessions({"session_id": "a"})) == (
        {"a": (0,) * 6},
        {"sessions_reported": 1},
    )


def test_closed_is_ended_with_an_end():
    rows = [
        {"session_id": "a"},
        {"session_id": "b", "status": "Active"},
        {"session_id": "c", "ended_at_us": None},
        {"session_id": "d", "status": "ended"},
    ]
    assert ids_of(*rows) == (["a"], {"sessions_reported": 1, "sessions_not_closed": 3})


def test_only_enhanced_sessions_are_eligible():
    rows = [{"session_id": "a"}, {"session_id": "b", "platform_type": "Standard"}]
    assert ids_of(*rows) == (["a"], {"sessions_reported": 1, "sessions_not_enhanced": 1})


@pytest.mark.parametrize("column", ["closed", "created"])
def test_ranges_are_half_open(column):
    name = "ended_at_us" if column == "closed" else "created_at_us"
    rows = [{"session_id": str(t), name: t * S} for t in (9, 10, 19, 20)]
    bounds = {f"{column}_from_us": 10 * S, f"{column}_until_us": 20 * S}
    assert ids_of(*rows, **bounds)[0] == ["10", "19"]
    assert ids_of(*rows, **bounds)[1] == {"sessions_reported": 2, "sessions_out_of_range": 2}


def test_unknown_creation_is_in_no_created_range():
    assert ids_of({"session_id": "a"}, created_from_us=0) == ([], {"sessions_out_of_range": 1})


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ({"modified_at_us": 1, "ended_at_us": 9}, {"modified_at_us": 2, "ended_at_us": 5}),
        ({"ended_at_us": 9}, {"modified_at_us": -1, "ended_at_us": 5}),
        ({"ended_at_us": 5}, {"ended_at_us": 9}),
        ({"modified_at_us": 1, "ended_at_us": 5}, {"modified_at_us": 1, "ended_at_us": 9}),
        ({"modified_at_us": 1, "ended_at_us": None}, {"modified_at_us": 1, "ended_at_us": -9}),
    ],
)
def test_the_newest_snapshot_counts(older, newer):
    rows = [{"session_id": "a"} | older, {"session_id": "a"} | newer]
    metrics, counts = fold_shard([sessions(*rows)], Policy())
    assert metrics.column("ended_at_us").to_pylist() == [newer["ended_at_us"]]
    assert counts == {"sessions_superseded": 1, "sessions_reported": 1}


def test_snapshots_alike_are_told_apart_by_their_other_columns():
    rows = [
        {"session_id": "a", "platform_type": "Standard"},
        {"session_id": "a", "platform_type": "Enhanced"},
    ]
    for batch in (sessions(*rows), sessions(*rows[::-1])):  # the one that sorts last
        _, counts = fold_shard([batch], Policy())
        assert counts == {"sessions_superseded": 1, "sessions_not_enhanced": 1}


def test_a_newer_snapshot_that_is_open_again_withdraws_the_session():
    rows = [
        {"session_id": "a", "modified_at_us": 1},
        {"session_id": "a", "modified_at_us": 2, "status": "Active"},
    ]
    assert ids_of(*rows) == ([], {"sessions_superseded": 1, "sessions_not_closed": 1})


def test_messages_of_other_sessions_are_counted():
    found, counts = run(
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


@pytest.mark.parametrize(
    "rows",
    [
        # e0, then at one instant: which of agent and end user comes first decides the values
        [("a", "m", 0, "EndUser"), ("a", "x", 5, "Agent", 1), ("a", "b", 5, "EndUser", 2)],
        [("a", "m", 0, "EndUser"), ("a", "x", 5, "Agent"), ("a", "b", 5, "EndUser", -5)],
        [("a", "m", 0, "EndUser"), ("a", "9", 5, "Agent"), ("a", "10", 5, "EndUser")],
        [("a", "m", 0, "EndUser"), ("a", "A", 5, "Agent"), ("a", "a", 5, "EndUser")],
        [("a", "m", 0, "EndUser"), ("a", "z", 5, "Agent"), ("a", "é", 5, "EndUser")],
    ],
)
def test_order_within_an_instant(rows):
    found, _ = run(sessions({"session_id": "a"}), messages(*rows))
    assert found == {"a": (1, 5, 0, 2, 5, 0)}  # agent first: it answers after 5 s, end user after 0


def test_alike_but_for_the_sender_the_end_user_comes_first():
    rows = [("a", "m", 0, "Agent"), ("a", "m", 0, "EndUser")]
    assert run(sessions({"session_id": "a"}), messages(*rows))[0] == {"a": (0, 0, 0, 1, 0, 0)}


def test_duplicates_count_once_the_first_in_order():
    found, counts = run(
        sessions({"session_id": "a"}, {"session_id": "b"}),
        messages(
            ("a", "1", 0, "EndUser"),
            ("a", "2", 30, "Agent"),
            ("a", "2", 10, "Agent"),
            ("a", "2", 20, "Agent"),
            ("b", "2", 10, "Agent"),  # another session's message
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
    found, counts = run(*batches, late_messages="exclude")
    assert found["a"][0] == counted - 1
    assert counts["messages_counted"] == counted
    assert counts.get("messages_late", 0) == 4 - counted
    found, counts = run(*batches)
    assert found["a"][0] == 3
    assert "messages_late" not in counts


def test_values_are_capped_at_nine_digits_and_counted():
    found, counts = run(
        sessions({"session_id": "a"}),
        messages(("a", "1", 0, "EndUser"), ("a", "2", 2_000_000_000, "Agent")),
    )
    assert found == {"a": (1, 999_999_999, 0, 1, 999_999_999, 0)}
    assert counts["values_capped"] == 2


UUIDS = ["00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-0000000000a0"]
MESSAGE = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from(["1", "2", "10", "é", "z", "zz", "x" * 70, "x" * 69 + "y", *UUIDS]),
    st.sampled_from([0, 0.25, 1, 1.5, 2, 59.999999, 60, 3600]),
    st.sampled_from(["EndUser", "Agent", "Bot"]),
    st.sampled_from([None, -1, 1, 2]),
)
POLICY = st.fixed_dictionaries(
    {
        "response_from": st.sampled_from(["first_message", "last_message"]),
        "bots": st.sampled_from(["ignore", "answer"]),
        "rounding": st.sampled_from(["half_up", "floor", "ceil"]),
        "late_messages": st.sampled_from(["include", "exclude"]),
    }
)


@settings(max_examples=300, deadline=None)
@given(st.lists(MESSAGE, max_size=30), st.sampled_from([0, 1, 60, 60.5]), POLICY, st.randoms())
def test_against_the_oracle(rows, ended_at, policy, rng: random.Random):
    expected = {}
    for session_id in "abc":
        told = [
            {
                "message_id": message_id,
                "sent_at_us": round(second * S),
                "sequence": sequence,
                "role": role,
            }
            for session, message_id, second, role, sequence in rows
            if session == session_id
        ]
        values = oracle.metrics(told, {"ended_at_us": round(ended_at * S)}, **policy)
        expected[session_id] = tuple(values[name] for name in DEFAULT_METRICS)
    closed = sessions(*({"session_id": i, "ended_at_us": round(ended_at * S)} for i in "cab"))
    again = rows + rng.sample(
        rows, len(rows) // 2
    )  # repeated, in pieces, in any order, compact or not
    rng.shuffle(again)
    pieces = [messages(*again[i : i + 7]) for i in range(0, len(again), 7)]
    compacted = [narrow(piece) if rng.random() < 0.5 else piece for piece in pieces]
    found, counts = run(closed, *compacted, **policy)
    assert found == expected
    told = ("messages_counted", "messages_duplicate", "messages_late")
    assert sum(counts.get(name, 0) for name in told) == len(again)
