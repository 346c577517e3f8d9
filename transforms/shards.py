"""One shard, from batches of messages and sessions to rows of metrics. Pure; no Beam.

Selects the sessions, orders and deduplicates their messages, folds them.
"""

from collections.abc import Sequence
from typing import SupportsInt

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas import metric_types
from transforms import texts
from transforms.batches import MESSAGES, SESSIONS, Counts
from transforms.fold import MAX_VALUE, SECOND_US, fold
from transforms.policy import Policy

METRICS = pa.schema(
    [
        pa.field("session_id", pa.string(), nullable=False),
        pa.field("ended_at_us", pa.int64(), nullable=False),
        *(pa.field(name, pa.int32(), nullable=False) for name in metric_types()),
    ]
)
"""One row per session: the six values side by side."""

Indices = NDArray[np.intp]


def fold_shard(batches: Sequence[pa.RecordBatch], policy: Policy) -> tuple[pa.RecordBatch, Counts]:
    """Computes the metrics of the sessions of a shard.

    Args:
      batches: of schema `MESSAGES` or `SESSIONS`, all that there are of the shard, in any order.
      policy: the rules.

    Returns:
      A batch of schema `METRICS`, sorted by session id (by code point), each id once; and counts that
      tell each message's and each session's fate.
    """
    counts: Counts = {}
    sessions = _concat([b for b in batches if b.schema.names == SESSIONS.names], SESSIONS)
    messages = _concat([b for b in batches if b.schema.names == MESSAGES.names], MESSAGES)
    chosen = select_sessions(sessions, policy, counts)
    ids = chosen.column("session_id").cast(pa.string())
    ended_at_us = chosen.column("ended_at_us").to_numpy()

    # Message's session id -> row of the chosen sessions; -1: known, not chosen; -2: not known.
    of_message = messages.column("session_id")
    position = pc.index_in(of_message.dictionary, ids).fill_null(-1).to_numpy()
    known = pc.is_in(of_message.dictionary, sessions.column("session_id").dictionary)
    position = np.where((position < 0) & ~known.to_numpy(zero_copy_only=False), -2, position)
    session = position.astype(np.int32)[of_message.indices.to_numpy()]
    _count(counts, "messages_of_unknown_session", np.count_nonzero(session == -2))
    _count(counts, "messages_of_session_not_reported", np.count_nonzero(session == -1))

    rows = np.flatnonzero(session >= 0)
    rows = order_messages(messages, session, rows)
    distinct = drop_duplicates(messages, session, rows)
    _count(counts, "messages_duplicate", len(rows) - len(distinct))
    rows = distinct
    sent_at_us = messages.column("sent_at_us").to_numpy()
    if policy.late_messages == "exclude":
        # An end without a fraction has whole seconds: it is good to the end of its second.
        whole = ended_at_us % SECOND_US == 0
        limit = np.where(whole, ended_at_us + SECOND_US - 1, ended_at_us)
        in_time = rows[sent_at_us[rows] <= limit[session[rows]]]
        _count(counts, "messages_late", len(rows) - len(in_time))
        rows = in_time
    _count(counts, "messages_counted", len(rows))

    metrics = fold(
        session[rows],
        sent_at_us[rows],
        messages.column("sender").to_numpy()[rows],
        len(ids),
        policy,
    )
    _count(counts, "values_capped", sum(int(np.sum(v > MAX_VALUE)) for v in metrics))
    _count(counts, "sessions_reported", len(ids))
    return (
        pa.RecordBatch.from_arrays(
            [
                ids,
                chosen.column("ended_at_us"),
                *(pa.array(np.minimum(v, MAX_VALUE).astype(np.int32)) for v in metrics),
            ],
            schema=METRICS,
        ),
        counts,
    )


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
    last = np.ones(len(table), bool)
    if len(table) > 1:
        last[:-1] = pc.not_equal(ids[1:], ids[:-1]).to_numpy()
    _count(counts, "sessions_superseded", len(table) - np.count_nonzero(last))
    table = table.filter(pa.array(last))

    def keep(fate: str, condition: pa.ChunkedArray) -> None:
        nonlocal table
        kept = table.filter(condition)
        _count(counts, f"sessions_{fate}", len(table) - len(kept))
        table = kept

    keep(
        "not_closed",
        pc.and_(pc.equal(table["status"], "Ended"), pc.is_valid(table["ended_at_us"])),
    )
    keep("not_enhanced", pc.equal(table["platform_type"], "Enhanced"))
    for column, start, end in (
        ("ended_at_us", policy.closed_from_us, policy.closed_until_us),
        ("created_at_us", policy.created_from_us, policy.created_until_us),
    ):
        if start is not None:
            keep("out_of_range", pc.greater_equal(table[column], start))
        if end is not None:
            keep("out_of_range", pc.less(table[column], end))
    return _one_batch(table)


def order_messages(messages: pa.RecordBatch, session: NDArray[np.int32], rows: Indices) -> Indices:
    """Orders rows by session, then `sent_at`, `sequence`, `message_id` (shorter first, then by bytes).

    Messages alike in all of these are ordered by sender, so that arrival never decides.
    """
    sent_at_us = messages.column("sent_at_us").to_numpy()
    rows = rows[np.lexsort((sent_at_us[rows], session[rows]))]
    tied = np.zeros(len(rows) + 1, bool)  # with the row before
    tied[1:-1] = (session[rows[1:]] == session[rows[:-1]]) & (
        sent_at_us[rows[1:]] == sent_at_us[rows[:-1]]
    )
    among = np.flatnonzero(tied[:-1] | tied[1:])
    if len(among):
        of_tie = rows[among]
        message_id = messages.column("message_id").take(pa.array(of_tie))
        keys = pa.table(
            {
                "tie": np.cumsum(~tied[:-1])[among],
                "sequence": messages.column("sequence").to_numpy()[of_tie],
                "length": pc.utf8_length(message_id),
                "message_id": message_id.cast(pa.binary()),
                "sender": messages.column("sender").to_numpy()[of_tie],
            }
        )
        order = pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names])
        rows = rows.copy()
        rows[among] = of_tie[order.to_numpy()]
    return rows


def drop_duplicates(messages: pa.RecordBatch, session: NDArray[np.int32], rows: Indices) -> Indices:
    """The first of the ordered rows for each session and message id."""
    ids = messages.column("message_id")
    hashed = texts.hashes(ids, session)[rows]
    ascending = np.sort(hashed)
    alike = ascending[1:][ascending[1:] == ascending[:-1]]
    if not len(alike):
        return rows
    repeated = np.flatnonzero(np.isin(hashed, alike))  # or nearly so: now for the ids themselves
    code = ids.take(pa.array(rows[repeated])).dictionary_encode().indices.to_numpy()
    key = session[rows[repeated]].astype(np.int64) << 32 | code
    _, first = np.unique(key, return_index=True)
    drop = np.zeros(len(rows), bool)
    drop[repeated] = True
    drop[repeated[first]] = False
    return rows[~drop]


def _nulls_least(column: pa.ChunkedArray) -> pa.ChunkedArray:
    text = pa.types.is_string(column.type)
    return column.fill_null("" if text else np.iinfo(np.int64).min)


def _concat(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    return _one_batch(pa.Table.from_batches(batches, schema).unify_dictionaries())


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    columns = [
        column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        for column in table.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=table.schema)


def _count(counts: Counts, name: str, number: SupportsInt) -> None:
    if int(number):
        counts[name] = counts.get(name, 0) + int(number)
