"""The fold: from the messages of sessions to their metrics. Plain NumPy arrays; no Beam, no Arrow.

Salesforce gives one sentence per metric (object reference, MessagingSessionMetrics). All of this
module follows from two of our own, see docs/decisions.md:

* A *turn* is a maximal run of consecutive messages of one side.
* A *response* is the turn that follows a turn of the other side; its time is from the other side's
  turn to the response's first message.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.batches import AGENT, BOT, END_USER
from transforms.policy import Policy, Rounding

SECOND_US = 1_000_000
MAX_VALUE = 999_999_999  # the field has nine digits

Int64s = NDArray[np.int64]


class ResponseTimes(NamedTuple):
    """One side's responses, per session: how many, their total and their longest time."""

    responses: Int64s
    total_us: Int64s
    longest_us: Int64s


class SessionMetrics(NamedTuple):
    """The six values of each session, in the order of `MessagingSessionMetricType`; times in seconds."""

    agent_message_count: Int64s
    average_agent_response_time: Int64s
    average_end_user_response_time: Int64s
    end_user_message_count: Int64s
    max_agent_response_time: Int64s
    max_end_user_response_time: Int64s


def fold(
    session: NDArray[np.integer],
    sent_at_us: Int64s,
    sender: NDArray[np.int8],
    num_sessions: int,
    policy: Policy,
) -> SessionMetrics:
    """Folds messages into the six values of each session.

    Args:
      session: shape (messages,), 0 to num_sessions - 1, ascending.
      sent_at_us: shape (messages,), microseconds, ascending within a session.
      sender: shape (messages,), `END_USER`, `AGENT` or `BOT`.
      num_sessions: how many sessions; one without messages has six zeros.
      policy: the switches; ranges and late messages are the caller's to apply.

    Returns:
      Six arrays of shape (num_sessions,). A value may exceed `MAX_VALUE`.
    """
    end_users = response_times(
        session,
        sent_at_us,
        np.where(sender == END_USER, END_USER, AGENT),
        (END_USER, AGENT),
        num_sessions,
        policy,
    )
    if policy.bots == "ignore":
        humans = sender != BOT
        if not humans.all():
            session, sent_at_us, sender = session[humans], sent_at_us[humans], sender[humans]
    agents = response_times(session, sent_at_us, sender, (AGENT, END_USER), num_sessions, policy)

    def count(side: int) -> Int64s:
        return np.bincount(session[sender == side], minlength=num_sessions)

    def average(times: ResponseTimes) -> Int64s:
        return to_seconds(times.total_us, times.responses, policy.rounding)

    def longest(times: ResponseTimes) -> Int64s:
        return to_seconds(times.longest_us, np.ones_like(times.responses), policy.rounding)

    return SessionMetrics(
        count(AGENT),
        average(agents),
        average(end_users),
        count(END_USER),
        longest(agents),
        longest(end_users),
    )


def response_times(
    session: NDArray[np.integer],
    sent_at_us: Int64s,
    side: NDArray[np.integer],
    who: tuple[int, int],
    num_sessions: int,
    policy: Policy,
) -> ResponseTimes:
    """Times the responses of one side to another.

    Args:
      session: as for `fold`.
      sent_at_us: as for `fold`.
      side: shape (messages,), whose turn a message belongs to.
      who: the responding side and the side it responds to.
      num_sessions: how many sessions.
      policy: `response_from` alone is used.
    """
    responding, to = who
    count, total, longest = (np.zeros(num_sessions, np.int64) for _ in range(3))
    starts = np.ones(len(session), bool)  # where a turn begins
    np.not_equal(session[1:], session[:-1], out=starts[1:])
    starts[1:] |= side[1:] != side[:-1]
    first = np.flatnonzero(starts)
    turn_session, turn_side = session[first], side[first]
    after = 1 + np.flatnonzero(
        (turn_session[1:] == turn_session[:-1])
        & (turn_side[1:] == responding)
        & (turn_side[:-1] == to)
    )
    if not len(after):
        return ResponseTimes(count, total, longest)
    measured_from = (
        first[after - 1] if policy.response_from == "first_message" else first[after] - 1
    )
    spans = sent_at_us[first[after]] - sent_at_us[measured_from]
    sessions, begin, counts = np.unique(turn_session[after], return_index=True, return_counts=True)
    count[sessions] = counts
    total[sessions] = np.add.reduceat(spans, begin)
    longest[sessions] = np.maximum.reduceat(spans, begin)
    return ResponseTimes(count, total, longest)


def to_seconds(total_us: Int64s, count: Int64s, rounding: Rounding) -> Int64s:
    """`total_us / count` in whole seconds, rounded once; 0 where the count is 0."""
    divisor = np.maximum(count, 1) * SECOND_US
    seconds, rest = np.divmod(total_us, divisor)
    if rounding == "half_up":
        return seconds + (2 * rest >= divisor)
    if rounding == "ceil":
        return seconds + (rest > 0)
    return seconds
