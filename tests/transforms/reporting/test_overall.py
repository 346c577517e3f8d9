"""The sections of all days."""

import pytest

from tests.support.reports import times_us, words
from tests.support.summaries import DAY_US, HOUR_US, MINUTE_US, SECOND_US, at, batch, summary
from transforms.reporting import overall
from transforms.reporting.measures import measure
from transforms.reporting.views import Section

ROWS = [
    summary("s1", DAY_US, 42 * SECOND_US, channel_type="Text"),
    summary("s2", DAY_US, 8 * MINUTE_US, 5 * SECOND_US, channel_type="Text"),
    summary("s3", 3 * DAY_US, None),
]


def report_of(rows, zone="UTC"):
    return measure(batch(rows), zone)


def test_distribution_is_exact():
    view = overall.distribution(report_of(ROWS))
    rows = {row[0]: row[1:] for row in words([*view.rows, view.foot])}
    assert rows["30 s to under 1 min"] == ["1", "50.0 %", "50.0 %", "0", "0.0 %", "100.0 %"]
    assert rows["5 min to under 10 min"] == ["1", "50.0 %", "100.0 %", "0", "0.0 %", "100.0 %"]
    assert rows["5 s to under 10 s"][3] == "1"
    assert rows["All"] == ["2", "100.0 %", "", "1", "100.0 %", ""]
    spans = list(rows)
    assert (spans[0], spans[-2]) == ("under 1 s", "5 min to under 10 min")
    agents, end_users = view.figures
    assert agents.note == "2 sessions with a response; 1 without, left out"
    assert end_users.note == "1 session with a response; 2 without, left out"
    assert agents.label == (
        "Agents: distribution of the response time over 2 sessions. Half are within 42 s, "
        "90 % within 8 min 2 s."
    )


def test_the_longest_times_have_a_row():
    view = overall.distribution(report_of([summary("s", DAY_US, 400 * DAY_US)]))
    assert words(view.rows)[-1][:4] == ["30 days or more", "1", "100.0 %", "100.0 %"]
    assert view.figures[1].chart is None
    bars = view.figures[0].chart["layer"][0]["data"]["values"]
    assert [bar["y"] for bar in bars] == [1]


def test_hours_and_weekdays_are_of_the_start():
    start = at("2024-03-31T00:30:00")
    rows = [
        summary(str(i), start + DAY_US, 10 * SECOND_US, started_at=start + i * 60 * MINUTE_US)
        for i in range(2)
    ]
    # 01:30 and, as that night has no 02:30, 03:30.
    view = overall.by_hour(report_of(rows, "Europe/Berlin"))
    assert [row[0] for row in words(view.rows) if row[-1] == "1"] == ["01:00", "03:00"]
    assert {len(row) for row in view.rows} == {15}
    assert view.note == ""
    assert view.key == ((3, "all alike"),)
    assert view.figures[0].label == (
        "Median of the agents' response time by weekday and hour, Europe/Berlin. Longest: 10 s, "
        "Sunday 01:00."
    )


def test_where_no_start_is_known_the_end_stands_for_it():
    rows = [summary(str(i), DAY_US + i * MINUTE_US, SECOND_US) for i in range(2)]
    assert overall.by_hour(report_of(rows[:1])).note == (
        " 1 session has no start; the end stands for it."
    )
    assert overall.by_hour(report_of(rows)).note == (
        " 2 sessions have no start; the end stands for it."
    )


@pytest.mark.parametrize(
    ("times_s", "key"),
    [
        (
            (3, 12, 70),
            [
                *((0, "under 5 s"), (1, "from 5 s"), (2, "from 10 s"), (4, "from 20 s")),
                *((5, "from 30 s"), (6, "1 min or more")),
            ],
        ),
        ((12, 25), [(0, "under 20 s"), (6, "20 s or more")]),
        (
            (3, 3 * 86400),
            [
                *((0, "under 5 s"), (1, "from 5 s"), (2, "from 30 s"), (3, "from 5 min")),
                *((4, "from 30 min"), (5, "from 4 h"), (6, "2 days or more")),
            ],
        ),
    ],
)
def test_shades_of_the_hours(times_s, key):
    rows = [summary(str(i), i * HOUR_US, us * SECOND_US) for i, us in enumerate(times_s)]
    view = overall.by_hour(report_of(rows))
    assert view.key == tuple(key)
    fills = [cell["fill"] for cell in view.figures[0].chart["layer"][0]["data"]["values"]]
    assert (fills[0], fills[-1]) == ("var(--heat-0)", "var(--heat-6)")


def test_channel_types_beyond_the_most_frequent_are_one_row():
    rows = [
        summary(f"{c}-{i}", DAY_US, SECOND_US, channel_type=f"Channel{c:02}")
        for c in range(50)
        for i in range(60 - c)
    ]
    table = words(overall.by_channel(report_of(rows)).rows)
    assert len(table) == overall.MOST_CHANNELS + 1
    assert table[0][:2] == ["Channel00", "60"]
    assert table[-1][0] == f"{50 - overall.MOST_CHANNELS} others"
    assert sum(int(row[1].replace(",", "")) for row in table) == len(rows)


@pytest.mark.parametrize("types", [12, 13, 14])
def test_one_channel_type_more_is_no_reason_for_a_row_of_others(types):
    rows = [summary(f"{c}", DAY_US, channel_type=f"Channel{c:02}") for c in range(types)]
    names = [row[0] for row in words(overall.by_channel(report_of(rows)).rows)]
    assert names[:12] == [f"Channel{c:02}" for c in range(12)]
    assert names[12:] == {12: [], 13: ["Channel12"], 14: ["2 others"]}[types]


def test_channel_types():
    view = overall.by_channel(report_of(ROWS))
    assert words(view.rows) == [
        ["Text", "2", "12", "0", "0.0 %", "42 s", "8 min 2 s", "5 s", "5 s"],
        ["(not stated)", "1", "6", "0", "0.0 %", *["\N{EN DASH}"] * 4],
    ]
    assert view.figures[0].label == (
        "Agents: median and 90th percentile of the response time by channel type. "
        "Text: 42 s, 8 min 2 s"
    )
    assert overall.by_channel(report_of(ROWS[2:])).figures == ()


def test_slowest_sessions_are_exact():
    rows = [summary(f"s{i:02}", i * DAY_US, (i + 1) * 61_234_567) for i in range(30)]
    view = overall.slowest(report_of(rows))
    assert [row[0] for row in words(view.rows)] == [f"s{i:02}" for i in range(29, 19, -1)]
    assert [times_us(row)[4] for row in view.rows] == [
        (i + 1) * 61_234_567 for i in range(29, 19, -1)
    ]
    assert words(view.rows)[0][1:4] == ["(not stated)", "1970-01-30 00:00:00 UTC", "1"]


def test_without_responses_there_is_nothing():
    for rows in ([], [summary("s", DAY_US)]):
        report = report_of(rows)
        assert overall.distribution(report) == Section()
        assert overall.by_hour(report) == Section()
        assert overall.slowest(report) == Section()
    assert overall.by_channel(report_of([])) == Section()
