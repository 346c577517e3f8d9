"""Which shard a session belongs to. Pure functions over Arrow batches; no Beam."""

import zlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

SHARD_BYTES = 32 << 20  # of canonical columns: a few hundred thousand messages


def shards_for(num_bytes: int) -> int:
    """How many shards an input of so many bytes of canonical columns is folded in."""
    return max(1, -(-num_bytes // SHARD_BYTES))


def shards_of(session_ids: pa.Array, shards: int) -> NDArray[np.int64]:
    """Each session's shard: the same on every machine and in every run."""
    hashes = map(zlib.crc32, session_ids.cast(pa.binary()).to_pylist())
    return np.fromiter(hashes, np.int64, len(session_ids)) * shards >> 32


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
    codes = new_code[codes]
    if shards > 1:
        row_shards = shard_of_code[codes]
        order = np.argsort(row_shards, kind="stable")
        row_shards, codes = row_shards[order], codes[order]
        rest = [column.take(pa.array(order)) for column in batch.columns[1:]]
    else:
        row_shards, rest = np.zeros(len(codes), np.int64), batch.columns[1:]
    numbers, starts = np.unique(row_shards, return_index=True)
    ends = [*starts.tolist(), len(codes)][1:]
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
