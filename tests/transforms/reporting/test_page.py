"""The page of a report: what its tables say is what went in, and it needs nothing but itself."""

from datetime import date

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from transforms.reporting.axes import MAJOR_US, count_ticks, day_ticks, time_domain, time_ticks

from tests.support.page import Page
from tests.support.summaries import (
    DAY_US,
    MINUTE_US,
    POLICY,
    SECOND_US,
    at,
    batch,
    contact_centre,
    summary,
)
from transforms.reporting import durations
from transforms.reporting.histograms import MAX_RELATIVE_ERROR
from transforms.reporting.measures import measure
from transforms.reporting.page import MOST_CHANNELS, element, render


def page_of(rows, zone="UTC", **options) -> Page:
    return Page(render(measure(batch(rows), zone), **options))


ROWS = [
    summary("s1", at("2024-10-02T12:00:00"), 42 * SECOND_US, channel_type="Text"),
    summary("s2", at("2024-10-02T23:30:00"), 8 * MINUTE_US, 5 * SECOND_US, channel_type="Text"),
    summary("s3", at("2024-10-05T08:00:00"), None, ends_unanswered=True, agent_messages=0),
]


def test_numbers_per_day():
    table = page_of(ROWS).table("Days on which sessions ended")
    assert table.rows == [
        ["Wed 2024-10-02", "2", "12", "4", "6", "2", "0", "0.0 %"],
        ["Sat 2024-10-05", "1", "4", "0", "3", "1", "1", "100.0 %"],
        ["All days", "3", "16", "4", "9", "3", "1", "33.3 %"],
    ]


def test_days_are_those_of_the_zone():
    table = page_of(ROWS, "Asia/Tokyo").table("Days on which sessions ended, in Asia/Tokyo")
    assert [row[:2] for row in table.rows] == [
        ["Wed 2024-10-02", "1"],
        ["Thu 2024-10-03", "1"],
        ["Sat 2024-10-05", "1"],
        ["All days", "3"],
    ]


def test_times_per_day():
    table = page_of(ROWS).table("Average response time of the sessions that ended on a day")
    assert [row[1::3] for row in table.rows] == [["2", "1"], ["0", "0"]]
    median, p90 = table.times_us[0][2:4]
    assert median == pytest.approx(42 * SECOND_US, rel=MAX_RELATIVE_ERROR)
    assert p90 == pytest.approx(8 * MINUTE_US, rel=MAX_RELATIVE_ERROR)
    assert table.times_us[1] == [None] * 7


def test_distribution_is_exact():
    page = page_of(ROWS)
    table = page.table("Sessions by their average response time")
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["30 s to under 1 min"] == ["1", "50.0 %", "50.0 %", "0", "0.0 %", "100.0 %"]
    assert rows["5 min to under 10 min"] == ["1", "50.0 %", "100.0 %", "0", "0.0 %", "100.0 %"]
    assert rows["5 s to under 10 s"][3] == "1"
    assert rows["All"] == ["2", "100.0 %", "", "1", "100.0 %", ""]
    assert "2 sessions with a response; 1 without, left out" in "".join(page.texts)


def test_hours_and_weekdays_are_of_the_start():
    start = at("2024-03-31T00:30:00")
    rows = [
        summary(str(i), start + DAY_US, 10 * SECOND_US, started_at=start + i * 60 * MINUTE_US)
        for i in range(2)
    ]
    page = page_of(rows, "Europe/Berlin")  # 01:30, and, as that night has no 02:30, 03:30
    table = page.table("Median of the agents' response time, Europe/Berlin")
    assert table.head[-2:] == ["Sunday", "sessions"]
    assert [row[0] for row in table.rows if row[-1] == "1"] == ["01:00", "03:00"]


def test_channel_types_beyond_the_most_frequent_are_one_row():
    rows = [
        summary(f"{c}-{i}", DAY_US, SECOND_US, channel_type=f"Channel{c:02}")
        for c in range(50)
        for i in range(60 - c)
    ]
    table = page_of(rows).table("Sessions by channel type")
    assert len(table.rows) == MOST_CHANNELS + 1
    assert table.rows[0][:2] == ["Channel00", "60"]
    assert table.rows[-1][0] == f"{50 - MOST_CHANNELS} others"
    assert sum(int(row[1].replace(",", "")) for row in table.rows) == len(rows)


def test_slowest_sessions_are_exact():
    rows = [summary(f"s{i:02}", i * DAY_US, (i + 1) * 61_234_567) for i in range(30)]
    table = page_of(rows).table("By the average")
    assert [row[0] for row in table.rows] == [f"s{i:02}" for i in range(29, 19, -1)]
    assert [times[4] for times in table.times_us] == [
        (i + 1) * 61_234_567 for i in range(29, 19, -1)
    ]
    assert table.rows[0][2] == "1970-01-30 00:00:00 UTC"


def test_rejects_and_fates_of_rows():
    counts = {
        "messages_read": 2000,
        "messages_counted": 1985,
        "messages_rejected_sent_at_invalid": 15,
        "sessions_read": 3,
        "sessions_reported": 3,
        "records_written": 18,
    }
    page = page_of(ROWS, counts=counts)
    assert page.table("Rows that could not be used").rows == [
        ["messages", "sent_at_invalid", "15", "0.8 %"]
    ]
    assert page.table("Rows read").rows == [
        ["messages", "counted", "1,985", "99.2 %"],
        ["messages", "rejected sent at invalid", "15", "0.8 %"],
        ["sessions", "reported", "3", "100.0 %"],
    ]
    none = page_of(ROWS, counts={"messages_read": 5, "messages_counted": 5})
    assert "No row was rejected: 5 messages were read." in none.texts
    assert "without the counts of the run" in "".join(page_of(ROWS).texts)


def test_what_the_page_was_made_with():
    text = "".join(page_of(ROWS, settings={"closed_from": "2024-10-01"}).texts)
    assert "closed_from2024-10-01" in text
    assert POLICY in text
    assert "differ from the exact ones by at most 1 %" in text
    assert "policies" not in text


def test_summaries_of_different_policies_are_told_of():
    rows = [*ROWS, summary("s4", DAY_US, policy_bots="answer")]
    text = "".join(page_of(rows).texts)
    assert "2 policies. These sessions were not all timed by the same rules" in text
    assert "bots=answer late_messages=include (1 session, 25.0 %)" in text


CASES = {
    "none": [],
    "one session": ROWS[:1],
    "no response": [summary("s", DAY_US)],
    "no response of an agent": [summary("s", DAY_US, None, SECOND_US)],
    "responses at once": [summary("s", DAY_US, 0, 0)],
    "a year-long response": [summary("s", DAY_US, 400 * DAY_US, 3)],
    "gaps": [summary(str(d), d * DAY_US, d * SECOND_US) for d in (0, 1, 9, 40, 41, 350)],
    "far apart": [
        summary("a", at("0001-01-01T00:00:00"), SECOND_US),
        summary("b", at("9999-12-31T23:59:59"), SECOND_US),
    ],
    "the last day": [summary("b", at("9999-12-31T23:59:59"), SECOND_US)],
    "no channel": [summary("s", DAY_US, SECOND_US, channel_type=None)],
}


def check_page(text: str) -> Page:
    page = Page(text)
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    names = [name for name, _ in page.elements]
    assert not {"script", "link", "img", "iframe", "object", "foreignobject"} & set(names)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for name, attributes in page.elements:
        for attribute, value in attributes.items():
            assert not attribute.startswith("on")
            if attribute in ("href", "src", "xlink:href"):
                assert (name, value[:1]) == ("a", "#")
                assert value[1:] in ids
            if attribute == "aria-labelledby":
                assert value in ids
    assert "url(" not in text
    assert "@import" not in text
    for name in ("main", "header", "nav", "h1", "title"):
        assert names.count(name) == 1
    for table in page.tables:
        assert table.caption
        assert all(len(row) == len(table.head) for row in table.rows)
    cells = [attributes for name, attributes in page.elements if name == "th"]
    assert all(attributes.get("scope") in ("row", "col") for attributes in cells)
    svgs = names.count("svg")
    assert svgs == sum(attributes.get("role") == "img" for _, attributes in page.elements)
    assert "NaN" not in text
    assert "undefined" not in text
    return page


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland"])
@pytest.mark.parametrize("rows", CASES.values(), ids=CASES)
def test_every_kind_of_input_makes_a_whole_page(rows, zone):
    check_page(render(measure(batch(rows), zone)))


@pytest.mark.parametrize("days", [28, 93, 1000])
def test_a_long_time_makes_a_page(days):
    report = measure(contact_centre(days=days, sessions=4000), "Europe/Berlin")
    page = check_page(render(report))
    assert len(page.table("Days on which sessions ended").rows) == len(report.days.counts.keys) + 1
    text = "".join(page.texts)
    assert ("Sessions per week" in text) == (days == 1000)


def test_the_same_report_gives_the_same_bytes():
    report = measure(contact_centre(sessions=500), "Europe/Berlin")
    assert render(report) == render(report)


HOSTILE = '<script>alert("1.23456")</script>&amp;\'"--> role="x" \u202e'


def test_what_comes_from_data_is_text():
    rows = [
        summary(HOSTILE, DAY_US, SECOND_US, channel_type=HOSTILE, policy_bots=HOSTILE),
        summary("other", DAY_US, SECOND_US, channel_type="v1.23456"),
    ]
    counts = {"messages_read": 1, f"messages_rejected_{HOSTILE}": 1}
    text = render(measure(batch(rows), "UTC"), counts, {HOSTILE: HOSTILE})
    page = check_page(text)
    assert page.table("Sessions by channel type").rows[0][0] == HOSTILE
    assert page.table("By the average").rows[0][:2] == [HOSTILE, HOSTILE]
    assert page.table("Rows that could not be used").rows[0][1] == HOSTILE
    assert page.texts.count("v1.23456") == 4  # two charts, two tables
    assert "<script" not in text


def test_elements_escape():
    assert element("p", "<&", None, element("b", '"'), class_='a"b', aria_label="<") == (
        '<p class="a&quot;b" aria-label="&lt;">&lt;&amp;<b>&quot;</b></p>'
    )


# Words and axes


@pytest.mark.parametrize(
    ("time_us", "words", "compact", "iso"),
    [
        (0, "0 s", "<1s", "PT0S"),
        (7, "7 µs", "<1s", "PT0.000007S"),
        (123_456, "123 ms", "<1s", "PT0.123456S"),
        (1_000_000, "1 s", "1s", "PT1S"),
        (4_240_000, "4.2 s", "4s", "PT4.24S"),
        (9_990_000, "10 s", "10s", "PT9.99S"),
        (59_600_000, "1 min", "1m", "PT59.6S"),
        (185_000_000, "3 min 5 s", "3.1m", "PT185S"),
        (3_599_600_000, "1 h", "1h", "PT3599.6S"),
        (5_400_000_000, "1 h 30 min", "1.5h", "PT5400S"),
        (86_399_000_000, "1 d", "24h", "PT86399S"),
        (187_200_000_000, "2 d 4 h", "2.2d", "PT187200S"),
    ],
)
def test_words_for_times(time_us, words, compact, iso):
    assert durations.words(time_us) == words
    assert durations.compact(time_us) == compact
    assert durations.iso(time_us) == iso


def test_round_times_have_one_unit():
    shown = [durations.short(us) for us in MAJOR_US]
    assert shown == [
        "1 s",
        "10 s",
        "1 min",
        "10 min",
        "1 h",
        "1 day",
        "7 days",
        "30 days",
        "365 days",
    ]


@given(st.integers(0, 10**15), st.integers(0, 10**15))
def test_an_axis_of_times_holds_both(one, other):
    least, most = sorted((one, other))
    below, above = time_domain(least, most)
    assert below < above
    assert below <= max(least, SECOND_US)
    assert above >= min(most, MAJOR_US[-1])
    ticks = time_ticks((below, above), 150, 24)
    assert all(below <= us <= above for us, _ in ticks)
    assert 1 <= len(ticks) <= 8


@given(st.integers(0, 10**12))
def test_an_axis_of_counts_holds_the_most(most):
    ticks = count_ticks(most)
    assert ticks[0] == (0, "0")
    assert ticks[-1][0] >= max(most, 1)
    assert 2 <= len(ticks) <= 5


@settings(max_examples=300)
@given(st.dates(), st.integers(0, 4_000_000), st.sampled_from([5, 12]))
def test_an_axis_of_days_names_some_of_them(first, span, most):
    start = (first - date(1970, 1, 1)).days
    last = min(start + span, (date.max - date(1970, 1, 1)).days)
    ticks = day_ticks(start, last, most)
    assert len(ticks) <= most
    assert all(start <= at < last + 1 for at, _ in ticks)
    if last - start >= 7:
        assert ticks
    assert len({at for at, _ in ticks}) == len(ticks)
