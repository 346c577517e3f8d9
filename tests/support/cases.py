"""Sessions and their six values, worked out by hand: the table that the fold and the reference share.

A session is a talk, such as `e0 a2.5`: the sender (end user, agent, bot) and the second of each message.
The values are those of

    (agent messages, average agent, average end user, end-user messages, max agent, max end user)
"""

from typing import Any, NamedTuple

import pytest

ROLES = {"e": "EndUser", "a": "Agent", "b": "Bot"}

LAST = {"response_from": "last_message"}
ANSWER = {"bots": "answer"}


class Case(NamedTuple):
    talk: str
    policy: dict[str, str]
    expected: tuple[int, ...]


def parse(talk: str) -> list[tuple[str, int]]:
    """The role and the microsecond of each message."""
    return [(ROLES[part[0]], round(float(part[1:]) * 1_000_000)) for part in talk.split()]


_WITHOUT_RESPONSE = [
    Case("", {}, (0, 0, 0, 0, 0, 0)),
    Case("e0", {}, (0, 0, 0, 1, 0, 0)),
    Case("e5", {}, (0, 0, 0, 1, 0, 0)),
    Case("a0", {}, (1, 0, 0, 0, 0, 0)),
    Case("a0 a5", {}, (2, 0, 0, 0, 0, 0)),
    Case("a5 a9", {}, (2, 0, 0, 0, 0, 0)),
    Case("b5", {}, (0, 0, 0, 0, 0, 0)),
]

_BOTH_CLOCKS = [
    Case("e0 a7", {}, (1, 7, 0, 1, 7, 0)),
    Case("a0 e9", {}, (1, 0, 9, 1, 0, 9)),
    Case("e0 a10 e30 a36", {}, (2, 8, 20, 2, 10, 20)),
    # agent: 10, 20, 60; end user: 5, 40
    Case("e0 a10 e15 a35 e75 a135", {}, (3, 30, 23, 3, 60, 40)),
    # An agent who begins starts the end user's clock alone.
    Case("a0 e7 a9", {}, (2, 2, 7, 1, 2, 7)),
    # A response of no time is one to average over.
    Case("e0 a0", {}, (1, 0, 0, 1, 0, 0)),
    Case("e0 a0 e0 a8", {}, (2, 4, 0, 2, 8, 0)),
    # (0 + 9) / 2
    Case("e0 a0 e0 a9", {}, (2, 5, 0, 2, 9, 0)),
    # Times before 1970. agent: 4.25 and 4.5; end user: 3.5
    Case("e-9 a-4.5 e-1 a3", {}, (2, 4, 4, 2, 5, 4)),
]

_BURSTS = [
    # The wait of one who writes three times is from the first message, or from the last.
    Case("e0 e4 e6 a10", {}, (1, 10, 0, 3, 10, 0)),
    Case("e0 e4 e6 a10", LAST, (1, 4, 0, 3, 4, 0)),
    # A burst is one response, to its first message.
    Case("e0 a10 a15 e20", {}, (2, 10, 10, 2, 10, 10)),
    Case("e0 a10 a15 e20", LAST, (2, 10, 5, 2, 10, 5)),
    Case("e0 a10 a90", {}, (2, 10, 0, 1, 10, 0)),
    # agent: 9 after a first message, 5 after a last; end user: 21 and 17 likewise
    Case("e0 e1 e4 a9 a12 a13 e30", {}, (3, 9, 21, 4, 9, 21)),
    Case("e0 e1 e4 a9 a12 a13 e30", LAST, (3, 5, 17, 4, 5, 17)),
]

_BOTS = [
    # A bot between end user and agent is left out, or has answered.
    Case("e0 b3 a10", {}, (1, 10, 0, 1, 10, 0)),
    Case("e0 b3 a10", ANSWER, (1, 0, 0, 1, 0, 0)),
    # A bot inside a burst: one turn of the end user if it is left out, two if it answers.
    Case("e0 b3 e5 a10", {}, (1, 10, 2, 2, 10, 2)),
    Case("e0 b3 e5 a10", LAST, (1, 5, 2, 2, 5, 2)),
    Case("e0 b3 e5 a10", ANSWER, (1, 5, 2, 2, 5, 2)),
    # Left out, it cuts no turn: the last message of the turn is the one at 6.
    Case("e0 b3 e5 e6 a10", {}, (1, 10, 2, 3, 10, 2)),
    Case("e0 b3 e5 e6 a10", LAST, (1, 4, 2, 3, 4, 2)),
    # If it answers, the turn after it begins with the message at 5.
    Case("e0 b3 e5 e6 a10", ANSWER, (1, 5, 2, 3, 5, 2)),
    Case("e0 b3 e5 e6 a10", ANSWER | LAST, (1, 4, 2, 3, 4, 2)),
    # A bot between two turns of an agent makes no second response of them.
    Case("e0 a4 b5 a6 e9", {}, (2, 4, 5, 2, 4, 5)),
    Case("e0 a4 b5 a6 e9", ANSWER, (2, 4, 5, 2, 4, 5)),
    Case("e0 a10", ANSWER, (1, 10, 0, 1, 10, 0)),
    Case("e0 a10 b11 a12", ANSWER, (2, 10, 0, 1, 10, 0)),
    # A bot that begins starts the end user's clock.
    Case("b0 e5", {}, (0, 0, 5, 1, 0, 5)),
    Case("b0 e5 a9", {}, (1, 4, 5, 1, 4, 5)),
    Case("b0 e5 a9", ANSWER, (1, 4, 5, 1, 4, 5)),
    # Bots alone. (3 + 6) / 2 = 4.5
    Case("e0 b1 e4 b5 e11", {}, (0, 0, 5, 3, 0, 6)),
    Case("e0 b1 e4 b5 e11", ANSWER, (0, 0, 5, 3, 0, 6)),
    # Agent and bot are one side to the end user.
    Case("a0 b4 e5", {}, (1, 0, 5, 1, 0, 5)),
    Case("a0 b4 e5", LAST, (1, 0, 1, 1, 0, 1)),
    Case("b0 a4 e5", {}, (1, 0, 5, 1, 0, 5)),
    *(
        Case(talk, bots | since, (talk.count("a"), 0, seconds, 1, 0, seconds))
        for talk in ("a0 b6 e8", "b0 a6 e8", "b0 b6 e8", "a0 a6 e8")
        for bots in ({}, ANSWER)
        for since, seconds in (({}, 8), (LAST, 2))
    ),
]

_ROUNDING = [
    # agent: 0.5 and 2.5, average 1.5; end user: 0.5
    Case("e0 a0.5 e1 a3.5", {"rounding": "half_up"}, (2, 2, 1, 2, 3, 1)),
    Case("e0 a0.5 e1 a3.5", {"rounding": "floor"}, (2, 1, 0, 2, 2, 0)),
    Case("e0 a0.5 e1 a3.5", {"rounding": "ceil"}, (2, 2, 1, 2, 3, 1)),
    # agent: 0.5 and 2.5, average 1.5; end user: 0.499999
    Case("e0 a0.5 e0.999999 a3.499999", {"rounding": "half_up"}, (2, 2, 0, 2, 3, 0)),
    Case("e0 a0.5 e0.999999 a3.499999", {"rounding": "floor"}, (2, 1, 0, 2, 2, 0)),
    Case("e0 a0.5 e0.999999 a3.499999", {"rounding": "ceil"}, (2, 2, 1, 2, 3, 1)),
    # agent: 0.4, 0.4 and 0.7, average 0.5; each rounded by itself would give 1/3 or 0
    Case("e0 a0.4 e10.4 a10.8 e20.8 a21.5", {"rounding": "half_up"}, (3, 1, 10, 3, 1, 10)),
    Case("e0 a0.4 e10.4 a10.8 e20.8 a21.5", {"rounding": "floor"}, (3, 0, 10, 3, 0, 10)),
    Case("e0 a0.4 e10.4 a10.8 e20.8 a21.5", {"rounding": "ceil"}, (3, 1, 10, 3, 1, 10)),
    # 0.5 + 0.5 + 0.499999 over 3 is a third of a microsecond less than a half.
    Case("e0 a0.5 e1 a1.5 e2 a2.499999", {}, (3, 0, 1, 3, 1, 1)),
]

CASES = [*_WITHOUT_RESPONSE, *_BOTH_CLOCKS, *_BURSTS, *_BOTS, *_ROUNDING]


def each_case() -> Any:
    """Runs a test with each `talk`, `policy` and `expected`."""
    ids = [" ".join([case.talk, *case.policy.values()]) for case in CASES]
    return pytest.mark.parametrize(("talk", "policy", "expected"), CASES, ids=ids)


INSTANTS = [
    # Two messages of one instant, the end user's and an agent's: (message id, sequence) of each, and
    # whether the end user's comes first.
    (("z", 1), ("a", 2), True),
    (("a", 2), ("z", 1), False),
    (("b", 2), ("x", 1), False),
    # Without a sequence comes first.
    (("z", None), ("a", 0), True),
    (("a", 0), ("z", None), False),
    (("z", None), ("a", -5), True),
    (("b", -5), ("x", None), False),
    (("z", -5), ("a", 0), True),
    # A sequence is a number, not a text.
    (("a", 10), ("z", 9), False),
    # The shorter id comes first, in characters.
    (("9", None), ("10", None), True),
    (("10", None), ("9", None), False),
    (("é", None), ("zz", None), True),
    # Then byte order, of UTF-8 and not of UTF-16: capitals first.
    (("B", None), ("a", None), True),
    (("a", None), ("B", None), False),
    (("a", None), ("A", None), False),
    (("é", None), ("z", None), False),
    (("ab", None), ("aa", None), False),
    (("\uffff", None), ("\U00010000", None), True),
    (("\U00010000", None), ("\uffff", None), False),
]


def of_instant(end_user_is_first: bool) -> tuple[int, ...]:
    """The values of such a pair at 5, if an agent writes once more at 9.

    The agent has answered at once; or the end user at once and the agent at 9.
    """
    return (2, 0, 0, 1, 0, 0) if end_user_is_first else (2, 4, 0, 1, 4, 0)


DUPLICATES = [
    # Two messages of one id, (role, second, sequence), after the end user's question at 0: the first in
    # order counts. That is the earlier, ...
    (("Agent", 4, None), ("Agent", 9, None), (1, 4, 0, 1, 4, 0)),
    # ... of one instant the one without a sequence, then the lower sequence, ...
    (("Agent", 4, None), ("Bot", 4, 0), (1, 4, 0, 1, 4, 0)),
    (("Bot", 4, None), ("Agent", 4, 0), (0, 0, 0, 1, 0, 0)),
    (("Agent", 4, 1), ("Bot", 4, 2), (1, 4, 0, 1, 4, 0)),
    # ... and of the very same place the end user, then the agent.
    (("EndUser", 4, None), ("Agent", 4, None), (0, 0, 0, 2, 0, 0)),
    (("Agent", 4, None), ("Bot", 4, None), (1, 4, 0, 1, 4, 0)),
    (("EndUser", 4, None), ("Bot", 4, None), (0, 0, 0, 2, 0, 0)),
]
