"""What travels of messages and sessions on their way to the fold, and how it is read there. No Beam."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.batches import NO_SEQUENCE, SESSIONS, kind_of
from transforms.plumbing import texts

# Of sessions, the columns that have few values.
_WORDS = ("status", "channel_type", "platform_type")

# In place of `sent_at_us`; the earliest instant, in microseconds, is beside it.
_AFTER_MS, _EARLIEST_US = "sent_after_ms", b"earliest_us"


def narrow(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Drops the bytes of messages and sessions that the fold can do without: a shuffle copies each byte.

    Of messages, ids that are all UUIDs are packed to 16 bytes, a sequence that no message has is left
    out, and instants that are whole milliseconds apart are told by how many they are after the earliest:

        session_id   message_id                              sent_at_us     sequence      sender
        dictionary   36 characters and an offset of 4        8              8             1 byte
        dictionary   16                                      4              -             1 byte

    Of sessions, columns that are null in every row are left out, and words are codes of a dictionary.
    `concat_message_ids`, `instants_of`, `sequences_of` and `concat_sessions` give what was there.

    Where batches travel as streams, the column of the sequence would be 30 % more bytes.
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
