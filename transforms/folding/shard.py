"""The whole of one shard, from batches of messages and sessions to metrics. Pure; no Beam."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from schemas import DEFAULT_METRICS
from transforms.batches import Counts, add_count, kind_of
from transforms.folding import summaries
from transforms.folding.checks import WITHOUT_MESSAGES, count_agreement, count_outside
from transforms.folding.messages import find_duplicates, gather_messages, is_late, order_messages
from transforms.folding.metrics import values_of
from transforms.folding.sessions import select_sessions
from transforms.folding.turns import Int64s, Messages, fold
from transforms.keying.narrowing import concat_sessions
from transforms.plumbing.dictionaries import one_batch
from transforms.policy import Policy


class Shard(NamedTuple):
    """The sessions of a shard and their messages, ready to be folded.

    Attributes:
      sessions: those that get records, with the columns of `batches.SESSIONS`, sorted by id (by code
        point), each id once.
      messages: the messages of these sessions, in order, each once.
      duplicates: shape (sessions,), how many messages were dropped as duplicates.
      by_time: shape (sessions,), how many messages have their session by time.
    """

    sessions: pa.RecordBatch
    messages: Messages
    duplicates: Int64s
    by_time: Int64s


def fold_shard(
    batches: Sequence[pa.RecordBatch],
    policy: Policy,
    types: tuple[str, ...] = DEFAULT_METRICS,
    summarize: bool = False,
) -> tuple[pa.RecordBatch, Counts]:
    """Computes the metrics of the sessions of a shard.

    Args:
      batches: as for `order_shard`.
      policy: the rules.
      types: the metrics.
      summarize: whether to make summaries as well.

    Returns:
      A row per session, sorted by session id, of layout `metrics.schema_of`, followed by the columns of
      `summaries.COLUMNS` if `summarize`; and the counts, in which each message and each session has
      one fate.
    """
    counts: Counts = {}
    sessions, messages, duplicates, by_time = order_shard(batches, policy, counts)
    late_of_session = np.zeros(len(sessions), np.int64)
    if summarize or policy.late_messages == "exclude":
        late = is_late(messages, sessions)
        late_of_session = np.bincount(messages.session[late], minlength=len(sessions))
        if policy.late_messages == "exclude":
            add_count(counts, "messages_late", np.count_nonzero(late))
            messages = messages.only(~late)
    add_count(counts, "messages_counted", len(messages.session))
    folded = fold(messages, len(sessions), policy)
    count_agreement(folded, sessions, counts)
    computed, capped = values_of(folded, sessions, policy, types)
    add_count(counts, "values_capped", capped)
    add_count(counts, "sessions_reported", len(sessions))
    add_count(counts, WITHOUT_MESSAGES, np.count_nonzero(~folded.counts.any(axis=1)))
    if summarize:
        summary = summaries.summarize(
            folded, sessions, summaries.Handled(late_of_session, duplicates, by_time), policy
        )
        computed = pa.RecordBatch.from_arrays(
            [*computed.columns, *summary.columns],
            schema=pa.schema([*computed.schema, *summary.schema]),
        )
    return computed, counts


def order_shard(batches: Sequence[pa.RecordBatch], policy: Policy, counts: Counts) -> Shard:
    """Selects the sessions of a shard, orders and deduplicates their messages.

    Args:
      batches: all messages and all sessions of the shard, whole or narrowed, in any order; batches of
        another kind are passed over.
      policy: which sessions, and the lead; nothing else of it is used.
      counts: the fates of messages and sessions that are left out are added, and the messages outside
        of their session.
    """
    of_messages = [batch for batch in batches if kind_of(batch) == "messages"]
    sessions = one_batch(concat_sessions(b for b in batches if kind_of(b) == "sessions"))
    chosen = select_sessions(sessions, policy, counts)
    ids = chosen.column("session_id").cast(pa.string())
    known = sessions.column("session_id").dictionary
    gathered = gather_messages(of_messages, ids, known, counts)
    rows, session, sent_at_us = order_messages(gathered)
    repeated = find_duplicates(gathered.message_id, rows, session)
    add_count(counts, "messages_duplicate", np.count_nonzero(repeated))
    messages = Messages(session, sent_at_us, gathered.sender.take(rows)).only(~repeated)
    count_outside(messages, chosen, policy.session_lead_us, counts)
    duplicates = np.bincount(session[repeated], minlength=len(ids))
    by_time = np.zeros(len(ids), np.int64)
    if gathered.by_time.any():
        found = session[gathered.by_time.take(rows) & ~repeated]
        by_time = np.bincount(found, minlength=len(ids))
    return Shard(chosen, messages, duplicates, by_time)
