"""The messages of a shard: gathered, ordered, without duplicates. Pure; no Beam."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.batches import MESSAGES, NO_SEQUENCE, Counts, add_count
from transforms.folding.turns import Int64s, Messages
from transforms.instants import SECOND_US
from transforms.plumbing import texts

Indices = NDArray[np.intp]

_NOT_REPORTED, _UNKNOWN = np.int32(-1), np.int32(-2)  # in place of the number of a session


class Gathered(NamedTuple):
    """The messages of a shard as they came, in columns of one length.

    `session` is the number of the session among those that get records; less than 0, it gets none.
    `message_id` holds texts, or UUIDs as `texts.pack_uuids` makes them.
    """

    session: NDArray[np.int32]
    sent_at_us: NDArray[np.int64]
    sender: NDArray[np.int8]
    sequence: NDArray[np.int64]
    message_id: pa.Array


def is_late(messages: Messages, sessions: pa.RecordBatch) -> NDArray[np.bool_]:
    """Which messages are later than the end of their session.

    An end without a fraction has whole seconds: it is good to the end of its second.
    """
    ended_at_us = sessions.column("ended_at_us").to_numpy()
    whole = ended_at_us % SECOND_US == 0
    limit = np.where(whole, ended_at_us + SECOND_US - 1, ended_at_us)
    return messages.sent_at_us > limit.take(messages.session)


def order_messages(messages: Gathered) -> tuple[Indices, NDArray[np.int32], Int64s]:
    """Orders the messages of the sessions that get records.

    By session, then `sent_at`, `sequence`, `message_id` (shorter first, then by bytes). Messages alike in
    all of these are ordered by sender, so that arrival never decides.

    Returns:
      Their rows, sessions and `sent_at_us`, in order.
    """
    session, sent_at_us = messages.session, messages.sent_at_us
    # A log is nearly in order of time, which the first sort makes use of. The second is by radix where
    # the numbers of the sessions have no more than 16 bits. Those without records come first.
    rows = np.argsort(sent_at_us, kind="stable")
    number = session - session.min(initial=0)
    number = number.astype(np.min_scalar_type(int(number.max(initial=0)))).take(rows)
    rows = rows.take(np.argsort(number, kind="stable"))[np.count_nonzero(session < 0) :]
    session, sent_at_us = session.take(rows), sent_at_us.take(rows)
    tied = np.zeros(len(rows) + 1, bool)  # with the row before
    tied[1:-1] = (session[1:] == session[:-1]) & (sent_at_us[1:] == sent_at_us[:-1])
    among = np.flatnonzero(tied[:-1] | tied[1:])
    if len(among):
        of_tie = rows[among]
        message_id = messages.message_id.take(pa.array(of_tie))
        keys = pa.table(
            {
                "tie": np.cumsum(~tied[:-1])[among],
                "sequence": messages.sequence[of_tie],
                "length": _lengths(message_id),
                "message_id": message_id.cast(pa.binary()),
                "sender": messages.sender[of_tie],
            }
        )
        order = pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names])
        rows[among] = of_tie[order.to_numpy()]
    return rows, session, sent_at_us


def find_duplicates(
    message_id: pa.Array, rows: Indices, session: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Which of the ordered messages have the id of an earlier one of their session.

    Args:
      message_id: of the messages as they came.
      rows: shape (messages,), the places there of the messages in order.
      session: shape (messages,), theirs, in order.
    """
    # Nearly in order, as sessions ascend: the stable sort makes use of it.
    hashed = (texts.hashes(message_id) >> np.uint64(32)).take(rows)
    hashed |= session.astype(np.uint64) << np.uint64(32)
    ascending = np.sort(hashed, kind="stable")
    alike = ascending[1:][ascending[1:] == ascending[:-1]]
    repeats = np.zeros(len(rows), bool)
    if len(alike):
        among = np.flatnonzero(np.isin(hashed, alike))  # or not: now for the ids themselves
        code = message_id.take(pa.array(rows[among])).dictionary_encode().indices.to_numpy()
        _, first = np.unique(session[among].astype(np.int64) << 32 | code, return_index=True)
        repeats[among] = True
        repeats[among[first]] = False
    return repeats


def gather_messages(
    batches: Sequence[pa.RecordBatch], ids: pa.Array, known: pa.Array, counts: Counts
) -> Gathered:
    """All messages; counts those of sessions that are not among `ids`, or not even `known`."""
    batches = [batch for batch in batches if len(batch)]
    batches.sort(key=lambda batch: batch.column("sent_at_us")[0].as_py())
    if not batches:
        batches = [pa.RecordBatch.from_pylist([], MESSAGES)]
    columns = [batch.column("session_id") for batch in batches]
    dictionary = pa.concat_arrays([column.dictionary for column in columns])
    position = pc.index_in(dictionary, ids)
    if position.null_count:
        unknown = pc.invert(pc.is_in(dictionary, known))
        position = pc.if_else(unknown, _UNKNOWN, position).fill_null(_NOT_REPORTED)
    positions = np.split(
        position.to_numpy(), np.cumsum([len(column.dictionary) for column in columns[:-1]])
    )
    session = np.concatenate(
        [p.take(c.indices.to_numpy()) for p, c in zip(positions, columns, strict=True)]
    )
    sequence = np.concatenate([_sequence(batch) for batch in batches])
    message_ids = [batch.column("message_id") for batch in batches]
    if len({array.type for array in message_ids}) > 1:
        message_ids = [
            array if pa.types.is_string(array.type) else texts.unpack_uuids(array)
            for array in message_ids
        ]
    add_count(counts, "messages_of_unknown_session", np.count_nonzero(session == _UNKNOWN))
    add_count(
        counts, "messages_of_session_not_reported", np.count_nonzero(session == _NOT_REPORTED)
    )
    return Gathered(
        session,
        np.concatenate([batch.column("sent_at_us").to_numpy() for batch in batches]),
        np.concatenate([batch.column("sender").to_numpy() for batch in batches]),
        sequence,
        pa.concat_arrays(message_ids),
    )


def _sequence(batch: pa.RecordBatch) -> NDArray[np.int64]:
    if "sequence" in batch.schema.names:
        return batch.column("sequence").to_numpy()
    return np.broadcast_to(np.int64(NO_SEQUENCE), len(batch))


def _lengths(message_id: pa.Array) -> pa.Array:
    if pa.types.is_string(message_id.type):
        return pc.utf8_length(message_id)
    return pa.array(np.zeros(len(message_id), np.int8))
