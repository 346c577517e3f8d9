import pickle
import zoneinfo
from collections import Counter
from datetime import datetime, timedelta

import apache_beam as beam
import hypothesis.strategies as st
import numpy as np
import pytest
from apache_beam.testing.util import assert_that
from hypothesis import given, settings

from tests.support.summaries import (
    DAY_US,
    HOUR_US,
    SECOND_US,
    UTC,
    at,
    batch,
    contact_centre,
    summary,
)
from transforms.batches import SIDES
from transforms.reporting.build import BuildReport
from transforms.reporting.histograms import (
    BAR_EDGES_US,
    EDGES_US,
    LADDER_US,
    MAX_RELATIVE_ERROR,
    SUMMED,
    Groups,
)
from transforms.reporting.measures import NOT_STATED, SLOWEST, Report, measure, merge


def plain(report: Report) -> object:
    """A report as values that can be compared."""

    def groups(of: Groups) -> object:
        tallies = [of.counts, *(of.times[side] for side in SIDES)]
        return [(one.keys.tolist(), one.sums.tolist()) for one in tallies]

    return [
        (name, groups(value) if isinstance(value, Groups) else value)
        for name, value in vars(report).items()
    ]


TIMES_US = st.one_of(
    st.none(),
    st.integers(0, 200),
    st.integers(0, 10**7),
    st.floats(0, 14).map(lambda power: int(10**power)),
)
SUMMARIES = st.lists(
    st.builds(
        summary,
        st.uuids().map(str),
        st.integers(at("2024-03-28"), at("2024-04-03")),
        TIMES_US,
        TIMES_US,
        started_at=st.one_of(st.none(), st.integers(at("2024-03-27"), at("2024-04-02"))),
        channel_type=st.one_of(st.none(), st.sampled_from(["Text", "WhatsApp", "B\u00fcro"])),
        ends_unanswered=st.booleans(),
        agent_messages=st.integers(0, 99),
        policy_bots=st.sampled_from(["ignore", "answer"]),
    ),
    max_size=40,
)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe"])


@given(SUMMARIES, ZONES, st.data())
def test_neither_order_nor_cut_of_the_batches_makes_a_difference(rows, zone, data):
    whole = measure(batch(rows), zone)
    shuffled = data.draw(st.permutations(rows))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    pieces = [
        measure(batch(shuffled[a:b]), zone)
        for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True)
    ]
    data.draw(st.randoms()).shuffle(pieces)
    assert plain(merge(pieces, zone)) == plain(merge([whole], zone))
    nested = merge([merge(pieces[:2], zone), merge(pieces[2:], zone)], zone)
    assert plain(nested) == plain(merge([whole], zone))
    assert plain(pickle.loads(pickle.dumps(nested))) == plain(nested)


@given(SUMMARIES, ZONES)
def test_counts_are_those_of_a_walk_over_the_rows(rows, zone):
    report = measure(batch(rows), zone)
    there = zoneinfo.ZoneInfo(zone)

    def local(micros):
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).astimezone(there)

    days, hours, channels = Counter(), Counter(), Counter()
    unanswered, with_response = Counter(), Counter()
    for row in rows:
        day = (local(row["ended_at"]).date() - datetime(1970, 1, 1).date()).days
        started = local(row["ended_at"] if row["started_at"] is None else row["started_at"])
        days[day] += 1
        unanswered[day] += row["ends_unanswered"]
        hours[24 * started.weekday() + started.hour] += 1
        channels[row["channel_type"] or NOT_STATED] += 1
        with_response[day] += row["agent_response_average_us"] is not None
    assert {day: row["sessions"] for day, row in report.days.rows().items()} == days
    assert {day: row["unanswered"] for day, row in report.days.rows().items()} == unanswered
    assert report.days.sessions_with_response("agent") == +with_response
    assert {hour: row["sessions"] for hour, row in report.hours.rows().items()} == hours
    assert report.channel_types == tuple(sorted(channels))
    found = {report.channel_types[i]: row for i, row in report.channels.rows().items()}
    assert {name: row["sessions"] for name, row in found.items()} == channels
    total = report.days.together().rows().get(0, dict.fromkeys(SUMMED, 0))
    assert total["agent_messages"] == sum(row["agent_messages"] for row in rows)
    assert report.policies == Counter(
        f"response_from=first_message bots={row['policy_bots']} late_messages=include"
        for row in rows
    )
    assert report.unstarted == sum(row["started_at"] is None for row in rows)
    ends = [row["ended_at"] for row in rows]
    assert report.ended_us == ((min(ends), max(ends)) if ends else None)
    answered = [row for row in rows if row["agent_response_average_us"] is not None]
    answered.sort(key=lambda row: (-row["agent_response_average_us"], row["session_id"]))
    assert [slow.session_id for slow in report.slowest] == [
        row["session_id"] for row in answered[:SLOWEST]
    ]


@given(st.lists(TIMES_US.filter(lambda time: time is not None), min_size=1), st.integers(1, 100))
def test_percentiles_are_within_the_stated_error(times_us, percent):
    rows = [summary(str(i), 0, time_us) for i, time_us in enumerate(times_us)]
    found = measure(batch(rows), "UTC").days.percentile_us("agent", percent)[0]
    exact = sorted(times_us)[max(1, -(-len(times_us) * percent // 100)) - 1]
    assert abs(found - exact) <= MAX_RELATIVE_ERROR * exact
    if percent in (25, 50, 75, 100):  # others are no binary fractions
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


def test_a_day_of_23_hours_has_no_hour_that_is_skipped():
    rows = [
        summary(str(hour), at("2024-03-30T23:30:00") + hour * HOUR_US, SECOND_US)
        for hour in range(23)
    ]
    report = measure(batch(rows), "Europe/Berlin")
    assert len(report.days.rows()) == 1
    assert sorted(report.hours.rows()) == [24 * 6 + hour for hour in range(24) if hour != 2]


def test_reports_of_two_zones_are_not_merged():
    with pytest.raises(ValueError, match="time zones"):
        merge([measure(batch([]), "Europe/Berlin")], "UTC")


@pytest.mark.parametrize("pieces", [0, 1, 40])
def test_a_pipeline_gives_one_report_of_all_batches(pieces):
    whole = contact_centre(sessions=400)
    size = -(-len(whole) // pieces) if pieces else 0
    batches = [whole.slice(i * size, size) for i in range(pieces)]
    expected = plain(
        merge([measure(one, "America/New_York") for one in batches], "America/New_York")
    )

    def check(reports):
        assert [plain(report) for report in reports] == [expected]

    with beam.Pipeline("FnApiRunner") as pipeline:
        reports = pipeline | beam.Create(batches) | BuildReport("America/New_York")
        assert_that(reports, check)
