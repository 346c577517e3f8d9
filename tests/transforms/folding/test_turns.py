"""Each rule of the fold, with the figures worked out by hand."""

import numpy as np
import pyarrow as pa
import pytest

from transforms.batches import AGENT, BOT, END_USER, SESSIONS
from transforms.folding.metrics import DEFAULT_METRICS, MAX_VALUE, METRICS, to_seconds
from transforms.folding.turns import Messages, fold
from transforms.instants import SECOND_US
from transforms.policy import Policy

SENDERS = {"e": END_USER, "a": AGENT, "b": BOT}


def values_of(messages: Messages, num_sessions: int, policy: Policy) -> list[np.ndarray]:
    """The six values of each session."""
    folded = fold(messages, num_sessions, policy)
    sessions = pa.RecordBatch.from_pylist([], SESSIONS)
    return [METRICS[name].values(folded, sessions, policy) for name in DEFAULT_METRICS]


def six(talk: str, policy: Policy | None = None) -> tuple[int, ...]:
    """The six values of one session, told as `e0 a5`: sender and second of each message."""
    parts = talk.split()
    messages = Messages(
        np.zeros(len(parts), np.int32),
        np.array([round(float(p[1:]) * SECOND_US) for p in parts], np.int64),
        np.array([SENDERS[p[0]] for p in parts], np.int8),
    )
    return tuple(int(values[0]) for values in values_of(messages, 1, policy or Policy()))


# (agent messages, average agent, average end user, end-user messages, max agent, max end user)
@pytest.mark.parametrize(
    ("talk", "expected"),
    [
        ("", (0, 0, 0, 0, 0, 0)),
        ("e0", (0, 0, 0, 1, 0, 0)),
        ("a0", (1, 0, 0, 0, 0, 0)),
        ("e0 a7", (1, 7, 0, 1, 7, 0)),
        ("a0 e9", (1, 0, 9, 1, 0, 9)),
        ("e0 a10 e30 a36", (2, 8, 20, 2, 10, 20)),
        ("e0 a0", (1, 0, 0, 1, 0, 0)),
        ("e0 a0 e0 a8", (2, 4, 0, 2, 8, 0)),  # a response of no time is one to average over
        (
            "e0 e4 e6 a10",
            (1, 10, 0, 3, 10, 0),
        ),  # the wait of one who writes thrice is from the first
        ("e0 a10 a15 e20", (2, 10, 10, 2, 10, 10)),  # a burst is one response, to its first message
        ("e0 a10 a90", (2, 10, 0, 1, 10, 0)),
        ("e0 b3 a10", (1, 10, 0, 1, 10, 0)),  # bots are left out of the agent's clock
        ("e0 b3 e5 a10", (1, 10, 2, 2, 10, 2)),  # ... before turns are formed
        ("b0 e5", (0, 0, 5, 1, 0, 5)),  # a bot starts the end user's clock
        ("a0 b4 e5", (1, 0, 5, 1, 0, 5)),  # agent and bot are one side of it
        ("b0 a4 e5", (1, 0, 5, 1, 0, 5)),
        ("a0 a5", (2, 0, 0, 0, 0, 0)),
    ],
)
def test_default_policy(talk, expected):
    assert six(talk) == expected


@pytest.mark.parametrize(
    ("talk", "expected"),
    [
        ("e0 e4 e6 a10", (1, 4, 0, 3, 4, 0)),
        ("e0 a10 a15 e20", (2, 10, 5, 2, 10, 5)),
        ("a0 b4 e5", (1, 0, 1, 1, 0, 1)),
        ("e0 b3 e5 a10", (1, 5, 2, 2, 5, 2)),
    ],
)
def test_response_from_last_message(talk, expected):
    assert six(talk, Policy(response_from="last_message")) == expected


@pytest.mark.parametrize(
    ("talk", "expected"),
    [
        ("e0 b3 a10", (1, 0, 0, 1, 0, 0)),  # the bot has answered
        ("e0 b3 e5 a10", (1, 5, 2, 2, 5, 2)),  # ... the first question, not the second
        ("e0 a10", (1, 10, 0, 1, 10, 0)),
        ("e0 a10 b11 a12", (2, 10, 0, 1, 10, 0)),
        ("b0 e5 a9", (1, 4, 5, 1, 4, 5)),
    ],
)
def test_bots_answer(talk, expected):
    assert six(talk, Policy(bots="answer")) == expected


@pytest.mark.parametrize(
    ("rounding", "average", "longest"), [("half_up", 2, 3), ("floor", 1, 2), ("ceil", 2, 3)]
)
def test_rounding_once_at_the_end(rounding, average, longest):
    # 0.5 s and 2.5 s: the average is 1.5 s; rounding each first would make it 2 under floor's 0 + 2
    assert six("e0 a0.5 e1 a3.5", Policy(rounding=rounding)) == (
        2,
        average,
        _of(rounding),
        2,
        longest,
        _of(rounding),
    )


def _of(rounding: str) -> int:
    return {"half_up": 1, "floor": 0, "ceil": 1}[rounding]  # the end user's one response: 0.5 s


@pytest.mark.parametrize(
    ("total_us", "count", "half_up", "floor", "ceil"),
    [
        (0, 0, 0, 0, 0),
        (1, 1, 0, 0, 1),
        (499_999, 1, 0, 0, 1),
        (500_000, 1, 1, 0, 1),
        (1_000_000, 1, 1, 1, 1),
        (1_499_999, 3, 0, 0, 1),
        (1_500_000, 3, 1, 0, 1),
        (2**62, 3, 1537228672809, 1537228672809, 1537228672810),
    ],
)
def test_to_seconds(total_us, count, half_up, floor, ceil):
    arrays = np.array([total_us]), np.array([count])
    assert to_seconds(*arrays, "half_up").tolist() == [half_up]
    assert to_seconds(*arrays, "floor").tolist() == [floor]
    assert to_seconds(*arrays, "ceil").tolist() == [ceil]


def test_sessions_are_apart():
    messages = Messages(
        np.array([0, 2, 2, 3]),
        np.array([0, 5, 9, 11], np.int64) * SECOND_US,
        np.array([END_USER, AGENT, END_USER, AGENT], np.int8),
    )
    assert [values.tolist() for values in values_of(messages, 5, Policy())] == [
        [0, 0, 1, 1, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 4, 0, 0],
        [1, 0, 1, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 4, 0, 0],
    ]


def test_a_long_wait_is_not_cut_here():
    assert six("e0 a2000000000")[4] == 2_000_000_000 > MAX_VALUE


@pytest.mark.parametrize(
    "wrong", [{"response_from": "x"}, {"bots": "x"}, {"rounding": "x"}, {"late_messages": "x"}]
)
def test_policy_names_what_there_is(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is 'x'; it must be one of"):
        Policy(**wrong)
