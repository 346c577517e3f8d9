"""The reference itself, against figures worked out by hand."""

import itertools
import random

import pytest

from tests.support.cases import DUPLICATES, INSTANTS, each_case, of_instant, parse
from tests.support.oracle import metrics

S = 1_000_000
LONG_AFTER = 10**18


def message(message_id, at_us, role, sequence=None):
    return {"message_id": message_id, "sent_at_us": at_us, "sequence": sequence, "role": role}


def talked(talk):
    """The messages of a talk, in the notation of `tests.support.cases`."""
    return [message(f"m{n:03}", at_us, role) for n, (role, at_us) in enumerate(parse(talk))]


def values(messages, ended_at_us=LONG_AFTER, **policy):
    found = metrics(messages, {"ended_at_us": ended_at_us}, **policy)
    assert list(found) == [
        "AgentMessageCount",
        "AverageAgentResponseTime",
        "AverageEndUserResponseTime",
        "EndUserMessageCount",
        "MaxAgentResponseTime",
        "MaxEndUserResponseTime",
    ]
    assert all(type(value) is int for value in found.values())
    return tuple(found.values())


@each_case()
def test_case(talk, policy, expected):
    assert values(talked(talk), **policy) == expected


@pytest.mark.parametrize(
    ("last_role", "expected"),
    [("Agent", (1, 10**9 - 1, 0, 1, 10**9 - 1, 0)), ("EndUser", (0, 0, 0, 2, 0, 0))],
)
def test_a_value_has_nine_digits_at_most(last_role, expected):
    talk = [message("1", 0, "EndUser"), message("2", 2 * 10**9 * S, last_role)]
    assert values(talk) == expected


def test_a_value_just_below_the_cap_is_rounded_to_it():
    talk = [message("1", 0, "EndUser"), message("2", 999_999_998 * S + S // 2, "Agent")]
    assert values(talk) == (1, 999_999_999, 0, 1, 999_999_999, 0)
    assert values(talk, rounding="floor") == (1, 999_999_998, 0, 1, 999_999_998, 0)


# Order


def in_every_order(messages, **kwargs):
    found = {values(list(order), **kwargs) for order in itertools.permutations(messages)}
    assert len(found) == 1
    return found.pop()


def test_arrival_is_no_order():
    talk = talked("e0 a4 e6 b7 a9")
    assert in_every_order(talk) == (2, 4, 2, 2, 4, 2)  # 3.5 rounded up, of 4 and 3
    shuffled = talk.copy()
    random.Random(1).shuffle(shuffled)
    assert values(shuffled) == values(talk)


@pytest.mark.parametrize(("end_user", "agent", "end_user_is_first"), INSTANTS)
def test_two_messages_at_one_instant(end_user, agent, end_user_is_first):
    pair = [
        message(end_user[0], 5 * S, "EndUser", end_user[1]),
        message(agent[0], 5 * S, "Agent", agent[1]),
        message("later", 9 * S, "Agent", 99),
    ]
    assert in_every_order(pair) == of_instant(end_user_is_first)


def test_the_instant_comes_before_the_sequence():
    talk = [message("1", 3 * S, "Agent", 1), message("2", 0, "EndUser", 2)]
    assert in_every_order(talk) == (1, 3, 0, 1, 3, 0)


# Duplicates


@pytest.mark.parametrize(("first", "second", "expected"), DUPLICATES)
def test_of_one_message_id_the_first_counts(first, second, expected):
    question = message("q", 0, "EndUser")
    copies = [message("x", at_s * S, role, sequence) for role, at_s, sequence in (first, second)]
    assert in_every_order([question, *copies]) == expected
    assert in_every_order([question, *copies, copies[0]]) == expected


def test_a_duplicate_that_is_not_next_to_the_first():
    talk = talked("e0 a5 e6 a10")
    again = message("m001", 8 * S, "Agent")  # would answer at 8, not at 10
    assert in_every_order([*talk, again]) == (2, 5, 1, 2, 5, 1)  # 5 and 4


# Late messages


@pytest.mark.parametrize(
    ("ended_at_us", "sent_at_us", "is_late"),
    [
        (10 * S, 10 * S, False),
        (10 * S, 10 * S + 999_999, False),  # an end without a fraction lasts its second
        (10 * S, 11 * S, True),
        (10 * S + 1, 10 * S + 1, False),
        (10 * S + 1, 10 * S + 2, True),  # one with a fraction is exact
        (10 * S + 999_999, 11 * S, True),
        (0, 999_999, False),
        (-10 * S, -9 * S - 1, False),
        (-10 * S, -9 * S, True),
    ],
)
def test_late_messages(ended_at_us, sent_at_us, is_late):
    talk = [message("1", -20 * S, "EndUser"), message("2", sent_at_us, "Agent")]
    wait_s = (sent_at_us + 20 * S) // S
    counted, alone = (1, wait_s, 0, 1, wait_s, 0), (0, 0, 0, 1, 0, 0)
    assert values(talk, ended_at_us, rounding="floor") == counted
    excluded = values(talk, ended_at_us, rounding="floor", late_messages="exclude")
    assert excluded == (alone if is_late else counted)


def test_a_late_copy_does_not_bring_a_message_back_nor_take_it_away():
    talk = [
        message("1", 0, "EndUser"),
        message("2", 5 * S, "Agent"),
        message("2", 50 * S, "Agent"),
    ]
    for late_messages in ("include", "exclude"):
        found = in_every_order(talk, ended_at_us=10 * S, late_messages=late_messages)
        assert found == (1, 5, 0, 1, 5, 0)


def test_late_messages_are_left_out_before_turns_are_formed():
    talk = talked("e0 a5 e20 a30")
    assert values(talk, 10 * S, late_messages="exclude") == (1, 5, 0, 1, 5, 0)
    assert values(talk, 20 * S, late_messages="exclude") == (1, 5, 15, 2, 5, 15)
    assert values(talk, -S, late_messages="exclude") == (0, 0, 0, 0, 0, 0)
