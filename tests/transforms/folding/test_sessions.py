"""Which sessions get records."""

import pyarrow as pa
import pytest

from tests.support.batches import sessions
from transforms.folding.sessions import select_sessions
from transforms.policy import Policy

S = 1_000_000


def selected(*rows: dict, **policy) -> tuple[pa.RecordBatch, dict]:
    """The sessions that get records, and the counts; the same whatever the order of the rows."""
    counts: dict = {}
    found = select_sessions(sessions(*rows), Policy(**policy), counts)
    ids = found.column("session_id").to_pylist()
    assert ids == sorted(set(ids))
    counts_again: dict = {}
    again = select_sessions(sessions(*rows[::-1]), Policy(**policy), counts_again)
    assert (again, counts_again) == (found, counts)
    return found, counts


def ids_selected(*rows: dict, **policy) -> tuple[list, dict]:
    found, counts = selected(*rows, **policy)
    return found.column("session_id").to_pylist(), counts


def test_closed_is_ended_with_an_end():
    rows = [
        {"session_id": "a"},
        {"session_id": "b", "status": "Active"},
        {"session_id": "c", "ended_at_us": None},
        {"session_id": "d", "status": "ended"},
    ]
    assert ids_selected(*rows) == (["a"], {"sessions_not_closed": 3})


def test_a_session_has_one_fate():
    row = {"deleted": True, "status": "Active", "platform_type": "Standard"}
    rows = [row | {"session_id": "a"}, row | {"session_id": "b", "deleted": False}]
    assert ids_selected(*rows) == ([], {"sessions_deleted": 1, "sessions_not_closed": 1})


def test_only_enhanced_sessions_are_eligible():
    rows = [{"session_id": "a"}, {"session_id": "b", "platform_type": "Standard"}]
    assert ids_selected(*rows) == (["a"], {"sessions_not_enhanced": 1})


@pytest.mark.parametrize("column", ["closed", "created"])
def test_ranges_are_half_open(column):
    name = "ended_at_us" if column == "closed" else "created_at_us"
    rows = [{"session_id": str(t), name: t * S} for t in (9, 10, 19, 20)]
    bounds = {f"{column}_from_us": 10 * S, f"{column}_until_us": 20 * S}
    assert ids_selected(*rows, **bounds)[0] == ["10", "19"]
    assert ids_selected(*rows, **bounds)[1] == {"sessions_out_of_range": 2}


def test_unknown_creation_is_in_no_created_range():
    assert ids_selected({"session_id": "a"}, created_from_us=0) == (
        [],
        {"sessions_out_of_range": 1},
    )


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
    found, counts = selected(*rows)
    assert found.column("ended_at_us").to_pylist() == [newer["ended_at_us"]]
    assert counts == {"sessions_superseded": 1}


def test_snapshots_that_are_alike_differ_by_their_other_columns():
    rows = [
        {"session_id": "a", "platform_type": "Standard"},
        {"session_id": "a", "platform_type": "Enhanced"},
    ]
    # The row that sorts last counts.
    assert ids_selected(*rows) == ([], {"sessions_superseded": 1, "sessions_not_enhanced": 1})


def test_a_newer_snapshot_that_is_open_again_withdraws_the_session():
    rows = [
        {"session_id": "a", "modified_at_us": 1},
        {"session_id": "a", "modified_at_us": 2, "status": "Active"},
    ]
    assert ids_selected(*rows) == ([], {"sessions_superseded": 1, "sessions_not_closed": 1})
