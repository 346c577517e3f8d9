"""Messages outside of their session, and Salesforce's own counts beside ours."""

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from tests.support import batches
from transforms.batches import AGENT, BOT, END_USER
from transforms.folding.checks import count_agreement, count_outside, with_median
from transforms.folding.shard import fold_shard
from transforms.folding.turns import Messages, fold
from transforms.instants import SECOND_US
from transforms.policy import Policy

# Instants have the digits of real ones: 2024-10-02T12:00:00Z.
NOON_S = 1_727_870_400
MIN, HOUR, DAY = 60, 3600, 86_400
LEAD_S = 60


def us(second):
    return None if second is None else round((NOON_S + second) * SECOND_US)


def session(session_id, began, ended, created=None):
    """A session of two seconds that are counted from noon."""
    return {
        "session_id": session_id,
        "deleted": False,
        "started_at_us": us(began),
        "ended_at_us": us(ended),
        "created_at_us": us(created),
    }


def outside(*sessions, lead_s=LEAD_S):
    """The counts for sessions, each with the seconds of its messages."""
    rows = [
        (number, us(second)) for number, (_, seconds) in enumerate(sessions) for second in seconds
    ]
    messages = Messages(
        np.array([number for number, _ in rows], np.int32),
        np.array([sent_at for _, sent_at in rows], np.int64),
        np.zeros(len(rows), np.int8),
    )
    counts = {}
    table = batches.sessions(*(row for row, _ in sessions))
    count_outside(messages, table, round(lead_s * SECOND_US), counts)
    return counts


def one(seconds, began=0, ended=HOUR, created=None, **more):
    return outside((session("s", began, ended, created), seconds), **more)


@pytest.mark.parametrize(
    ("second", "is_outside"),
    [
        (-60.000001, True),
        (-60, False),
        (-1, False),
        (0, False),
        (HOUR, False),
        (HOUR + 0.999999, False),
        (HOUR + 1, True),
    ],
)
@pytest.mark.parametrize("others", [[], [0], [0, 5, HOUR]], ids=len)
def test_the_edges_of_a_session(second, is_outside, others):
    counts = {"outside_messages": 1, "outside_messages_by_0_min": 1} if is_outside else {}
    assert one(sorted([second, *others])) == counts


def test_an_end_with_a_fraction_is_that_instant():
    assert one([HOUR + 0.5], ended=HOUR + 0.5) == {}
    assert one([HOUR + 0.500001], ended=HOUR + 0.5)["outside_messages"] == 1


@pytest.mark.parametrize(("lead_s", "is_outside"), [(0, True), (9.999999, True), (10, False)])
def test_the_lead(lead_s, is_outside):
    assert bool(one([-10], lead_s=lead_s)) == is_outside


def test_created_in_place_of_started():
    assert one([-61], began=None, created=0)["outside_messages"] == 1
    assert one([-60], began=None, created=0) == {}
    # Where both are there the start decides.
    assert one([-61], began=0, created=-HOUR)["outside_messages"] == 1
    assert one([-61], began=-HOUR, created=0) == {}


def test_a_session_without_a_start_has_always_been_there():
    assert one([-10 * DAY, 0], began=None) == {}
    counts = one([-10 * DAY, 0, 3 * HOUR], began=None, ended=HOUR)
    assert counts == {"outside_messages": 1, "outside_messages_by_120_min": 1}


def test_a_session_that_ended_before_it_began():
    # A message is outside once at most.
    counts = one([30], began=10 * MIN, ended=0)
    assert counts == {"outside_messages": 1, "outside_messages_by_0_min": 1}


@pytest.mark.parametrize(
    ("seconds", "minutes"),
    [
        (1, 0),
        (7 * MIN, 0),
        (7.5 * MIN - 0.000001, 0),
        (7.5 * MIN, 15),
        (8 * MIN, 15),
        (22 * MIN, 15),
        (23 * MIN, 30),
        (3 * HOUR, 180),
        (3 * HOUR + 7 * MIN, 180),
        (5.5 * HOUR, 330),
        (DAY - 8 * MIN, 1440 - 15),
        (DAY, 1440),
        (8 * DAY, 1440),
        (900 * DAY, 1440),
    ],
)
def test_how_far_outside_to_a_quarter_of_an_hour(seconds, minutes):
    counts = {"outside_messages": 1, f"outside_messages_by_{minutes}_min": 1}
    # From the last microsecond of the session on.
    assert one([HOUR + 0.999999 + seconds]) == counts
    # From the start, not from the lead before it.
    if seconds > LEAD_S:
        assert one([-seconds]) == counts


def test_many_messages_of_many_sessions():
    counts = outside(
        (session("a", 0, HOUR), [-3 * HOUR, -3 * HOUR, 5, HOUR + 7 * MIN]),
        (session("b", 0, HOUR), [0, 1, 2]),
        (session("c", 0, HOUR), []),
        (session("d", 0, HOUR), [0, 4 * HOUR, 4 * HOUR]),
        (session("e", None, HOUR), [0, 9 * MIN + HOUR]),
    )
    assert counts == {
        "outside_messages": 6,
        "outside_messages_by_0_min": 1,
        "outside_messages_by_15_min": 1,
        "outside_messages_by_180_min": 4,
    }


def test_nothing_outside_is_no_count():
    assert outside() == {}
    assert outside((session("a", 0, HOUR), [])) == {}
    assert outside((session("a", 0, HOUR), [0]), (session("b", 0, HOUR), [HOUR])) == {}


def by_hand(rows, lead_s):
    """The counts of sessions and seconds, one message after the other."""
    found = {}
    for row, seconds in rows:
        begin = row["started_at_us"] if row["started_at_us"] is not None else row["created_at_us"]
        last = row["ended_at_us"]
        last += SECOND_US - 1 if last % SECOND_US == 0 else 0
        for sent_at in map(us, seconds):
            if sent_at > last:
                far = sent_at - last
            elif begin is not None and sent_at < begin - lead_s * SECOND_US:
                far = begin - sent_at
            else:
                continue
            quarter = 15 * MIN * SECOND_US
            steps = min((far + quarter // 2) // quarter, 96)
            for name in ("outside_messages", f"outside_messages_by_{steps * 15}_min"):
                found[name] = found.get(name, 0) + 1
    return found


@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(-1000, 1000),
            st.integers(0, 2000) | st.just(1000.5),
            st.none() | st.integers(-1000, 1000),
            st.lists(st.integers(-4000, 6000) | st.just(DAY * 30), max_size=6),
        ),
        max_size=5,
    ),
    st.sampled_from([0, 60, 600]),
)
def test_counts_as_by_hand(found, lead_s):
    rows = [
        (session(f"s{number}", began, ended, created), sorted(seconds))
        for number, (began, ended, created, seconds) in enumerate(found)
    ]
    assert outside(*rows, lead_s=lead_s) == by_hand(rows, lead_s)


def median(**minutes):
    """What one number is made of counts; `m15=2` are two messages by 15 minutes."""
    counts = {f"outside_messages_by_{name[1:]}_min": number for name, number in minutes.items()}
    total = {"outside_messages": sum(minutes.values()), "sessions_read": 7}
    found = with_median(counts | total)
    assert found.pop("sessions_read") == 7
    assert found.pop("outside_messages") == sum(minutes.values())
    (name,) = found
    assert name == "outside_messages_median_min"
    return found[name]


def test_the_median_of_how_far_outside():
    assert median(m180=1) == 180
    assert median(m0=5) == 0
    # Odd numbers: the one in the middle.
    assert median(m0=1, m15=1, m180=1) == 15
    assert median(m0=2, m15=1) == 0
    assert median(m0=1, m15=2) == 15
    assert median(m1440=2, m180=2, m60=1) == 180
    # Even numbers: the lesser of the two in the middle.
    assert median(m0=1, m180=1) == 0
    assert median(m0=1, m15=1, m30=1, m45=1) == 15
    assert median(m0=1, m180=3) == 180


@given(st.lists(st.sampled_from([0, 15, 30, 45, 60, 600, 9000, 1440]), min_size=1, max_size=20))
def test_the_median_is_the_lower_one(minutes):
    counts = {f"m{minute}": minutes.count(minute) for minute in minutes}
    assert median(**counts) == sorted(minutes)[(len(minutes) - 1) // 2]


def test_a_run_without_messages_outside_has_no_median():
    assert with_median({}) == {}
    counts = {"sessions_read": 2, "messages_read": 1}
    assert with_median(counts) == counts


def test_names_stay_in_alphabetical_order():
    counts = {"a": 1, "outside_messages": 1, "outside_messages_by_15_min": 1, "z": 2}
    names = ["a", "outside_messages", "outside_messages_median_min", "z"]
    assert list(with_median(counts)) == names


def agreement(*stated, messages=(), policy=None):
    """The counts for sessions that state numbers of messages of agents and of end users."""
    rows = [
        {"session_id": f"s{number}", "deleted": False}
        | {"agent_message_count": agent, "end_user_message_count": end_user}
        for number, (agent, end_user) in enumerate(stated)
    ]
    session_ = np.array([number for number, _ in messages], np.int32)
    senders = np.array([sender for _, sender in messages], np.int8)
    sent_at_us = np.arange(len(messages), dtype=np.int64)
    folded = fold(Messages(session_, sent_at_us, senders), len(rows), policy or Policy())
    counts = {}
    count_agreement(folded, batches.sessions(*rows), counts)
    return counts


THREE = [(0, END_USER), (0, AGENT), (0, END_USER), (0, BOT)]


@pytest.mark.parametrize(
    ("stated", "counts"),
    [
        ([(1, 2)], {"checked_sessions": 1, "checked_sessions_agree": 1}),
        ([(2, 1)], {"checked_sessions": 1}),
        ([(1, 3)], {"checked_sessions": 1}),
        ([(2, 2)], {"checked_sessions": 1}),
        ([(0, 0)], {"checked_sessions": 1}),
        # One or both of the numbers missing: not checked.
        ([(1, None)], {}),
        ([(None, 2)], {}),
        ([(None, None)], {}),
        ([(1, 2), (None, 0), (0, None)], {"checked_sessions": 1, "checked_sessions_agree": 1}),
        ([(None, 2), (0, None)], {}),
        # A session without messages.
        ([(1, 2), (0, 0)], {"checked_sessions": 2, "checked_sessions_agree": 2}),
        ([(1, 2), (0, 1), (1, 0)], {"checked_sessions": 3, "checked_sessions_agree": 1}),
        ([], {}),
    ],
)
def test_sessions_with_numbers_of_their_own(stated, counts):
    assert agreement(*stated, messages=THREE if stated else []) == counts


def shard(messages, *rows, **policy):
    _, counts = fold_shard([batches.messages(*messages), batches.sessions(*rows)], Policy(**policy))
    return {
        name: number for name, number in counts.items() if name.startswith(("checked", "outside"))
    }


@pytest.mark.parametrize("late", [False, True])
def test_the_numbers_are_those_after_the_policy(late):
    messages = [
        ("s", "1", 0, "EndUser"),
        ("s", "2", 5, "Agent"),
        # A duplicate counts once, a bot is neither side.
        ("s", "2", 5, "Agent"),
        ("s", "3", 6, "Bot"),
        # After the end.
        ("s", "4", 200, "Agent"),
    ]
    row = {"session_id": "s", "deleted": False, "ended_at_us": 100 * SECOND_US}
    row |= {"agent_message_count": 1 + late, "end_user_message_count": 1}
    checked = {"checked_sessions": 1, "outside_messages": 1, "outside_messages_by_0_min": 1}
    agree = {"checked_sessions_agree": 1}
    include = shard(messages, row, late_messages="include")
    assert include == checked | (agree if late else {})
    exclude = shard(messages, row, late_messages="exclude")
    assert exclude == checked | ({} if late else agree)


def test_sessions_that_get_no_records_are_not_checked():
    stated = {"deleted": False, "agent_message_count": 9, "end_user_message_count": 9}
    rows = [
        {"session_id": "open", "status": "Active", **stated},
        {"session_id": "standard", "platform_type": "Standard", **stated},
        {"session_id": "gone", **stated, "deleted": True},
    ]
    messages = [(row["session_id"], "1", 900, "Agent") for row in rows]
    for order in itertools.permutations(rows):
        assert shard(messages, *order) == {}


def test_an_export_without_these_columns():
    messages = [("s", "1", 0, "EndUser")]
    assert shard(messages, {"session_id": "s", "deleted": False}) == {}
