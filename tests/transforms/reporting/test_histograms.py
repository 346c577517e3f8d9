"""Sums and histograms by group: what is exact, and how exact the rest is."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from tests.support.reports import TIMES_US
from tests.support.summaries import DAY_US, HOUR_US, SECOND_US, batch, summary
from transforms.reporting.histograms import (
    BAR_EDGES_US,
    BUCKET_BITS,
    EDGES_US,
    LADDER_US,
    MAX_RELATIVE_ERROR,
    SUMMED,
    Groups,
    Tally,
)
from transforms.reporting.measures import measure


@given(st.lists(TIMES_US.filter(lambda time: time is not None), min_size=1), st.integers(1, 100))
def test_percentiles_are_within_the_stated_error(times_us, percent):
    rows = [summary(str(i), 0, time_us) for i, time_us in enumerate(times_us)]
    found = measure(batch(rows), "UTC").days.percentile_us("agent", percent)[0]
    exact = sorted(times_us)[max(1, -(-len(times_us) * percent // 100)) - 1]
    assert abs(found - exact) <= MAX_RELATIVE_ERROR * exact
    # Other percentages are no binary fractions, so NumPy's rank may differ.
    if percent in (25, 50, 75, 100):
        assert exact == np.percentile(times_us, percent, method="inverted_cdf")


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_percentiles_of_many_sessions(seed):
    times_us = np.random.default_rng(seed).lognormal(17, 2.5, 2000).astype(np.int64)
    rows = [summary(str(i), i % 3 * DAY_US, int(t)) for i, t in enumerate(times_us)]
    days = measure(batch(rows), "UTC").days
    for percent in (50, 90):
        for day in range(3):
            exact = np.percentile(times_us[day::3], percent, method="inverted_cdf")
            found = days.percentile_us("agent", percent)[day]
            assert abs(found - exact) <= MAX_RELATIVE_ERROR * exact


def test_buckets_are_no_wider_than_stated():
    widths = np.diff(EDGES_US)
    assert (widths > 0).all()
    assert (widths <= np.maximum(1, EDGES_US[:-1] * 2 * MAX_RELATIVE_ERROR)).all()
    assert len(EDGES_US) < 1 << 12
    assert set(LADDER_US) | set(BAR_EDGES_US) <= set(EDGES_US.tolist())


@given(st.lists(TIMES_US, min_size=1))
def test_distribution_is_exact_at_the_times_that_people_think_in(times_us):
    rows = [summary(str(i), 0, time_us) for i, time_us in enumerate(times_us)]
    edges_us = [0, *LADDER_US]
    found = measure(batch(rows), "UTC").days.sessions_between("agent", edges_us)
    stated = [time_us for time_us in times_us if time_us is not None]
    expected, _ = np.histogram(np.array(stated, float), [*edges_us, np.inf])
    assert found == expected.tolist()


def key(group: int, time_us: int) -> int:
    return group << BUCKET_BITS | int(np.searchsorted(EDGES_US, time_us, "right")) - 1


def groups_of(sessions: dict[int, list[int | None]]) -> Groups:
    """Sessions by group: the agents' response time of each, None where there is none."""
    number = sum(map(len, sessions.values()))
    counts = np.ones((number, len(SUMMED)), np.int64)
    of = np.array([group for group, times in sessions.items() for _ in times], np.int64)
    keys = [key(g, us) for g, times in sessions.items() for us in times if us is not None]
    agent = Tally.counting(np.array(keys, np.int64))
    return Groups(Tally.of(of, counts), {"agent": agent, "end_user": Tally.empty(1)})


def near(time_us: int) -> object:
    return pytest.approx(time_us, rel=MAX_RELATIVE_ERROR)


def test_groups_by_hand():
    found = groups_of({7: [SECOND_US, None, SECOND_US, 2 * SECOND_US], 9: [None], 12: [HOUR_US]})
    assert {group: row["sessions"] for group, row in found.rows().items()} == {7: 4, 9: 1, 12: 1}
    assert found.total() == dict.fromkeys(SUMMED, 6)
    assert found.sessions_with_response("agent") == {7: 3, 12: 1}
    assert found.percentile_us("agent", 50) == {7: near(SECOND_US), 12: near(HOUR_US)}
    assert found.percentile_us("agent", 90) == {7: near(2 * SECOND_US), 12: near(HOUR_US)}
    assert found.percentile_us("end_user", 50) == {}
    assert found.sessions_between("agent", [0, SECOND_US, 2 * SECOND_US, HOUR_US]) == [0, 2, 1, 1]
    assert found.answered()
    assert not groups_of({7: [None]}).answered()
    assert not Groups.empty().answered()
    assert Groups.empty().total() == dict.fromkeys(SUMMED, 0)


def test_groups_are_merged_and_regrouped():
    one = groups_of({7: [SECOND_US], 9: [HOUR_US, None]})
    other = groups_of({2: [None], 9: [HOUR_US]})
    merged = Groups.merge([one, other])
    assert {group: row["sessions"] for group, row in merged.rows().items()} == {2: 1, 7: 1, 9: 3}
    assert merged.sessions_with_response("agent") == {7: 1, 9: 2}
    fewer = merged.regrouped(np.array([3, 1, 3]))
    assert {group: row["sessions"] for group, row in fewer.rows().items()} == {1: 1, 3: 4}
    assert fewer.sessions_with_response("agent") == {1: 1, 3: 2}
    assert fewer.percentile_us("agent", 50) == {1: near(SECOND_US), 3: near(HOUR_US)}
    together = merged.together()
    assert together.rows() == {0: merged.total()}
    assert together.sessions_with_response("agent") == {0: 3}
