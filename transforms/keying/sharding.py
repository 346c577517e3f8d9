"""Which shard a session belongs to. Pure functions over Arrow batches; no Beam."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.batches import NO_SEQUENCE, kind_of
from transforms.plumbing import texts

SHARD_BYTES = 32 << 20  # of canonical columns: a few hundred thousand messages


def shards_for(num_bytes: int) -> int:
    """How many shards an input of so many bytes of canonical columns is folded in."""
    return max(1, -(-num_bytes // SHARD_BYTES))


def shards_of(session_ids: pa.Array, shards: int) -> NDArray[np.int64]:
    """Each session's shard: the same on every machine and in every run."""
    return (texts.hashes(session_ids) >> np.uint64(32)).astype(np.int64) * shards >> 32


def narrow(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Messages with no more bytes than the fold needs: a shuffle carries and copies each of them.

    Message ids that are all UUIDs have 16 bytes instead of 36; a sequence that no message has is left
    out. Other batches are given back as they are.
    """
    if kind_of(batch) != "messages":
        return batch
    if pc.all(pc.equal(batch.column("sequence"), NO_SEQUENCE)).as_py():
        batch = batch.drop_columns(["sequence"])
    packed = texts.pack_uuids(batch.column("message_id"))
    if packed is not None:
        field = pa.field("message_id", packed.type, nullable=False)
        batch = batch.set_column(batch.schema.get_field_index("message_id"), field, packed)
    return batch


def split_by_shard(batch: pa.RecordBatch, shards: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Cuts a batch whose first column is `session_id` into one piece per shard.

    Each piece carries only the session ids that it uses. Order of rows is kept within a piece.
    """
    encoded = batch.column(0)
    codes = encoded.indices.to_numpy()
    used = np.flatnonzero(np.bincount(codes, minlength=len(encoded.dictionary)))
    shard_of_code = shards_of(encoded.dictionary.take(pa.array(used)), shards)
    order = np.argsort(shard_of_code, kind="stable")
    shard_of_code, used = shard_of_code[order], used[order]
    dictionary = encoded.dictionary.take(pa.array(used))
    new_code = np.zeros(len(encoded.dictionary), np.int32)
    new_code[used] = np.arange(len(used), dtype=np.int32)
    codes = new_code.take(codes)
    edges = np.searchsorted(shard_of_code, np.arange(shards + 1))  # of the dictionary
    rows = np.array([len(codes)])
    rest = batch.columns[1:]
    if shards > 1:
        # Of the smallest type: of 16 bits or less NumPy sorts by radix.
        row_shards = shard_of_code.astype(np.min_scalar_type(shards)).take(codes)
        order = np.argsort(row_shards, kind="stable")
        codes = codes.take(order)
        rest = [column.take(pa.array(order)) for column in rest]
        rows = np.bincount(row_shards, minlength=shards)
    ends = np.cumsum(rows)
    for shard in np.flatnonzero(rows).tolist():
        low, high = edges[shard : shard + 2].tolist()
        start, end = int(ends[shard] - rows[shard]), int(ends[shard])
        column = pa.DictionaryArray.from_arrays(
            pa.array(codes[start:end] - np.int32(low)), dictionary[low:high]
        )
        yield (
            shard,
            pa.RecordBatch.from_arrays(
                [column, *(c[start:end] for c in rest)], schema=batch.schema
            ),
        )
