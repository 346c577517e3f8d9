"""Which snapshot of a session counts."""

import itertools

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from transforms.batches import SESSIONS
from transforms.keying.snapshots import newest_snapshots

LAYOUT = pa.schema([f.with_type(pa.string()) if f.name == "session_id" else f for f in SESSIONS])
ROW = {name: None for name in SESSIONS.names} | {
    "session_id": "s",
    "deleted": False,
    "status": "Ended",
    "channel_type": "Text",
    "platform_type": "Enhanced",
    "modified_at_us": 10,
    "ended_at_us": 10,
}
VALUES = {
    pa.string(): st.sampled_from([None, "a", "b", "\u00e9"]),
    pa.int64(): st.sampled_from([None, -1, 0, 1]),
    pa.bool_(): st.booleans(),
}


def table(rows):
    return pa.Table.from_pylist(rows, LAYOUT)


def newest_of(snapshots, by=("session_id",)):
    return snapshots.take(newest_snapshots(snapshots, by))


def newest(*rows, by=("session_id",)):
    """The newest snapshots of rows that are given in each order."""
    found = [newest_of(table(order), by).to_pylist() for order in itertools.permutations(rows)]
    assert all(one == found[0] for one in found)
    return found[0]


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        # When it was modified goes before when it ended.
        ({"modified_at_us": 10, "ended_at_us": 99}, {"modified_at_us": 11, "ended_at_us": 1}),
        ({"modified_at_us": None, "ended_at_us": 99}, {"modified_at_us": -1, "ended_at_us": None}),
        ({"ended_at_us": 10}, {"ended_at_us": 11}),
        ({"ended_at_us": None, "status": "Waiting"}, {"ended_at_us": -1, "status": "Active"}),
        ({"modified_at_us": None}, {"modified_at_us": None, "ended_at_us": 11}),
        # Anything else breaks a tie, whatever it is, in the order of the layout.
        ({"deleted": False}, {"deleted": True}),
        ({"status": "Active"}, {"status": "Ended"}),
        ({"conversation_id": None}, {"conversation_id": "a"}),
        ({"conversation_id": "a", "end_user_message_count": 9}, {"conversation_id": "b"}),
        ({"agent_message_count": None}, {"agent_message_count": -5}),
        ({"end_user_message_count": 9}, {"end_user_message_count": 10}),
    ],
)
def test_the_newer_of_two(older, newer):
    older, newer = ROW | older, ROW | newer
    assert newest(older, newer) == [newer]
    assert newest(older, newer, older) == [newer]


def test_each_session_once_and_sorted():
    ids = ["b", "a", "\u00e9", "ab", "B", ""]
    rows = [ROW | {"session_id": i, "modified_at_us": n} for i in ids for n in (2, 1)]
    found = newest_of(table(rows)).to_pylist()
    assert [row["session_id"] for row in found] == ["", "B", "a", "ab", "b", "\u00e9"]
    assert {row["modified_at_us"] for row in found} == {2}


def test_equal_rows_are_one():
    assert newest(ROW, ROW, ROW) == [ROW]


def test_none_and_one():
    assert newest() == []
    assert newest(ROW) == [ROW]


def test_by_two_columns():
    rows = [
        ROW | {"conversation_id": conversation, "session_id": session, "modified_at_us": n}
        for conversation, session, n in [
            ("c", "s", 1),
            ("c", "s", 2),
            ("d", "s", 1),
            ("d", "t", 1),
            ("e", "t", 0),
        ]
    ]
    assert newest(*rows, by=("conversation_id", "session_id")) == rows[1:]


def test_a_table_of_several_pieces():
    rows = [ROW | {"session_id": f"s{n % 7}", "modified_at_us": n % 5} for n in range(70)]
    whole = newest_of(table(rows))
    cut = pa.concat_tables(table(rows[start : start + 9]) for start in range(0, 70, 9))
    assert newest_of(cut).equals(whole)
    assert [row["modified_at_us"] for row in whole.to_pylist()] == [4] * 7


def rank(row):
    """The greater, the newer: by when it was modified, when it ended, then all columns; null is least."""
    values = [row[name] for name in ("modified_at_us", "ended_at_us", *SESSIONS.names)]
    return [(value is not None, value) if value is not None else (False, 0) for value in values]


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                field.name: st.sampled_from(["a", "b"])
                if field.name in ("session_id", "status")
                else VALUES[field.type]
                for field in LAYOUT
            }
        ),
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
def test_any_order_gives_the_newest(rows, random):
    by_id = {}
    for row in rows:
        by_id.setdefault(row["session_id"], []).append(row)
    wanted = [max(by_id[session_id], key=rank) for session_id in sorted(by_id)]
    assert newest_of(table(rows)).to_pylist() == wanted
    shuffled = random.sample(rows, len(rows))
    assert newest_of(table(shuffled)).to_pylist() == wanted
