"""Where files are cut, and how the pieces of one are merged."""

import datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.batches import sessions
from tests.support.metrics import IDS, METRICS, make_small, metrics, samples, split
from transforms.folding.sessions import sample_sessions
from transforms.instants import DAY_US
from transforms.policy import Policy
from transforms.writing.file_ranges import Merged, cut, split_by_file


@pytest.fixture
def small_files(monkeypatch):
    make_small(monkeypatch, sessions_per_file=20, sampled=4)


@settings(max_examples=50, deadline=None)
@given(st.sets(st.text(min_size=1), max_size=80), st.integers(1, 9), st.integers(0, 99))
def test_pieces_of_files_hold_each_session_once_in_order(ids, shards, seed):
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch, sessions_per_file=5, sampled=3)
        batches = split(sorted(ids), shards, seed)
        starts = cut([session_id for _, session_id in samples(batches)])
        pieces: dict[tuple, list[str]] = {}
        for batch in batches:
            for key, piece in split_by_file(batch, False, {"": starts}):
                pieces.setdefault(key, []).extend(piece.column(0).to_pylist())
    files = len(starts) + 1
    assert starts == sorted(set(starts))
    assert sorted(pieces) == [("", i, files) for i in range(files)] or not ids
    assert [i for key in sorted(pieces) for i in sorted(pieces[key])] == sorted(ids)
    assert [min(pieces["", i, files]) for i in range(1, files)] == starts


def test_samples_are_of_the_sessions_alone(small_files):
    """Not of how often and in which order they are there, nor of those that get no records."""
    rows = [{"session_id": i, "ended_at_us": n * DAY_US // 9} for n, i in enumerate(IDS)]
    found = set(sample_sessions(sessions(*rows), Policy()))
    assert len(found) == 76
    for day, session_id in found:
        ended = datetime.date(1970, 1, 1) + datetime.timedelta(IDS.index(session_id) // 9)
        assert day == ended.isoformat()
    assert set(sample_sessions(sessions(*rows[::-1], *rows[:50]), Policy())) == found
    others = (
        {"status": "Active"},
        {"ended_at_us": None},
        {"platform_type": "Standard"},
        {"ended_at_us": 34 * DAY_US},
    )
    left_out = [row | {**other} for other in others for row in rows]
    policy = Policy(closed_until_us=34 * DAY_US)
    assert set(sample_sessions(sessions(*left_out), policy)) == set()
    starts = cut([i for _, i in found])
    assert cut([i for _, i in sorted(found, key=lambda one: one[1])] * 2) == starts


@given(st.lists(st.sets(st.text("abé😀", max_size=3)), min_size=1), st.integers(1, 9))
def test_batches_are_merged_piece_by_piece(shards, size):
    ids = sorted({i for shard in shards for i in shard})
    owner = {i: number for number, shard in enumerate(shards) for i in shard}
    batches = [metrics([i for i in ids if owner[i] == n]) for n in range(len(shards))]
    merged = Merged(batches)
    pieces = [merged.slice(start, size) for start in range(0, len(merged), size)]
    assert len(merged) == len(ids)
    assert [len(piece) for piece in pieces[:-1]] == [size] * (len(pieces) - 1)
    whole = pa.Table.from_batches(pieces, METRICS).combine_chunks()
    assert whole.equals(pa.Table.from_batches([metrics(ids)]))
    assert len(merged.slice(len(ids), size)) == 0
