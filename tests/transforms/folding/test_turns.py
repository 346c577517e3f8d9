"""The fold, against figures worked out by hand."""

import numpy as np
import pyarrow as pa

from schemas import DEFAULT_METRICS
from tests.support.cases import each_case, parse
from transforms.batches import AGENT, BOT, END_USER, MAX_VALUE, SESSIONS
from transforms.folding.metrics import METRICS
from transforms.folding.turns import AGENT_CLOCK, Messages, fold, turns_of, waiting_since
from transforms.instants import SECOND_US
from transforms.policy import Policy

SENDERS = {"EndUser": END_USER, "Agent": AGENT, "Bot": BOT}


def messages_of(talk: str) -> Messages:
    """One session, in the notation of `tests.support.cases`."""
    messages = parse(talk)
    return Messages(
        np.zeros(len(messages), np.int32),
        np.array([at_us for _, at_us in messages], np.int64),
        np.array([SENDERS[role] for role, _ in messages], np.int8),
    )


def values_of(messages: Messages, num_sessions: int, policy: Policy) -> list[np.ndarray]:
    """The six values of each session."""
    folded = fold(messages, num_sessions, policy)
    sessions = pa.RecordBatch.from_pylist([], SESSIONS)
    return [METRICS[name].values(folded, sessions, policy) for name in DEFAULT_METRICS]


def six(talk: str, policy: Policy) -> tuple[int, ...]:
    return tuple(int(values[0]) for values in values_of(messages_of(talk), 1, policy))


@each_case()
def test_case(talk, policy, expected):
    assert six(talk, Policy(**policy)) == expected


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
    assert six("e0 a2000000000", Policy())[4] == 2_000_000_000 > MAX_VALUE


def test_who_waits_at_the_end_of_each_session():
    messages = Messages(
        np.array([0, 0, 2, 2, 2]),
        np.array([1, 2, 3, 4, 5], np.int64),
        np.array([END_USER, AGENT, AGENT, END_USER, END_USER], np.int8),
    )
    waiting, since_us = waiting_since(turns_of(messages, AGENT_CLOCK, Policy()), 3)
    assert waiting.tolist() == [False, False, True]
    assert since_us.tolist() == [0, 0, 4]
