"""Which shard a session belongs to. Pure functions over Arrow batches; no Beam."""

import zlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

SHARD_BYTES = 32 << 20  # of canonical columns: a few hundred thousand messages


def shards_for(num_bytes: int) -> int:
    """How many shards an input of so many bytes of canonical columns is folded in."""
    return max(1, -(-num_bytes // SHARD_BYTES))


def shard_of(session_id: str, shards: int) -> int:
    """A session's shard: the same on every machine and in every run."""
    return zlib.crc32(session_id.encode()) * shards >> 32


def split_by_shard(batch: pa.RecordBatch, shards: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Cuts a batch whose first column is `session_id` into one piece per shard.

    Each piece carries only the session ids that it uses, sorted. Order of rows is kept within a piece.
    """
    encoded = batch.column(0)
    ids = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy()
    used = np.zeros(len(ids), bool)
    used[codes] = True
    ranked = sorted((shard_of(ids[i], shards), ids[i], i) for i in np.flatnonzero(used).tolist())
    new_code = np.zeros(len(ids), np.int32)
    new_code[[i for _, _, i in ranked]] = np.arange(len(ranked), dtype=np.int32)
    shard_of_code = np.array([shard for shard, _, _ in ranked], np.int64)
    dictionary = pa.array([session_id for _, session_id, _ in ranked], pa.string())
    codes = new_code[codes]
    if shards > 1:
        row_shards = shard_of_code[codes]
        order = np.argsort(row_shards, kind="stable")
        row_shards, codes = row_shards[order], codes[order]
        rest = [column.take(pa.array(order)) for column in batch.columns[1:]]
    else:
        row_shards, rest = np.zeros(len(codes), np.int64), batch.columns[1:]
    numbers, starts = np.unique(row_shards, return_index=True)
    ends = [*starts[1:].tolist(), len(codes)]
    for shard, start, end in zip(numbers.tolist(), starts.tolist(), ends, strict=True):
        low, high = np.searchsorted(shard_of_code, [shard, shard + 1]).tolist()
        column = pa.DictionaryArray.from_arrays(
            pa.array(codes[start:end] - np.int32(low)), dictionary[low:high]
        )
        yield (
            shard,
            pa.RecordBatch.from_arrays(
                [column, *(c[start:end] for c in rest)], schema=batch.schema
            ),
        )
