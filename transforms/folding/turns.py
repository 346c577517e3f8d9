"""The fold: from the messages of sessions to turns and responses. Plain NumPy arrays; no Beam, no Arrow.

Salesforce gives one sentence per metric (object reference, MessagingSessionMetrics). All of this
module follows from two of our own, see docs/decisions.md:

* A *turn* is a maximal run of consecutive messages of one side.
* A *response* is the turn that follows a turn of the other side; its time is from the other side's
  turn to the response's first message.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.batches import BOT
from transforms.policy import Policy

RESPONDING, WAITED_FOR, NEITHER = 0, 1, 3

_SIDES = 4

# By sender: end user, agent, bot.
_SIDES_OF_END_USER_CLOCK = np.array([RESPONDING, WAITED_FOR, WAITED_FOR], np.int8)

_SIDES_OF_AGENT_CLOCK = np.array([WAITED_FOR, RESPONDING, NEITHER], np.int8)

Int64s = NDArray[np.int64]


class Messages(NamedTuple):
    """The messages of many sessions, in columns of one length.

    Attributes:
      session: the number of the session, ascending; its type holds four times the greatest.
      sent_at_us: microseconds, ascending within a session.
      sender: `END_USER`, `AGENT` or `BOT`.
    """

    session: NDArray[np.integer]
    sent_at_us: Int64s
    sender: NDArray[np.int8]

    def only(self, kept: NDArray[np.bool_]) -> "Messages":
        """The messages where `kept` is true."""
        if kept.all():
            return self
        rows = np.flatnonzero(kept)
        return Messages(self.session.take(rows), self.sent_at_us.take(rows), self.sender.take(rows))


class Turns(NamedTuple):
    """The turns of many sessions, in order.

    Attributes:
      code: four times the number of the session, plus the side: `RESPONDING`, `WAITED_FOR` or `NEITHER`.
      began_us: when the first message of the turn was sent.
      timed_from_us: when the message was sent that a response to this turn is timed from.
    """

    code: NDArray[np.integer]
    began_us: Int64s
    timed_from_us: Int64s


class Responses(NamedTuple):
    """One side's responses: each of them, and per session how many, their total and the longest.

    Attributes:
      session: shape (responses,), ascending.
      at_us: shape (responses,), when the response's first message was sent.
      time_us: shape (responses,), how long it took.
      number: shape (sessions,).
      total_us: shape (sessions,).
      longest_us: shape (sessions,); 0 where there is none.
    """

    session: NDArray[np.integer]
    at_us: Int64s
    time_us: Int64s
    number: Int64s
    total_us: Int64s
    longest_us: Int64s


class Folded(NamedTuple):
    """What the messages of sessions come to.

    Attributes:
      messages: those that count.
      counts: shape (sessions, 3), messages by sender.
      agent_turns: the turns of the agent's clock.
      agents: the agents' responses to the end user.
      end_users: the end user's responses to agents and bots.
    """

    messages: Messages
    counts: Int64s
    agent_turns: Turns
    agents: Responses
    end_users: Responses


def fold(messages: Messages, num_sessions: int, policy: Policy) -> Folded:
    """Folds messages into the turns and responses of each session.

    Args:
      messages: those that count; ranges and late messages are the caller's to apply.
      num_sessions: how many sessions; one may be without messages.
      policy: `response_from` and `bots`.
    """
    session, _, sender = messages
    counts = np.bincount(session * 3 + sender, minlength=3 * num_sessions).reshape(-1, 3)
    end_user_turns = turns_of(messages, _SIDES_OF_END_USER_CLOCK, policy)
    humans = messages.only(sender != BOT) if policy.bots == "ignore" else messages
    agent_turns = turns_of(humans, _SIDES_OF_AGENT_CLOCK, policy)
    return Folded(
        messages,
        counts,
        agent_turns,
        responses_of(agent_turns, num_sessions),
        responses_of(end_user_turns, num_sessions),
    )


def turns_of(messages: Messages, side_of: NDArray[np.int8], policy: Policy) -> Turns:
    """Cuts messages into turns.

    Args:
      messages: in order.
      side_of: the side of each sender.
      policy: `response_from` alone is used.
    """
    session, sent_at_us, sender = messages
    code = session * _SIDES + side_of.take(sender)
    starts = np.ones(len(code), bool)  # where a turn begins
    np.not_equal(code[1:], code[:-1], out=starts[1:])
    first = np.flatnonzero(starts)
    began_us = timed_from_us = sent_at_us.take(first)
    if policy.response_from == "last_message":
        ends = np.append(starts[1:], True)[: len(code)]
        timed_from_us = sent_at_us.take(np.flatnonzero(ends))
    return Turns(code.take(first), began_us, timed_from_us)


def responses_of(turns: Turns, num_sessions: int) -> Responses:
    """Times the responses of one side to the other."""
    code = turns.code
    # Sessions ascend, so only in one session can the number of a turn be one less than the last one's.
    after = 1 + np.flatnonzero(code[:-1] - code[1:] == WAITED_FOR - RESPONDING)
    at_us = turns.began_us.take(after)
    time_us = at_us - turns.timed_from_us.take(after - 1)
    session = code.take(after) // _SIDES
    total_us, longest_us = np.zeros(num_sessions, np.int64), np.zeros(num_sessions, np.int64)
    np.add.at(total_us, session, time_us)
    np.maximum.at(longest_us, session, time_us)
    number = np.bincount(session, minlength=num_sessions)
    return Responses(session, at_us, time_us, number, total_us, longest_us)


def waiting_since(turns: Turns, num_sessions: int) -> tuple[NDArray[np.bool_], Int64s]:
    """Whether each session ends with a turn that is still waited on, and since when that waits.

    Returns:
      Two arrays of shape (num_sessions,); the instant is 0 where none is waited on.
    """
    of_turn = turns.code // _SIDES
    last = np.ones(len(of_turn), bool)  # of its session
    np.not_equal(of_turn[1:], of_turn[:-1], out=last[:-1])
    waits = np.flatnonzero(last)
    waits = waits[turns.code.take(waits) % _SIDES == WAITED_FOR]
    session = of_turn.take(waits)
    waiting, since_us = np.zeros(num_sessions, bool), np.zeros(num_sessions, np.int64)
    waiting[session], since_us[session] = True, turns.timed_from_us.take(waits)
    return waiting, since_us


def first_of_each(
    session: NDArray[np.integer], values: Int64s, num_sessions: int
) -> tuple[NDArray[np.bool_], Int64s]:
    """The first value of each session, of values in the order of their sessions.

    Returns:
      Whether there is one, and the value, else 0; shape (num_sessions,).
    """
    starts = np.ones(len(session), bool)
    np.not_equal(session[1:], session[:-1], out=starts[1:])
    first = np.flatnonzero(starts)
    found, value = np.zeros(num_sessions, bool), np.zeros(num_sessions, np.int64)
    found[session.take(first)] = True
    value[session.take(first)] = values.take(first)
    return found, value
