"""What belongs to a shard is together, whatever batches it came in."""

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that

from tests.support.batches import messages, sessions
from transforms.batches import UNASSIGNED, kind_of
from transforms.collections import Batches
from transforms.keying.key import group_by_shard, number_of_shards
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
            ("Batches", [MESSAGES[:700], SESSIONS, UNNAMED]),
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
