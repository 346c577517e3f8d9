"""The reference itself, rule by rule, with figures worked out by hand."""

import itertools
import random

import pytest

from tests.support.oracle import metrics

S = 1_000_000
ROLES = {"e": "EndUser", "a": "Agent", "b": "Bot"}
LONG_AFTER = 10**18


def message(message_id, at_us, role, sequence=None):
    return {"message_id": message_id, "sent_at_us": at_us, "sequence": sequence, "role": role}


def told(talk):
    """`e0 a2.5`: sender and second of each message."""
    return [
        message(f"m{n:03}", round(float(part[1:]) * S), ROLES[part[0]])
        for n, part in enumerate(talk.split())
    ]


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


# (agent messages, average agent, average end user, end-user messages, max agent, max end user)


@pytest.mark.parametrize(
    ("talk", "expected"),
    [
        ("", (0, 0, 0, 0, 0, 0)),
        ("e5", (0, 0, 0, 1, 0, 0)),
        ("a5 a9", (2, 0, 0, 0, 0, 0)),
        ("b5", (0, 0, 0, 0, 0, 0)),
    ],
)
def test_without_a_response_there_are_six_values_all_the_same(talk, expected):
    assert values(told(talk)) == expected


def test_averages_and_maxima_of_both_sides():
    # agent: 10, 20, 60; end user: 5, 40
    assert values(told("e0 a10 e15 a35 e75 a135")) == (3, 30, 23, 3, 60, 40)


def test_an_agent_who_begins_starts_the_end_users_clock_alone():
    assert values(told("a0 e7 a9")) == (2, 2, 7, 1, 2, 7)


def test_a_response_of_no_time_is_averaged_over():
    assert values(told("e0 a0 e0 a9")) == (2, 5, 0, 2, 9, 0)  # (0 + 9) / 2


@pytest.mark.parametrize(
    ("response_from", "expected"),
    [
        # agent: 9 after a first message, 5 after a last; end user: 21 and 17 likewise
        ("first_message", (3, 9, 21, 4, 9, 21)),
        ("last_message", (3, 5, 17, 4, 5, 17)),
    ],
)
def test_a_burst_is_timed_from_its_first_or_last_message_and_answered_by_a_first(
    response_from, expected
):
    talk = told("e0 e1 e4 a9 a12 a13 e30")
    assert values(talk, response_from=response_from) == expected


@pytest.mark.parametrize(
    ("bots", "talk", "expected"),
    [
        ("ignore", "e0 b3 a10", (1, 10, 0, 1, 10, 0)),
        ("answer", "e0 b3 a10", (1, 0, 0, 1, 0, 0)),
        # A bot inside a burst: one turn of the end user if it is left out, two if it answers.
        ("ignore", "e0 b3 e5 a10", (1, 10, 2, 2, 10, 2)),
        ("answer", "e0 b3 e5 a10", (1, 5, 2, 2, 5, 2)),
        # A bot between two turns of an agent makes no second response of them.
        ("ignore", "e0 a4 b5 a6 e9", (2, 4, 5, 2, 4, 5)),
        ("answer", "e0 a4 b5 a6 e9", (2, 4, 5, 2, 4, 5)),
        # A bot that begins.
        ("ignore", "b0 e5 a9", (1, 4, 5, 1, 4, 5)),
        ("answer", "b0 e5 a9", (1, 4, 5, 1, 4, 5)),
        # Bots alone.
        ("ignore", "e0 b1 e4 b5 e11", (0, 0, 5, 3, 0, 6)),  # (3 + 6) / 2 = 4.5
        ("answer", "e0 b1 e4 b5 e11", (0, 0, 5, 3, 0, 6)),
    ],
)
def test_bots_and_the_agents_clock(bots, talk, expected):
    assert values(told(talk), bots=bots) == expected


@pytest.mark.parametrize(
    ("bots", "response_from", "agent_s"),
    [
        ("ignore", "first_message", 10),
        ("ignore", "last_message", 4),  # from the message at 6, for the bot in between is not there
        (
            "answer",
            "first_message",
            5,
        ),  # from the message at 5, which begins the turn after the bot
        ("answer", "last_message", 4),
    ],
)
def test_bots_and_the_start_of_a_turn(bots, response_from, agent_s):
    found = values(told("e0 b3 e5 e6 a10"), bots=bots, response_from=response_from)
    assert found == (1, agent_s, 2, 3, agent_s, 2)


@pytest.mark.parametrize(
    ("response_from", "end_user_s"), [("first_message", 8), ("last_message", 2)]
)
@pytest.mark.parametrize("bots", ["ignore", "answer"])
@pytest.mark.parametrize("talk", ["a0 b6 e8", "b0 a6 e8", "b0 b6 e8", "a0 a6 e8"])
def test_agent_and_bot_are_one_side_to_the_end_user(talk, bots, response_from, end_user_s):
    found = values(told(talk), bots=bots, response_from=response_from)
    assert found == (talk.count("a"), 0, end_user_s, 1, 0, end_user_s)


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        # agent: 0.5 and 2.5, average 1.5; end user: 0.499999
        ("half_up", (2, 2, 0, 2, 3, 0)),
        ("floor", (2, 1, 0, 2, 2, 0)),
        ("ceil", (2, 2, 1, 2, 3, 1)),
    ],
)
def test_rounding(rounding, expected):
    assert values(told("e0 a0.5 e0.999999 a3.499999"), rounding=rounding) == expected


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        # agent: 0.4, 0.4 and 0.7, average 0.5; each rounded by itself would give 1/3 or 0
        ("half_up", (3, 1, 10, 3, 1, 10)),
        ("floor", (3, 0, 10, 3, 0, 10)),
        ("ceil", (3, 1, 10, 3, 1, 10)),
    ],
)
def test_an_average_is_rounded_once(rounding, expected):
    assert values(told("e0 a0.4 e10.4 a10.8 e20.8 a21.5"), rounding=rounding) == expected


def test_a_third_of_a_microsecond_short_of_a_half():
    # 0.5 + 0.5 + 0.499999 over 3 is a third of a microsecond less than a half
    talk = "e0 a0.5 e1 a1.5 e2 a2.499999"
    assert values(told(talk)) == (3, 0, 1, 3, 1, 1)


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


def test_times_before_1970():
    assert values(told("e-9 a-4.5 e-1 a3")) == (2, 4, 4, 2, 5, 4)  # 4.25 and 4.5; 3.5


# Order


def in_every_order(messages, **kwargs):
    found = {values(list(order), **kwargs) for order in itertools.permutations(messages)}
    assert len(found) == 1
    return found.pop()


def test_arrival_is_no_order():
    talk = told("e0 a4 e6 b7 a9")
    assert in_every_order(talk) == (2, 4, 2, 2, 4, 2)  # 3.5 rounded up, of 4 and 3
    shuffled = talk.copy()
    random.Random(1).shuffle(shuffled)
    assert values(shuffled) == values(talk)


@pytest.mark.parametrize(
    ("end_user", "agent", "end_user_is_first"),
    [
        # (message id, sequence) of two messages at one instant
        (("z", 1), ("a", 2), True),
        (("a", 2), ("z", 1), False),
        (("z", None), ("a", 0), True),  # without a sequence comes first
        (("a", 0), ("z", None), False),
        (("z", None), ("a", -5), True),
        (("z", -5), ("a", 0), True),
        (("a", 10), ("z", 9), False),  # a number, not a text
        (("9", None), ("10", None), True),  # shorter first
        (("10", None), ("9", None), False),
        (("é", None), ("zz", None), True),  # in characters
        (("B", None), ("a", None), True),  # byte order: capitals first
        (("a", None), ("B", None), False),
        (("ab", None), ("aa", None), False),
        (("\uffff", None), ("\U00010000", None), True),  # of UTF-8, not of UTF-16
        (("\U00010000", None), ("\uffff", None), False),
    ],
)
def test_two_messages_at_one_instant(end_user, agent, end_user_is_first):
    pair = [
        message(end_user[0], 5 * S, "EndUser", end_user[1]),
        message(agent[0], 5 * S, "Agent", agent[1]),
        message("later", 9 * S, "Agent", 99),
    ]
    # First the end user: answered at once. Else the agent, whose wait the end user ended at once, and
    # a response at 9.
    expected = (2, 0, 0, 1, 0, 0) if end_user_is_first else (2, 4, 0, 1, 4, 0)
    assert in_every_order(pair) == expected


def test_the_instant_comes_before_the_sequence():
    talk = [message("1", 3 * S, "Agent", 1), message("2", 0, "EndUser", 2)]
    assert in_every_order(talk) == (1, 3, 0, 1, 3, 0)


# Duplicates


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # The first in order counts: the earlier, ...
        (message("x", 4 * S, "Agent"), message("x", 9 * S, "Agent"), (1, 4, 0, 1, 4, 0)),
        # ... of one instant the one without a sequence, then the lower sequence, ...
        (message("x", 4 * S, "Agent"), message("x", 4 * S, "Bot", 0), (1, 4, 0, 1, 4, 0)),
        (message("x", 4 * S, "Bot"), message("x", 4 * S, "Agent", 0), (0, 0, 0, 1, 0, 0)),
        (message("x", 4 * S, "Agent", 1), message("x", 4 * S, "Bot", 2), (1, 4, 0, 1, 4, 0)),
        # ... and of the very same place the end user, then the agent.
        (message("x", 4 * S, "EndUser"), message("x", 4 * S, "Agent"), (0, 0, 0, 2, 0, 0)),
        (message("x", 4 * S, "Agent"), message("x", 4 * S, "Bot"), (1, 4, 0, 1, 4, 0)),
        (message("x", 4 * S, "EndUser"), message("x", 4 * S, "Bot"), (0, 0, 0, 2, 0, 0)),
    ],
)
def test_of_one_message_id_the_first_counts(first, second, expected):
    question = message("q", 0, "EndUser")
    assert in_every_order([question, first, second]) == expected
    assert in_every_order([question, first, second, first]) == expected


def test_a_duplicate_that_is_not_next_to_the_first():
    talk = told("e0 a5 e6 a10")
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
    talk = told("e0 a5 e20 a30")
    assert values(talk, 10 * S, late_messages="exclude") == (1, 5, 0, 1, 5, 0)
    assert values(talk, 20 * S, late_messages="exclude") == (1, 5, 15, 2, 5, 15)
    assert values(talk, -S, late_messages="exclude") == (0, 0, 0, 0, 0, 0)
