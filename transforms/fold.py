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

RESPONDING, WAITED_FOR, NEITHER = 0, 1, 3
_SIDES = 4
# By sender: end user, agent, bot.
_SIDES_OF_END_USER_CLOCK = np.array([RESPONDING, WAITED_FOR, WAITED_FOR], np.int8)
_SIDES_OF_AGENT_CLOCK = np.array([WAITED_FOR, RESPONDING, NEITHER], np.int8)

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
      session: shape (messages,), 0 to num_sessions - 1, ascending; its type holds four times that.
      sent_at_us: shape (messages,), microseconds, ascending within a session.
      sender: shape (messages,), `END_USER`, `AGENT` or `BOT`.
      num_sessions: how many sessions; one without messages has six zeros.
      policy: the switches; ranges and late messages are the caller's to apply.

    Returns:
      Six arrays of shape (num_sessions,). A value may exceed `MAX_VALUE`.
    """
    counts = np.bincount(session * 3 + sender, minlength=3 * num_sessions).reshape(-1, 3)
    end_users = response_times(
        session, sent_at_us, _SIDES_OF_END_USER_CLOCK.take(sender), num_sessions, policy
    )
    if policy.bots == "ignore":
        humans = np.flatnonzero(sender != BOT)
        if len(humans) < len(sender):
            session, sent_at_us = session.take(humans), sent_at_us.take(humans)
            sender = sender.take(humans)
    agents = response_times(
        session, sent_at_us, _SIDES_OF_AGENT_CLOCK.take(sender), num_sessions, policy
    )

    def average(times: ResponseTimes) -> Int64s:
        return to_seconds(times.total_us, times.responses, policy.rounding)

    def longest(times: ResponseTimes) -> Int64s:
        return to_seconds(times.longest_us, np.ones_like(times.responses), policy.rounding)

    return SessionMetrics(
        counts[:, AGENT],
        average(agents),
        average(end_users),
        counts[:, END_USER],
        longest(agents),
        longest(end_users),
    )


def response_times(
    session: NDArray[np.integer],
    sent_at_us: Int64s,
    side: NDArray[np.integer],
    num_sessions: int,
    policy: Policy,
) -> ResponseTimes:
    """Times the responses of one side to another.

    Args:
      session: as for `fold`.
      sent_at_us: as for `fold`.
      side: shape (messages,), whose turn a message belongs to: `RESPONDING`, `WAITED_FOR` or
        `NEITHER`.
      num_sessions: how many sessions.
      policy: `response_from` alone is used.
    """
    turn = session * _SIDES + side
    starts = np.ones(len(turn), bool)  # where a turn begins
    np.not_equal(turn[1:], turn[:-1], out=starts[1:])
    first = np.flatnonzero(starts)
    turn = turn.take(first)
    # Sessions ascend, so only in one session can the number of a turn be one less than the last one's.
    after = 1 + np.flatnonzero(turn[:-1] - turn[1:] == WAITED_FOR - RESPONDING)
    measured_from = (
        first[after - 1] if policy.response_from == "first_message" else first[after] - 1
    )
    spans = sent_at_us[first[after]] - sent_at_us[measured_from]
    of_session = turn[after] // _SIDES
    total, longest = np.zeros(num_sessions, np.int64), np.zeros(num_sessions, np.int64)
    np.add.at(total, of_session, spans)
    np.maximum.at(longest, of_session, spans)
    return ResponseTimes(np.bincount(of_session, minlength=num_sessions), total, longest)


def to_seconds(total_us: Int64s, count: Int64s, rounding: Rounding) -> Int64s:
    """`total_us / count` in whole seconds, rounded once; 0 where the count is 0."""
    divisor = np.maximum(count, 1) * SECOND_US
    seconds, rest = np.divmod(total_us, divisor)
    if rounding == "half_up":
        return seconds + (2 * rest >= divisor)
    if rounding == "ceil":
        return seconds + (rest > 0)
    return seconds
