"""The messages of a shard: gathered, ordered, without duplicates. Pure; no Beam."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.batches import BY_TIME, MESSAGES, Counts, add_count
from transforms.folding.turns import Int64s, Messages
from transforms.instants import end_of_second
from transforms.keying.narrowing import concat_message_ids, instants_of, sequences_of
from transforms.plumbing import texts
from transforms.plumbing.dictionaries import numbers_of

Indices = NDArray[np.intp]

# In place of the number of a session: it gets no records, or the input has no such session.
_NOT_REPORTED, _UNKNOWN = np.int32(-1), np.int32(-2)


class Gathered(NamedTuple):
    """The messages of a shard in the order of their batches, in columns of one length.

    Attributes:
      session: the number of the session among those that get records; negative for any other.
      sent_at_us: microseconds.
      sender: `END_USER`, `AGENT` or `BOT`.
      sequence: `NO_SEQUENCE` for a message without one.
      message_id: texts, or UUIDs as `texts.pack_uuids` makes them.
      by_time: whether the session was found by time.
    """

    session: NDArray[np.int32]
    sent_at_us: Int64s
    sender: NDArray[np.int8]
    sequence: Int64s
    message_id: pa.Array
    by_time: NDArray[np.bool_]


def gather_messages(
    batches: Sequence[pa.RecordBatch], ids: pa.Array, known: pa.Array, counts: Counts
) -> Gathered:
    """Puts all messages of a shard into columns.

    Args:
      batches: of layout `MESSAGES`, whole or narrowed, in any order.
      ids: the sessions that get records; a session's place here is its number.
      known: all sessions of the shard.
      counts: the messages of sessions that get no records, and of unknown ones, are added.
    """
    batches = [batch for batch in batches if len(batch)]
    # A log is nearly in order of time: with its batches in order, the sort to come has less to do.
    batches.sort(key=lambda batch: instants_of(batch[:1])[0])
    if not batches:
        batches = [pa.RecordBatch.from_pylist([], MESSAGES)]
    session = number_sessions([batch.column("session_id") for batch in batches], ids, known)
    add_count(counts, "messages_of_unknown_session", np.count_nonzero(session == _UNKNOWN))
    add_count(
        counts, "messages_of_session_not_reported", np.count_nonzero(session == _NOT_REPORTED)
    )
    return Gathered(
        session=session,
        sent_at_us=np.concatenate([instants_of(batch) for batch in batches]),
        sender=np.concatenate([batch.column("sender").to_numpy() for batch in batches]),
        sequence=np.concatenate([sequences_of(batch) for batch in batches]),
        message_id=concat_message_ids(batches),
        by_time=np.concatenate([_by_time(batch) for batch in batches]),
    )


def _by_time(batch: pa.RecordBatch) -> NDArray[np.bool_]:
    place = batch.schema.get_field_index(BY_TIME.name)
    if place >= 0:
        return batch.column(place).to_numpy(zero_copy_only=False)
    return np.broadcast_to(np.False_, len(batch))


def number_sessions(
    columns: Sequence[pa.DictionaryArray], ids: pa.Array, known: pa.Array
) -> NDArray[np.int32]:
    """Maps the session ids of messages to the numbers of the sessions.

    Each id is looked up once for each dictionary that holds it, not once for each message.

    Args:
      columns: the session ids, a column per batch.
      ids: the sessions that get records, each once; a session's place here is its number.
      known: all sessions of the shard.

    Returns:
      A number per message, in the order of the columns; negative if the session gets no records.
    """

    def number(texts: pa.Array) -> pa.Array:
        numbers = pc.index_in(texts, ids)
        if not numbers.null_count:
            return numbers
        unknown = pc.invert(pc.is_in(texts, known))
        return pc.if_else(unknown, _UNKNOWN, numbers).fill_null(_NOT_REPORTED)

    return numbers_of(columns, number)


def order_messages(messages: Gathered) -> tuple[Indices, NDArray[np.int32], Int64s]:
    """Orders the messages of the sessions that get records.

    By session, then `sent_at`, `sequence`, `message_id` (shorter first, then by bytes). Messages that
    are equal in all of these are ordered by sender, then by whether they name their session, so that
    arrival never decides.

        row                   0    1    2    3    4
        session               1    0    1   -1    1      -1: gets no records
        sent_at_us           50   70   50   10   20
        message_id           "b"  "a"  "a"  "a"  "c"

        by time               3, 4, 0, 2, 1
        by session            1 | 4, 0, 2                row 3 is cut off
        ties by message_id    1 | 4, 2, 0                rows 0 and 2 have one session and instant

    Returns:
      The rows in order, with the session and `sent_at_us` of each.
    """
    rows = _by_session_and_time(messages)
    session, sent_at_us = messages.session.take(rows), messages.sent_at_us.take(rows)
    ties_with_previous = np.zeros(len(rows) + 1, bool)
    ties_with_previous[1:-1] = (session[1:] == session[:-1]) & (sent_at_us[1:] == sent_at_us[:-1])
    tied = np.flatnonzero(ties_with_previous[:-1] | ties_with_previous[1:])
    if len(tied):
        tie = np.cumsum(~ties_with_previous[:-1])[tied]
        rows[tied] = _order_ties(messages, rows[tied], tie)
    return rows, session, sent_at_us


def _by_session_and_time(messages: Gathered) -> Indices:
    """The rows of the sessions that get records, by session and `sent_at`; the rest in any order."""
    session = messages.session
    # Two stable sorts, because each finds its input nearly in order or small. Measured with ten million
    # messages: 8 ms a shard, where `np.lexsort` of both keys takes 16 ms, 3 to 4 % of the job.
    #
    # A log is nearly in order of time: a stable sort by time makes use of that.
    by_time = np.argsort(messages.sent_at_us, kind="stable")
    # The second sort keeps that order within a session. NumPy does it by radix if the numbers of the
    # sessions have no more than 16 bits. The sessions without records come first.
    number = session - session.min(initial=0)
    number = number.astype(np.min_scalar_type(int(number.max(initial=0)))).take(by_time)
    by_session = np.argsort(number, kind="stable")
    return by_time.take(by_session)[np.count_nonzero(session < 0) :]


def _order_ties(messages: Gathered, rows: Indices, tie: NDArray[np.intp]) -> Indices:
    """Orders the rows that share session and instant with another one.

    Args:
      messages: all messages.
      rows: those that are tied.
      tie: shape (rows,), ascending: rows with one number are tied with each other.
    """
    message_id = messages.message_id.take(pa.array(rows))
    keys = pa.table(
        {
            "tie": tie,
            "sequence": messages.sequence[rows],
            "length": _lengths(message_id),
            "message_id": message_id.cast(pa.binary()),
            "sender": messages.sender[rows],
            "by_time": messages.by_time[rows],
        }
    )
    order = pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names])
    return rows[order.to_numpy()]


def _lengths(message_id: pa.Array) -> pa.Array:
    if pa.types.is_string(message_id.type):
        return pc.utf8_length(message_id)
    return pa.array(np.zeros(len(message_id), np.int8))


def find_duplicates(
    message_id: pa.Array, rows: Indices, session: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Finds the messages that have the id of an earlier message of their session.

    Hashes pick out the few rows to look at; only their ids are compared:

        session              0    0    0    1    1
        message_id           "a"  "b"  "a"  "a"  "c"
        session, hash        0,7  0,3  0,7  1,7  1,3     0,7 occurs twice
        ids compared         "a"       "a"               equal: the second one is a duplicate

    Args:
      message_id: shape (all messages,), in the order of their batches.
      rows: shape (messages,), which of them, in order.
      session: shape (messages,), the session of each, ascending.

    Returns:
      Shape (messages,).
    """
    hashed = (texts.hashes(message_id) >> np.uint64(32)).take(rows)
    hashed |= session.astype(np.uint64) << np.uint64(32)
    # Sessions ascend, so this is nearly in order: the stable sort makes use of that.
    ascending = np.sort(hashed, kind="stable")
    repeated = ascending[1:][ascending[1:] == ascending[:-1]]
    duplicates = np.zeros(len(rows), bool)
    if len(repeated):
        candidates = np.flatnonzero(np.isin(hashed, repeated))
        ids = message_id.take(pa.array(rows[candidates]))
        code = ids.dictionary_encode().indices.to_numpy()
        # `np.unique` gives the first of each session and id.
        _, first = np.unique(session[candidates].astype(np.int64) << 32 | code, return_index=True)
        duplicates[candidates] = True
        duplicates[candidates[first]] = False
    return duplicates


def is_late(messages: Messages, sessions: pa.RecordBatch) -> NDArray[np.bool_]:
    """Finds the messages that are later than the end of their session.

    An end without a fraction has whole seconds: the session lasts to the end of that second.

    Args:
      messages: in any order.
      sessions: of layout `batches.SESSIONS`, each with an end; the numbers of `messages.session` are
        places here.
    """
    limit = end_of_second(sessions.column("ended_at_us").to_numpy())
    return messages.sent_at_us > limit.take(messages.session)
