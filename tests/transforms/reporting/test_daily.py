"""The sections by day."""

import pytest

from tests.support.reports import times_us, words
from tests.support.summaries import (
    DAY_US,
    MINUTE_US,
    SECOND_US,
    at,
    batch,
    contact_centre,
    summary,
)
from transforms.reporting import daily
from transforms.reporting.histograms import MAX_RELATIVE_ERROR
from transforms.reporting.measures import measure
from transforms.reporting.views import Section

ROWS = [
    summary("s1", at("2024-10-02T12:00:00"), 42 * SECOND_US, channel_type="Text"),
    summary("s2", at("2024-10-02T23:30:00"), 8 * MINUTE_US, 5 * SECOND_US, channel_type="Text"),
    summary("s3", at("2024-10-05T08:00:00"), None, ends_unanswered=True, agent_messages=0),
]


def report_of(rows, zone="UTC"):
    return measure(batch(rows), zone)


def test_numbers_per_day():
    view = daily.counts(report_of(ROWS))
    assert words([*view.rows, view.foot]) == [
        ["Wed 2024-10-02", "2", "12", "4", "6", "2", "0", "0.0 %"],
        ["Sat 2024-10-05", "1", "4", "0", "3", "1", "1", "100.0 %"],
        ["All days", "3", "16", "4", "9", "3", "1", "33.3 %"],
    ]
    assert [(figure.title, figure.swatch, figure.by_sender) for figure in view.figures] == [
        ("Sessions", "sessions", False),
        ("Messages", "", True),
        ("Unanswered sessions", "unanswered", False),
    ]
    span = "2 to 5 October 2024"
    assert [figure.label for figure in view.figures] == [
        f"Sessions per day, {span}. Most: 2 on 2 October 2024.",
        f"Messages per day, {span}. Most: 12 on 2 October 2024.",
        f"Unanswered sessions per day, {span}. Most: 1 on 5 October 2024.",
    ]
    assert view.note == ""


def test_days_are_those_of_the_zone():
    report = report_of(ROWS, "Asia/Tokyo")
    view = daily.counts(report)
    assert [row[:2] for row in words([*view.rows, view.foot])] == [
        ["Wed 2024-10-02", "1"],
        ["Thu 2024-10-03", "1"],
        ["Sat 2024-10-05", "1"],
        ["All days", "3"],
    ]
    assert daily.span_of(report) == "2 to 5 October 2024"


def test_times_per_day():
    view = daily.times(report_of(ROWS))
    assert [row[1::3] for row in words(view.rows)] == [["2", "1"], ["0", "0"]]
    median, p90 = times_us(view.rows[0])[2:4]
    assert median == pytest.approx(42 * SECOND_US, rel=MAX_RELATIVE_ERROR)
    assert p90 == pytest.approx(8 * MINUTE_US, rel=MAX_RELATIVE_ERROR)
    assert times_us(view.rows[1]) == [None] * 7
    agents, end_users = view.figures
    assert (agents.title, agents.swatch, agents.note) == ("Agents", "agent", "")
    assert (end_users.title, end_users.swatch, end_users.note) == ("End users", "end-user", "")
    assert agents.label == (
        "Agents: median and 90th percentile of the response time per day, 2 to 5 October 2024. "
        "The median is from 42 s to 42 s."
    )


def test_without_sessions_or_responses_there_is_nothing():
    assert daily.counts(report_of([])) == daily.times(report_of([])) == Section()
    assert daily.span_of(report_of([])) == "no sessions"
    assert daily.times(report_of([summary("s", DAY_US)])) == Section()
    agents, end_users = daily.times(report_of([summary("s", DAY_US, None, SECOND_US)])).figures
    assert agents.chart is None
    assert end_users.chart is not None


@pytest.mark.parametrize("days", [28, 93, 1000])
def test_a_long_time_is_drawn_by_week(days):
    report = measure(contact_centre(days=days, sessions=4000), "Europe/Berlin")
    counts, times = daily.counts(report), daily.times(report)
    assert len(counts.rows) == len(times.rows) == len(report.days.counts.keys)
    by_week = days == 1000
    titles = [figure.title for figure in counts.figures]
    suffix = " per week" if by_week else ""
    assert titles == [
        f"{title}{suffix}" for title in ("Sessions", "Messages", "Unanswered sessions")
    ]
    assert [figure.note for figure in times.figures] == ["by week" if by_week else ""] * 2
    note = " A week begins on Monday; the table is by day." if by_week else ""
    assert counts.note == times.note == note
    assert ("Most: " in counts.figures[0].label) and (
        (" from " in counts.figures[0].label) == by_week
    )
    days_drawn = {row["x"] for row in counts.figures[0].chart["layer"][0]["data"]["values"]}
    assert (len(days_drawn) < len(counts.rows)) == by_week
