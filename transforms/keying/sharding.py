"""Which shard a session belongs to. Pure functions over Arrow batches; no Beam."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from transforms.plumbing import texts

SHARD_BYTES = 96 << 20
"""How large a shard is to be, in bytes of canonical columns: up to a million messages.

Batches are cut into as many pieces as there are shards. With shards of a third of that a hundred million
messages take 29.5 s in place of 24.4.
"""


def shards_for(num_bytes: int) -> int:
    """How many shards an input is cut into, given its size in bytes of canonical columns."""
    return max(1, -(-num_bytes // SHARD_BYTES))


def shards_of(session_ids: pa.Array, shards: int) -> NDArray[np.int64]:
    """The shard of each session: the same on every machine and in every run.

    The upper 32 bits of the hash, a fraction of 2^32, are scaled to the number of shards.

    Args:
      session_ids: texts, no nulls.
      shards: how many there are.

    Returns:
      Shape (ids,), from 0 to `shards` - 1.
    """
    return (texts.stable_hashes(session_ids) >> np.uint64(32)).astype(np.int64) * shards >> 32


def split_by_shard(batch: pa.RecordBatch, shards: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Cuts a batch into one piece per shard.

    The dictionary of session ids is put in order of shards, so that a piece's ids are a slice of it:

        dictionary       a  b  c  d                 in shards 1 0 1 0
        codes            2  0  1  2                 rows c a b c; d is in no row

        new dictionary   b | a  c                   without d; shard 0 | shard 1
        new codes        2  1  0  2
        by shard         0 | 2  1  2                rows b | c a c
        less the start   0 | 1  0  1                codes in the piece's own dictionary

    Args:
      batch: the first column is `session_id`, a dictionary; no nulls.
      shards: how many there are.

    Yields:
      Shard and piece, by shard; only shards that have rows. A piece keeps the order of its rows and
      carries only the ids that it uses.
    """
    dictionary, codes, shard_of_code = _ids_by_shard(batch.column(0), shards)
    id_edges = np.searchsorted(shard_of_code, np.arange(shards + 1))
    columns, rows = batch.columns[1:], np.array([len(codes)])
    if shards > 1:
        # NumPy sorts by radix where numbers have no more than 16 bits.
        shard_of_row = shard_of_code.astype(np.min_scalar_type(shards)).take(codes)
        order = np.argsort(shard_of_row, kind="stable")
        codes = codes.take(order)
        columns = [column.take(pa.array(order)) for column in columns]
        rows = np.bincount(shard_of_row, minlength=shards)
    ends = np.cumsum(rows)
    for shard in np.flatnonzero(rows).tolist():
        low, high = id_edges[shard : shard + 2].tolist()
        start, end = int(ends[shard] - rows[shard]), int(ends[shard])
        ids = pa.DictionaryArray.from_arrays(
            pa.array(codes[start:end] - np.int32(low)), dictionary[low:high]
        )
        piece = [ids, *(column[start:end] for column in columns)]
        yield shard, pa.RecordBatch.from_arrays(piece, schema=batch.schema)


def _ids_by_shard(
    encoded: pa.DictionaryArray, shards: int
) -> tuple[pa.Array, NDArray[np.int32], NDArray[np.int64]]:
    """The ids that rows use, by shard; the codes of the rows in them; the shard of each id."""
    codes, size = encoded.indices.to_numpy(), len(encoded.dictionary)
    used = np.flatnonzero(np.bincount(codes, minlength=size))
    shard_of_code = shards_of(encoded.dictionary.take(pa.array(used)), shards)
    order = np.argsort(shard_of_code, kind="stable")
    shard_of_code, used = shard_of_code[order], used[order]
    new_code = np.zeros(size, np.int32)
    new_code[used] = np.arange(len(used), dtype=np.int32)
    return encoded.dictionary.take(pa.array(used)), new_code.take(codes), shard_of_code
