"""What belongs to a shard is together, whatever batches it came in."""

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that

from tests.support.batches import messages, sessions
from transforms.batches import UNASSIGNED, kind_of
from transforms.collections import Batches
from transforms.keying.key import (
    MOST_WAITING_BYTES,
    PIECE_BYTES,
    SplitByShard,
    group_by_shard,
    number_of_shards,
)
from transforms.keying.narrowing import instants_of, narrow
from transforms.keying.sharding import SHARD_BYTES, shards_of
from transforms.plumbing.coders import RecordBatchCoder, spilling

IDS = [f"s{number}" for number in range(2000)]
MESSAGES = messages(*((session_id, "m", 0, "Agent") for session_id in IDS))
SESSIONS = sessions(*({"session_id": session_id} for session_id in reversed(IDS)))
UNNAMED = pa.RecordBatch.from_arrays(MESSAGES.columns, schema=UNASSIGNED)


def run(num_bytes, check):
    pipeline = beam.Pipeline(FnApiRunner(), options=PipelineOptions([]))
    batches, assigned = (
        pipeline | name >> beam.Create(some, reshuffle=False).with_output_types(pa.RecordBatch)
        for name, some in (
            ("Batches", [MESSAGES[:300], SESSIONS, UNNAMED, MESSAGES[300:700]]),
            ("Assigned", [MESSAGES[700:]]),
        )
    )
    sizes = pipeline | "Sizes" >> beam.Create(num_bytes)
    inputs = Batches(batches, None, None, sizes)
    shards = group_by_shard(inputs, Batches(assigned, None, None, None), number_of_shards(inputs))
    assert_that(shards, check)
    pipeline.run()


def test_each_shard_has_all_its_messages_and_sessions():
    def check(shards):
        assert sorted(shard for shard, _ in shards) == [0, 1, 2]
        for shard, encoded in shards:
            expected = [
                i for i, at in zip(IDS, shards_of(pa.array(IDS), 3), strict=True) if at == shard
            ]
            pieces = [RecordBatchCoder().decode(piece) for piece in encoded]
            found = {"messages": [], "sessions": []}
            for piece in pieces:
                found[kind_of(piece)] += piece.column("session_id").to_pylist()
            assert sorted(found["messages"]) == sorted(expected)
            assert found["sessions"] == expected[::-1]
            assert len(pieces) == 3
            assert all("sequence" not in piece.schema.names for piece in pieces)

    run([2 * SHARD_BYTES, 1], check)


def test_pieces_are_spilled_by_a_pipeline_that_is_built_to_spill():
    def check(shards):
        assert all(len(piece) < 50 for _, encoded in shards for piece in encoded)

    with spilling():
        run([1], check)


def split(batches, shards, keyed=lambda batch: batch):
    """What the DoFn makes of a bundle: for each task in turn, its pieces."""
    do_fn = SplitByShard(keyed)
    do_fn.start_bundle()
    tasks = [task for batch in batches for task in do_fn.tasks(batch, shards)]
    cut_at_once = len(tasks)
    done = [task() for task in (*tasks, *do_fn.last_tasks())]
    pieces = [[RecordBatchCoder().decode(piece) for _, piece in one.outputs] for one in done]
    assert [one.stage["pieces"] for one in done] == list(map(len, pieces))
    assert [one.stage["rows"] for one in done] == [sum(map(len, some)) for some in pieces]
    return pieces, cut_at_once


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_batches_wait_until_there_is_enough_for_each_shard(shards):
    enough = -(-shards * PIECE_BYTES // MESSAGES.nbytes)
    pieces, cut_at_once = split([MESSAGES] * (2 * enough + 1), shards)
    in_task = [enough * len(IDS), enough * len(IDS), len(IDS)]
    assert [sum(map(len, some)) for some in pieces] == in_task
    assert [len(some) for some in pieces] == [shards] * 3
    assert cut_at_once == 2


def test_no_more_than_so_many_bytes_wait():
    shards = 2 * MOST_WAITING_BYTES // PIECE_BYTES
    message_id = "m" * 100_000
    batch = messages(*((session_id, message_id, 0, "Agent") for session_id in IDS[:100]))
    at_most = -(-MOST_WAITING_BYTES // batch.nbytes)
    pieces, cut_at_once = split([batch] * (at_most + 1), shards)
    assert [sum(map(len, some)) for some in pieces] == [100 * at_most, 100]
    assert cut_at_once == 1


def test_instants_that_are_counted_from_different_ones_are_not_put_together():
    batches = [messages(("s", "m", second, "Agent"), ("s", "n", 9, "Agent")) for second in (5, 7)]
    ((first, second),), _ = split(map(narrow, batches), 1)
    for piece, batch in zip((first, second), batches, strict=True):
        assert instants_of(piece).tolist() == batch.column("sent_at_us").to_pylist()


def test_what_is_passed_over_does_not_wait():
    pieces, cut_at_once = split([MESSAGES] * 1000, 1, keyed=lambda batch: None)
    assert pieces == [] and cut_at_once == 0


def test_what_a_bundle_that_failed_has_left_is_dropped():
    do_fn = SplitByShard(lambda batch: batch)
    for _ in range(2):
        do_fn.start_bundle()
        assert list(do_fn.tasks(MESSAGES, 2)) == []
    (task,) = do_fn.last_tasks()
    assert task().stage["rows"] == len(MESSAGES)
