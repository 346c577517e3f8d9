"""Messages and sessions on their way to the fold."""

import uuid

import pyarrow as pa
import pytest

from tests.support.batches import sessions
from transforms.batches import MESSAGES, NO_SEQUENCE, SALESFORCE_RECORDS, SESSIONS, kind_of
from transforms.keying.narrowing import concat_sessions, instants_of, narrow
from transforms.keying.sharding import split_by_shard
from transforms.plumbing.coders import RecordBatchCoder


def batch_of(ids, sequence):
    count = len(ids)
    columns = [pa.array(["s"] * count, pa.string()).dictionary_encode(), pa.array(ids, pa.string())]
    columns += [pa.array(range(count), pa.int64()), pa.array(sequence, pa.int64())]
    return pa.RecordBatch.from_arrays([*columns, pa.array([0] * count, pa.int8())], schema=MESSAGES)


def test_a_compact_batch_has_what_the_fold_needs_and_no_more():
    ids = [str(uuid.UUID(int=i)) for i in (7, 5)]
    found = narrow(batch_of(ids, [NO_SEQUENCE] * 2))
    assert found.schema.names == ["session_id", "message_id", "sent_at_us", "sender"]
    assert instants_of(found).tolist() == [0, 1]
    assert found.column("message_id").to_pylist() == [uuid.UUID(i).bytes for i in ids]
    found = narrow(batch_of(ids, [NO_SEQUENCE, 1]))
    assert found.column("sequence").to_pylist() == [NO_SEQUENCE, 1]
    found = narrow(batch_of([ids[0], "m"], [NO_SEQUENCE] * 2))
    assert found.column("message_id").to_pylist() == [ids[0], "m"]


# So many numbers has a column of 32 bits: milliseconds of 49.7 days.
MOST_MS = 1 << 32


@pytest.mark.parametrize(
    ("instants", "column"),
    [
        ([5], "sent_after_ms"),
        ([9_000_007, 7, 4_000_007], "sent_after_ms"),
        ([-1_000, 2_000], "sent_after_ms"),
        ([7, 1000 * (MOST_MS - 1) + 7], "sent_after_ms"),
        ([7, 1000 * MOST_MS + 7], "sent_at_us"),
        ([7, 1_008], "sent_at_us"),
        ([], "sent_at_us"),
    ],
)
def test_instants_that_are_whole_milliseconds_apart(instants, column):
    batch = batch_of(["m"] * len(instants), [NO_SEQUENCE] * len(instants))
    batch = batch.set_column(2, batch.schema.field(2), pa.array(instants, pa.int64()))
    found = narrow(batch)
    assert column in found.schema.names
    assert instants_of(found).tolist() == instants_of(batch).tolist() == instants
    assert narrow(found) == found
    # What is cut keeps what its instants are counted from, also in a stream.
    for _, piece in split_by_shard(found, 1):
        decoded = RecordBatchCoder().decode(RecordBatchCoder().encode(piece[1:]))
        assert instants_of(decoded).tolist() == instants[1:]


def test_sessions_are_narrowed_and_put_together():
    first = sessions({"session_id": "a", "conversation_id": "c", "deleted": True})
    second = sessions({"session_id": "b", "started_at_us": 5}, {"session_id": "a"})
    of_both = ["session_id", "deleted", "status", "platform_type", "ended_at_us"]
    pieces = [narrow(first), narrow(second)]
    assert set(pieces[0].schema.names) == {*of_both, "conversation_id"}
    assert set(pieces[1].schema.names) == {*of_both, "started_at_us"}
    assert pa.types.is_dictionary(pieces[0].schema.field("status").type)
    for batches in (pieces, [first, pieces[1]], [first, second]):
        found = concat_sessions(batches)
        assert found.schema == SESSIONS
        assert found.to_pylist() == first.to_pylist() + second.to_pylist()
    assert concat_sessions([]).schema == SESSIONS


def test_a_narrowed_batch_without_sessions_is_one_of_sessions():
    assert kind_of(narrow(sessions())) == "sessions"


def test_batches_of_other_kinds_are_not_narrowed():
    records = pa.RecordBatch.from_pylist([], SALESFORCE_RECORDS)
    assert narrow(records) is records
