"""Which shard a session belongs to. Pure functions over Arrow batches; no Beam."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.batches import NO_SEQUENCE, SESSIONS, kind_of
from transforms.plumbing import texts

SHARD_BYTES = 96 << 20
"""How large a shard is to be, in bytes of canonical columns: up to a million messages.

Each batch is cut into as many pieces as there are shards. With shards of a third of that a hundred
million messages take 57 s in place of 38.
"""

# Of sessions, the columns that have few values.
_WORDS = ("status", "channel_type", "platform_type")

# In place of `sent_at_us`; the earliest instant, in microseconds, is beside it.
_AFTER_MS, _EARLIEST_US = "sent_after_ms", b"earliest_us"


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


def narrow(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Drops the bytes of messages and sessions that the fold can do without: a shuffle copies each byte.

    Of messages, ids that are all UUIDs are packed to 16 bytes, a sequence that no message has is left
    out, and instants that are whole milliseconds apart are told by how many they are after the earliest:

        session_id   message_id                              sent_at_us     sequence      sender
        dictionary   36 characters and an offset of 4        8              8             1 byte
        dictionary   16                                      4              -             1 byte

    Of sessions, columns that are null in every row are left out, and words are codes of a dictionary.
    `concat_message_ids`, `instants_of`, `sequences_of` and `concat_sessions` give what was there.

    Where batches travel as streams, the column of the sequence would be 27 % more bytes.
    `texts.pack_uuids` says what packing the ids gains.

    Args:
      batch: messages (layout `MESSAGES` or `UNASSIGNED`), sessions (layout `SESSIONS`), or a batch of
        another kind, which is given back as it is.
    """
    kind = kind_of(batch)
    if kind == "sessions":
        return _narrow_sessions(batch)
    if kind not in ("messages", "unassigned"):
        return batch
    if (
        "sequence" in batch.schema.names
        and pc.all(pc.equal(batch.column("sequence"), NO_SEQUENCE)).as_py()
    ):
        batch = batch.drop_columns(["sequence"])
    message_id = batch.column("message_id")
    packed = texts.pack_uuids(message_id) if pa.types.is_string(message_id.type) else None
    if packed is not None:
        field = pa.field("message_id", packed.type, nullable=False)
        batch = batch.set_column(batch.schema.get_field_index("message_id"), field, packed)
    return _count_from_earliest(batch)


def _count_from_earliest(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The messages with instants as `_AFTER_MS`, if they can be told so."""
    place = batch.schema.get_field_index("sent_at_us")
    if place < 0 or not len(batch):
        return batch
    sent_at_us = batch.column(place).to_numpy()
    earliest = sent_at_us.min()
    after_us = sent_at_us - earliest
    after_ms = after_us // 1000
    if after_ms.max() > np.iinfo(np.uint32).max or (after_ms * 1000 != after_us).any():
        return batch
    field = pa.field(_AFTER_MS, pa.uint32(), nullable=False, metadata={_EARLIEST_US: str(earliest)})
    return batch.set_column(place, field, pa.array(after_ms.astype(np.uint32)))


def _narrow_sessions(batch: pa.RecordBatch) -> pa.RecordBatch:
    fields, columns = [], []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if field.nullable and column.null_count == len(column):
            continue
        if field.name in _WORDS and pa.types.is_string(field.type):
            column = column.dictionary_encode()
        fields.append(field.with_type(column.type))
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def instants_of(batch: pa.RecordBatch) -> NDArray[np.int64]:
    """When each message of a batch was sent, in microseconds. The batch may be narrowed."""
    place = batch.schema.get_field_index(_AFTER_MS)
    if place < 0:
        return batch.column("sent_at_us").to_numpy()
    earliest = int(batch.schema.field(place).metadata[_EARLIEST_US])
    return earliest + 1000 * batch.column(place).to_numpy().astype(np.int64)


def sequences_of(batch: pa.RecordBatch) -> NDArray[np.int64]:
    """The sequence of each message of a batch that may be narrowed."""
    place = batch.schema.get_field_index("sequence")
    if place >= 0:
        return batch.column(place).to_numpy()
    return np.broadcast_to(np.int64(NO_SEQUENCE), len(batch))


def concat_message_ids(batches: Sequence[pa.RecordBatch]) -> pa.Array:
    """The message ids of batches that may be narrowed: packed if they are in every one, else as texts."""
    columns = [batch.column("message_id") for batch in batches]
    if len({column.type for column in columns}) > 1:
        columns = [
            column if pa.types.is_string(column.type) else texts.unpack_uuids(column)
            for column in columns
        ]
    return pa.concat_arrays(columns)


def concat_sessions(batches: Iterable[pa.RecordBatch], schema: pa.Schema = SESSIONS) -> pa.Table:
    """The sessions of batches that may be narrowed, with all columns of their layout."""

    def column(batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
        place = batch.schema.get_field_index(field.name)
        if place < 0:
            return pa.nulls(len(batch), field.type)
        found = batch.column(place)
        return found if found.type == field.type else found.cast(field.type)

    return pa.Table.from_batches(
        [
            pa.RecordBatch.from_arrays([column(batch, field) for field in schema], schema=schema)
            for batch in batches
        ],
        schema,
    )


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
