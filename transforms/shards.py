"""One shard, from batches of messages and sessions to metrics. Pure; no Beam.

Selects the sessions, orders and deduplicates their messages, folds them.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, SupportsInt

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms import fold, metrics, summaries, texts
from transforms.batches import MESSAGES, NO_SEQUENCE, SESSIONS, Counts
from transforms.policy import Policy

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


class Shard(NamedTuple):
    """What there is to fold in a shard.

    Attributes:
      sessions: those that get records, schema `batches.SESSIONS`, sorted by id (by code point), each
        id once.
      messages: theirs, in order, each once.
      duplicates: shape (sessions,), messages that were dropped as such.
    """

    sessions: pa.RecordBatch
    messages: fold.Messages
    duplicates: fold.Int64s


def fold_shard(
    batches: Sequence[pa.RecordBatch],
    policy: Policy,
    types: tuple[str, ...] = metrics.DEFAULT_METRICS,
    summarize: bool = False,
) -> tuple[pa.RecordBatch, Counts]:
    """Computes the metrics of the sessions of a shard.

    Args:
      batches: as for `order_shard`.
      policy: the rules.
      types: the metrics.
      summarize: whether to make summaries as well.

    Returns:
      A row per session, sorted by session id, schema `metrics.schema_of`, with the columns of
      `summaries.COLUMNS` besides if summaries are asked for; and counts that tell each message's and
      each session's fate.
    """
    counts: Counts = {}
    sessions, messages, duplicates = order_shard(batches, policy, counts)
    late_of_session = np.zeros(len(sessions), np.int64)
    if summarize or policy.late_messages == "exclude":
        late = is_late(messages, sessions)
        late_of_session = np.bincount(messages.session[late], minlength=len(sessions))
        if policy.late_messages == "exclude":
            _count(counts, "messages_late", np.count_nonzero(late))
            messages = messages.only(~late)
    _count(counts, "messages_counted", len(messages.session))
    folded = fold.fold(messages, len(sessions), policy)
    computed, capped = metrics.values_of(folded, sessions, policy, types)
    _count(counts, "values_capped", capped)
    _count(counts, "sessions_reported", len(sessions))
    if summarize:
        summary = summaries.summarize(folded, sessions, late_of_session, duplicates, policy)
        computed = pa.RecordBatch.from_arrays(
            [*computed.columns, *summary.columns],
            schema=pa.schema([*computed.schema, *summary.schema]),
        )
    return computed, counts


def order_shard(batches: Sequence[pa.RecordBatch], policy: Policy, counts: Counts) -> Shard:
    """Selects the sessions of a shard, orders and deduplicates their messages.

    Args:
      batches: of schema `SESSIONS`, or of `MESSAGES` as it is or compact; all that there are of the
        shard, in any order.
      policy: which sessions; nothing else of it is used.
      counts: the fate of what is left out is added to it.
    """
    of_messages = [batch for batch in batches if "message_id" in batch.schema.names]
    sessions = _concat([batch for batch in batches if "message_id" not in batch.schema.names])
    chosen = select_sessions(sessions, policy, counts)
    ids = chosen.column("session_id").cast(pa.string())
    known = sessions.column("session_id").dictionary
    gathered = _gather(of_messages, ids, known, counts)
    rows, session, sent_at_us = order_messages(gathered)
    repeated = find_duplicates(gathered.message_id, rows, session)
    _count(counts, "messages_duplicate", np.count_nonzero(repeated))
    messages = fold.Messages(session, sent_at_us, gathered.sender.take(rows)).only(~repeated)
    duplicates = np.bincount(session[repeated], minlength=len(ids))
    return Shard(chosen, messages, duplicates)


def is_late(messages: fold.Messages, sessions: pa.RecordBatch) -> NDArray[np.bool_]:
    """Which messages are later than the end of their session.

    An end without a fraction has whole seconds: it is good to the end of its second.
    """
    ended_at_us = sessions.column("ended_at_us").to_numpy()
    whole = ended_at_us % metrics.SECOND_US == 0
    limit = np.where(whole, ended_at_us + metrics.SECOND_US - 1, ended_at_us)
    return messages.sent_at_us > limit.take(messages.session)


def select_sessions(sessions: pa.RecordBatch, policy: Policy, counts: Counts) -> pa.RecordBatch:
    """The sessions that get records, sorted by id: newest snapshot, closed, eligible, in range.

    The newest snapshot has the newest `modified_at`, else the latest `ended_at`; the rest of the
    columns break a tie, so that arrival never does. Adds the fate of the others to `counts`.
    """
    table = pa.Table.from_batches([sessions])
    table = table.set_column(0, "session_id", table.column(0).cast(pa.string()))
    keys = ["session_id", "modified_at_us", "ended_at_us"]
    keys += [name for name in SESSIONS.names if name not in keys]
    order = pc.sort_indices(
        pa.table([_nulls_least(table[key]) for key in keys], keys),
        [(key, "ascending") for key in keys],
    )
    table = table.take(order).combine_chunks()
    ids = table.column("session_id")
    kept = np.ones(len(table), bool)  # the last of each id
    if len(table) > 1:
        kept[:-1] = pc.not_equal(ids[1:], ids[:-1]).to_numpy()
    _count(counts, "sessions_superseded", np.count_nonzero(~kept))
    for fate, condition in conditions(policy):
        met = condition(table).fill_null(False).to_numpy()
        _count(counts, f"sessions_{fate}", np.count_nonzero(kept & ~met))
        kept &= met
    return _one_batch(table.filter(pa.array(kept)))


Condition = Callable[[pa.Table], pa.ChunkedArray]


def conditions(policy: Policy) -> list[tuple[str, Condition]]:
    """What sessions must meet to get records, one after the other, and the fate of those that do not."""

    def is_closed(table: pa.Table) -> pa.ChunkedArray:
        return pc.and_(pc.equal(table["status"], "Ended"), pc.is_valid(table["ended_at_us"]))

    def is_enhanced(table: pa.Table) -> pa.ChunkedArray:
        return pc.equal(table["platform_type"], "Enhanced")

    found: list[tuple[str, Condition]] = [("not_closed", is_closed), ("not_enhanced", is_enhanced)]
    for column, start, end in (
        ("ended_at_us", policy.closed_from_us, policy.closed_until_us),
        ("created_at_us", policy.created_from_us, policy.created_until_us),
    ):
        for compare, bound in ((pc.greater_equal, start), (pc.less, end)):
            if bound is not None:
                found.append(("out_of_range", functools.partial(_compared, compare, column, bound)))
    return found


def _compared(compare: Any, column: str, bound: int, table: pa.Table) -> pa.ChunkedArray:
    return compare(table[column], bound)


def order_messages(messages: Gathered) -> tuple[Indices, NDArray[np.int32], fold.Int64s]:
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


def _gather(
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
    _count(counts, "messages_of_unknown_session", np.count_nonzero(session == _UNKNOWN))
    _count(counts, "messages_of_session_not_reported", np.count_nonzero(session == _NOT_REPORTED))
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


def _nulls_least(column: pa.ChunkedArray) -> pa.ChunkedArray:
    text = pa.types.is_string(column.type)
    return column.fill_null("" if text else np.iinfo(np.int64).min)


def _concat(sessions: list[pa.RecordBatch]) -> pa.RecordBatch:
    return _one_batch(pa.Table.from_batches(sessions, SESSIONS).unify_dictionaries())


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    columns = [
        column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        for column in table.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=table.schema)


def _count(counts: Counts, name: str, number: SupportsInt) -> None:
    if int(number):
        counts[name] = counts.get(name, 0) + int(number)
