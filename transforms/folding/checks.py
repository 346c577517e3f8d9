"""What tells that an input is not as it seems: messages far from their session, other counts. No Beam."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.batches import AGENT, END_USER, SIDES, Counts, add_count
from transforms.folding.turns import Folded, Messages
from transforms.instants import SECOND_US, end_of_second
from transforms.plumbing.runs import run_edges

OUTSIDE = "outside_messages"
"""The count of messages outside of their session; `count_outside` says how far outside they are."""

WITHOUT_MESSAGES = "reported_without_messages"
"""The count of sessions that are reported and have no message that counts."""

CHECKED, AGREEING = "checked_sessions", "checked_sessions_agree"
"""The counts of sessions with Salesforce's own numbers of messages, and of those that ours agree with."""

_STEP_MIN = 15
_MOST_STEPS = 24 * 60 // _STEP_MIN


def count_outside(
    messages: Messages, sessions: pa.RecordBatch, lead_us: int, counts: Counts
) -> None:
    """Counts the messages that are before their session's start by more than the lead, or after its end.

    Two clocks that differ by hours look like that, so the messages are counted by how far outside they
    are as well, to the nearest quarter of an hour, at most a day:

        7 min, 8 min, 3 h      outside_messages             3
                               outside_messages_by_0_min    1
                               outside_messages_by_15_min   1
                               outside_messages_by_180_min  1

    Args:
      messages: in order.
      sessions: of layout `batches.SESSIONS`, each with an end; the numbers of `messages.session` are
        places here.
      lead_us: how long before its start a message may be.
      counts: the messages are added.
    """
    edges = run_edges(messages.session)
    if len(edges) < 2:
        return
    # A session without a start has always been there.
    ever = pa.scalar(np.iinfo(np.int64).min + lead_us, pa.int64())
    starts = (sessions.column(name) for name in ("started_at_us", "created_at_us"))
    begin_us = pc.coalesce(*starts, ever).to_numpy() - lead_us
    last_us = end_of_second(sessions.column("ended_at_us").to_numpy())
    # Messages are in order, so the first and the last of a session tell whether any is outside.
    session = messages.session.take(edges[:-1])
    first_sent, last_sent = (messages.sent_at_us.take(e) for e in (edges[:-1], edges[1:] - 1))
    suspect = (first_sent < begin_us.take(session)) | (last_sent > last_us.take(session))
    if not suspect.any():
        return
    rows = np.flatnonzero(np.repeat(suspect, np.diff(edges)))
    session, sent_at_us = messages.session.take(rows), messages.sent_at_us.take(rows)
    begin, last = begin_us.take(session), last_us.take(session)
    # Of a session that has always been there the difference has no meaning, and is not taken.
    before = np.where(sent_at_us < begin, begin + lead_us - sent_at_us, 0)
    far = np.where(sent_at_us > last, sent_at_us - last, before)
    far = far[far > 0]
    add_count(counts, OUTSIDE, len(far))
    step_us = _STEP_MIN * 60 * SECOND_US
    steps = np.minimum((far + step_us // 2) // step_us, _MOST_STEPS)
    for step, number in zip(*np.unique(steps, return_counts=True), strict=True):
        add_count(counts, f"{OUTSIDE}_by_{step * _STEP_MIN}_min", number)


def with_median(counts: Counts) -> Counts:
    """The counts of a run, with how far outside its messages are in one number.

    >>> with_median({"outside_messages": 3, "outside_messages_by_0_min": 1,
    ...              "outside_messages_by_180_min": 2})
    {'outside_messages': 3, 'outside_messages_median_min': 180}
    """
    prefix = f"{OUTSIDE}_by_"
    found = {n: c for n, c in counts.items() if n.startswith(prefix)}
    if not found:
        return counts
    minutes = np.array([int(name.removeprefix(prefix).removesuffix("_min")) for name in found])
    numbers, order = np.array(list(found.values())), np.argsort(minutes)
    half = np.searchsorted(np.cumsum(numbers[order]), (numbers.sum() + 1) // 2)
    rest = {name: number for name, number in counts.items() if name not in found}
    return dict(sorted({**rest, f"{OUTSIDE}_median_min": int(minutes[order][half])}.items()))


def count_agreement(folded: Folded, sessions: pa.RecordBatch, counts: Counts) -> None:
    """Counts the sessions for which Salesforce states its own numbers of messages, and those that agree.

    Args:
      folded: the messages of the sessions.
      sessions: of layout `batches.SESSIONS`, in the order of the numbers of `folded`.
      counts: the sessions are added.
    """
    stated = [sessions.column(f"{side}_message_count") for side in SIDES]
    if any(column.null_count == len(column) for column in stated):
        return
    both = np.logical_and(*(column.is_valid().to_numpy(zero_copy_only=False) for column in stated))
    agree = both.copy()
    for column, sender in zip(stated, (AGENT, END_USER), strict=True):
        agree &= column.fill_null(0).to_numpy() == folded.counts[:, sender]
    add_count(counts, CHECKED, np.count_nonzero(both))
    add_count(counts, AGREEING, np.count_nonzero(agree))
