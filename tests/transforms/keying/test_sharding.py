import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.batches import messages
from transforms.batches import MESSAGES
from transforms.keying.sharding import SHARD_BYTES, shards_for, shards_of, split_by_shard


def test_shards_follow_the_size():
    sizes = (0, 1, SHARD_BYTES, SHARD_BYTES + 1, 10 * SHARD_BYTES)
    assert [shards_for(size) for size in sizes] == [1, 1, 1, 2, 10]


def test_a_session_has_the_same_shard_for_ever():
    ids = pa.array(["0Mwbb000007MGoTCAW", "ubuntu-2004-12-25-1000", "", "é"])
    assert shards_of(ids, 1000).tolist() == [143, 231, 0, 903]
    assert shards_of(ids, 1).tolist() == [0, 0, 0, 0]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=3), max_size=40), st.integers(1, 9))
def test_every_row_goes_to_the_shard_of_its_session(ids, shards):
    count = len(ids)
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array(ids, pa.string()).dictionary_encode(),
            pa.array([str(i) for i in range(count)]),
            pa.array(range(count), pa.int64()),
            pa.array(range(count), pa.int64()),
            pa.array([0] * count, pa.int8()),
        ],
        schema=MESSAGES,
    )
    rows = []
    for shard, piece in split_by_shard(batch, shards):
        assert piece.schema == MESSAGES
        dictionary = piece.column(0).dictionary
        assert set(shards_of(dictionary, shards).tolist()) == {shard}
        assert sorted(dictionary.to_pylist()) == sorted(set(piece.column(0).to_pylist()))
        numbers = piece.column("sent_at_us").to_pylist()
        assert numbers == sorted(numbers)
        rows += zip(piece.column(0).to_pylist(), numbers, strict=True)
    assert sorted(rows, key=lambda row: row[1]) == [(s, i) for i, s in enumerate(ids)]


def test_more_shards_than_a_byte_has_numbers():
    ids = [f"s{i}" for i in range(2000)]
    batch = messages(*((session_id, "m", 0, "EndUser") for session_id in ids))
    found = {
        session_id: shard
        for shard, piece in split_by_shard(batch, 1000)
        for session_id in piece.column(0).to_pylist()
    }
    assert found == dict(zip(ids, shards_of(pa.array(ids), 1000).tolist(), strict=True))
    assert len(set(found.values())) > 256
