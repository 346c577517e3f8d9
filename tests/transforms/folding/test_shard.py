"""The whole of a shard: against the reference, and what it makes of nothing and of too much."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import DEFAULT_METRICS
from tests.support import oracle
from tests.support.batches import messages, sessions
from tests.support.shards import fold_any_order
from transforms.keying.narrowing import narrow

S = 1_000_000


def test_no_rows_at_all():
    assert fold_any_order() == ({}, {})


def test_a_session_without_messages_has_six_zeros():
    assert fold_any_order(sessions({"session_id": "a"})) == (
        {"a": (0,) * 6},
        {"sessions_reported": 1, "reported_without_messages": 1},
    )


def test_values_are_capped_at_nine_digits_and_counted():
    found, counts = fold_any_order(
        sessions({"session_id": "a"}),
        messages(("a", "1", 0, "EndUser"), ("a", "2", 2_000_000_000, "Agent")),
    )
    assert found == {"a": (1, 999_999_999, 0, 1, 999_999_999, 0)}
    assert counts["values_capped"] == 2


UUIDS = ["00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-0000000000a0"]
MESSAGE = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from(["1", "2", "10", "é", "z", "zz", "x" * 70, "x" * 69 + "y", *UUIDS]),
    st.sampled_from([0, 0.25, 1, 1.5, 2, 59.999999, 60, 3600]),
    st.sampled_from(["EndUser", "Agent", "Bot"]),
    st.sampled_from([None, -1, 1, 2]),
)
POLICY = st.fixed_dictionaries(
    {
        "response_from": st.sampled_from(["first_message", "last_message"]),
        "bots": st.sampled_from(["ignore", "answer"]),
        "rounding": st.sampled_from(["half_up", "floor", "ceil"]),
        "late_messages": st.sampled_from(["include", "exclude"]),
    }
)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(MESSAGE, max_size=30), st.sampled_from([0, 1, 60, 60.5]), POLICY, st.randoms())
def test_against_the_oracle(rows, ended_at, policy, rng: random.Random):
    expected = {}
    for session_id in "abc":
        of_session = [
            {
                "message_id": message_id,
                "sent_at_us": round(second * S),
                "sequence": sequence,
                "role": role,
            }
            for session, message_id, second, role, sequence in rows
            if session == session_id
        ]
        values = oracle.metrics(of_session, {"ended_at_us": round(ended_at * S)}, **policy)
        expected[session_id] = tuple(values[name] for name in DEFAULT_METRICS)
    closed = sessions(*({"session_id": i, "ended_at_us": round(ended_at * S)} for i in "cab"))
    # Some rows twice, in pieces, in any order, narrowed or not.
    again = rows + rng.sample(rows, len(rows) // 2)
    rng.shuffle(again)
    pieces = [messages(*again[i : i + 7]) for i in range(0, len(again), 7)]
    narrowed = [narrow(piece) if rng.random() < 0.5 else piece for piece in pieces]
    found, counts = fold_any_order(closed, *narrowed, **policy)
    assert found == expected
    fates = ("messages_counted", "messages_duplicate", "messages_late")
    assert sum(counts.get(name, 0) for name in fates) == len(again)
