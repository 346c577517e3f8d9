"""What a report holds of summaries, and that reports add up."""

import pickle
import zoneinfo
from collections import Counter
from datetime import datetime, timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.support.reports import TIMES_US, plain
from tests.support.summaries import (
    HOUR_US,
    SECOND_US,
    UTC,
    at,
    batch,
    summary,
)
from transforms.reporting.measures import NOT_STATED, SLOWEST, Report, measure

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
    assert plain(Report.merge(pieces, zone)) == plain(Report.merge([whole], zone))
    nested = Report.merge([Report.merge(pieces[:2], zone), Report.merge(pieces[2:], zone)], zone)
    assert plain(nested) == plain(Report.merge([whole], zone))
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
    total = report.days.total()
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
        Report.merge([measure(batch([]), "Europe/Berlin")], "UTC")
