"""The fold: from the messages of sessions to turns and responses. Plain NumPy arrays; no Beam, no Arrow.

Salesforce gives one sentence per metric (object reference, MessagingSessionMetrics). All of this
module follows from two of our own, see docs/decisions.md:

* A *turn* is a maximal run of consecutive messages of one side.
* A *response* is the turn that follows a turn of the other side; its time is from the other side's
  turn to the response's first message.

Two clocks run over the same messages. On the agents' clock the agents respond, the end user is waited
for, and bots are left out, or are neither. On the end user's clock the end user responds; agents and
bots are one side, which is waited for.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.batches import BOT
from transforms.plumbing.runs import run_edges
from transforms.policy import Policy

# The sides of a clock. WAITED_FOR is RESPONDING + 1, and no other two sides differ by one in that
# direction: a step down by one from a turn to the next is a response, see `responses_of`.
RESPONDING, WAITED_FOR, NEITHER = 0, 1, 3

_CODES_PER_SESSION = 4

# Indexed by sender: end user, agent, bot.
END_USER_CLOCK = np.array([RESPONDING, WAITED_FOR, WAITED_FOR], np.int8)
AGENT_CLOCK = np.array([WAITED_FOR, RESPONDING, NEITHER], np.int8)

Int64s = NDArray[np.int64]


class Messages(NamedTuple):
    """The messages of many sessions, in columns of one length.

    Attributes:
      session: the number of the session, ascending. The integer type must have room for four times the
        greatest number (`Turns.code`).
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
    """The turns of many sessions on one clock, in order; columns of one length.

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
      time_us: shape (responses,), how long the response took.
      number: shape (sessions,).
      total_us: shape (sessions,).
      longest_us: shape (sessions,); 0 for a session without a response.
    """

    session: NDArray[np.integer]
    at_us: Int64s
    time_us: Int64s
    number: Int64s
    total_us: Int64s
    longest_us: Int64s


class Folded(NamedTuple):
    """The turns and responses of sessions, and the messages that they were made of.

    Attributes:
      messages: those that count.
      counts: shape (sessions, 3), messages by sender.
      agent_turns: the turns of the agents' clock.
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
      messages: those that count: the caller has applied ranges and left out late messages.
      num_sessions: how many sessions; one may be without messages.
      policy: `response_from` and `bots` are used.
    """
    session, _, sender = messages
    counts = np.bincount(session * 3 + sender, minlength=3 * num_sessions).reshape(-1, 3)
    end_user_turns = turns_of(messages, END_USER_CLOCK, policy)
    humans = messages.only(sender != BOT) if policy.bots == "ignore" else messages
    agent_turns = turns_of(humans, AGENT_CLOCK, policy)
    return Folded(
        messages,
        counts,
        agent_turns,
        responses_of(agent_turns, num_sessions),
        responses_of(end_user_turns, num_sessions),
    )


def turns_of(messages: Messages, side_of: NDArray[np.int8], policy: Policy) -> Turns:
    """Cuts messages into turns.

    Session 0: the end user writes at 0 and 4, an agent at 10. Session 1: the end user at 20.

    >>> messages = Messages(
    ...     session=np.array([0, 0, 0, 1]),
    ...     sent_at_us=np.array([0, 4, 10, 20]),
    ...     sender=np.array([0, 0, 1, 0], np.int8),
    ... )
    >>> turns_of(messages, AGENT_CLOCK, Policy())
    Turns(code=array([1, 0, 5]), began_us=array([ 0, 10, 20]), timed_from_us=array([ 0, 10, 20]))
    >>> turns_of(messages, AGENT_CLOCK, Policy(response_from="last_message")).timed_from_us
    array([ 4, 10, 20])

    Args:
      messages: in order.
      side_of: the side of each sender, `AGENT_CLOCK` or `END_USER_CLOCK`.
      policy: `response_from` alone is used.
    """
    session, sent_at_us, sender = messages
    code = session * _CODES_PER_SESSION + side_of.take(sender)
    edges = run_edges(code)
    first = edges[:-1]
    began_us = timed_from_us = sent_at_us.take(first)
    if policy.response_from == "last_message":
        timed_from_us = sent_at_us.take(edges[1:] - 1)
    return Turns(code.take(first), began_us, timed_from_us)


def responses_of(turns: Turns, num_sessions: int) -> Responses:
    """Times the responses of one side to the other.

    Codes rise from session to session. A step down by one (`WAITED_FOR` to `RESPONDING`) therefore
    happens only inside a session: it is a response. On the agents' clock, two sessions, a bot in the
    second:

        session    0        0           1        1           1        1
        turn       agent    end user    end user bot         end user agent
        code       0        1           5        7           5        4
        step                +1          +4       +2          -2       -1  a response

    Args:
      turns: in order.
      num_sessions: how many sessions; one may be without turns.
    """
    code = turns.code
    after = 1 + np.flatnonzero(code[:-1] - code[1:] == WAITED_FOR - RESPONDING)
    at_us = turns.began_us.take(after)
    time_us = at_us - turns.timed_from_us.take(after - 1)
    session = code.take(after) // _CODES_PER_SESSION
    total_us, longest_us = np.zeros(num_sessions, np.int64), np.zeros(num_sessions, np.int64)
    np.add.at(total_us, session, time_us)
    np.maximum.at(longest_us, session, time_us)
    number = np.bincount(session, minlength=num_sessions)
    return Responses(session, at_us, time_us, number, total_us, longest_us)


def waiting_since(turns: Turns, num_sessions: int) -> tuple[NDArray[np.bool_], Int64s]:
    """Finds the sessions that end with a turn that nobody has answered.

    Returns:
      Two arrays of shape (num_sessions,): whether the session's last turn is `WAITED_FOR`, and since
      when that turn waits; 0 for the other sessions.
    """
    of_turn = turns.code // _CODES_PER_SESSION
    waits = run_edges(of_turn)[1:] - 1
    waits = waits[turns.code.take(waits) % _CODES_PER_SESSION == WAITED_FOR]
    session = of_turn.take(waits)
    waiting, since_us = np.zeros(num_sessions, bool), np.zeros(num_sessions, np.int64)
    waiting[session], since_us[session] = True, turns.timed_from_us.take(waits)
    return waiting, since_us


def first_of_each(
    session: NDArray[np.integer], values: Int64s, num_sessions: int
) -> tuple[NDArray[np.bool_], Int64s]:
    """Picks the first value of each session.

    Args:
      session: shape (values,), the number of the session, ascending.
      values: shape (values,).
      num_sessions: how many sessions; one may be without values.

    Returns:
      Two arrays of shape (num_sessions,): whether the session has a value, and the first one, else 0.
    """
    first = run_edges(session)[:-1]
    found, value = np.zeros(num_sessions, bool), np.zeros(num_sessions, np.int64)
    found[session.take(first)] = True
    value[session.take(first)] = values.take(first)
    return found, value
