"""The page as it is written: a whole document that needs nothing but itself."""

import pytest

from tests.support.page import Page
from tests.support.reports import words
from tests.support.summaries import DAY_US, POLICY, SECOND_US, at, batch, contact_centre, summary
from transforms.reporting.measures import Report, measure
from transforms.reporting.page import ReportPage, headlines, made, rejected, view_of
from transforms.reporting.views import NONE, Code, Headline, Time

ROWS = [
    summary("s1", at("2024-10-02T12:00:00"), 42 * SECOND_US, channel_type="Text"),
    summary("s2", at("2024-10-02T23:30:00"), 480 * SECOND_US, 5 * SECOND_US, channel_type="Text"),
    summary("s3", at("2024-10-05T08:00:00"), None, ends_unanswered=True, agent_messages=0),
]


def report_of(rows, zone="UTC"):
    return measure(batch(rows), zone)


def render(report: Report, counts=None, settings=()) -> str:
    return ReportPage("", settings=settings).render(report, counts).decode()


def test_headlines():
    sessions, messages, unanswered, agents, end_users = headlines(report_of(ROWS))
    assert sessions == Headline("Sessions", "3", "on 2 days")
    assert messages == Headline("Messages", "16", "4 by agents, 9 by end users, 3 by bots")
    assert unanswered == Headline(
        "Unanswered sessions", "1", "33.3 % ended with the end user waiting for an agent"
    )
    assert (agents.name, agents.value.words, agents.within.words) == (
        *("Agents respond in", "42 s"),
        "8 min 2 s",
    )
    assert agents.note == "median; 90 % of sessions within "
    assert (end_users.name, end_users.value.words) == ("End users respond in", "5 s")
    none = headlines(report_of([]))
    assert [(one.value, one.note) for one in none] == [
        ("0", "on 0 days"),
        ("0", "0 by agents, 0 by end users, 0 by bots"),
        ("0", "none ended with the end user waiting for an agent"),
        (NONE, "no session has one"),
        (NONE, "no session has one"),
    ]


COUNTS = {
    "messages_read": 2000,
    "messages_counted": 1985,
    "messages_rejected_sent_at_invalid": 15,
    "sessions_read": 3,
    "sessions_reported": 3,
    "records_written": 18,
}


def test_rejects_and_fates_of_rows():
    view = rejected(COUNTS)
    assert view.read == "2,000 messages, 3 sessions"
    assert words(view.reasons) == [["messages", "sent_at_invalid", "15", "0.8 %"]]
    assert view.reasons[0][1] == Code("sent_at_invalid")
    assert words(view.fates) == [
        ["messages", "counted", "1,985", "99.2 %"],
        ["messages", "rejected sent at invalid", "15", "0.8 %"],
        ["sessions", "reported", "3", "100.0 %"],
    ]
    none = rejected({"messages_read": 5, "messages_counted": 5})
    assert (none.reasons, none.read) == ((), "5 messages")
    assert rejected({}).read == "nothing"
    assert view_of(report_of(ROWS), None, ()).rejected is None


def test_what_the_page_was_made_with():
    view = made(report_of(ROWS), [("closed_from", "2024-10-01")])
    assert view.settings == (("closed_from", "2024-10-01"),)
    assert view.policies == ((POLICY, ""),)
    assert view.max_error == "1 %"
    assert view.ended == (
        Time("2024-10-02 12:00:00 UTC", "2024-10-02T12:00:00Z"),
        Time("2024-10-05 08:00:00 UTC", "2024-10-05T08:00:00Z"),
    )
    assert made(report_of([]), ()).ended == ()


def test_summaries_of_different_policies_are_reported():
    rows = [*ROWS, summary("s4", DAY_US, policy_bots="answer")]
    other = POLICY.replace("bots=ignore", "bots=answer")
    assert sorted(made(report_of(rows), ()).policies) == [
        (other, " (1 session, 25.0 %)"),
        (POLICY, " (3 sessions, 75.0 %)"),
    ]


def test_the_words_of_a_page():
    rows = [*ROWS, summary("s4", DAY_US, policy_bots="answer")]
    page = Page(render(report_of(rows), COUNTS, (("closed_from", "2024-10-01"),)))
    text = "".join(page.texts)
    assert "2 policies. These sessions were not all timed by the same rules" in text
    assert "bots=answer late_messages=include (1 session, 25.0 %)" in text
    assert "closed_from2024-10-01" in text
    assert "differ from the exact ones by at most 1 %" in text
    assert "2 sessions with a response; 2 without, left out" in text
    assert "4 sessions have no start; the end stands for it." in text
    assert page.table("Days on which sessions ended, in UTC").rows[0] == [
        *("Fri 1970-01-02", "1", "6", "2", "3"),
        *("1", "0", "0.0 %"),
    ]
    assert page.table("Rows that could not be used").rows == [
        ["messages", "sent_at_invalid", "15", "0.8 %"]
    ]
    assert [table.caption for table in page.tables] == [
        "Days on which sessions ended, in UTC",
        "Average response time of the sessions that ended on a day",
        "Sessions by their average response time; exact counts",
        "Median of the agents' response time, UTC",
        "Sessions by channel type, the most first",
        "By the average of the agents' response times, exact",
        "Rows that could not be used, of 2,000 messages, 3 sessions that were read",
        "Rows read: 2,000 messages, 3 sessions",
    ]


def test_the_words_where_there_is_nothing():
    text = "".join(Page(render(report_of([]))).texts)
    assert text.count("There are no sessions.") == 2
    assert text.count("No session has a response.") == 2
    assert text.count("No session has a response of an agent.") == 2
    assert "without the counts of the run" in text
    assert "policies" not in text
    counted = Page(render(report_of([]), {"messages_read": 5, "messages_counted": 5}))
    assert "No row was rejected: 5 messages were read." in "".join(counted.texts)


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


def tables_of(view) -> list[tuple]:
    sections = (view.days, view.times, view.distribution, view.hours, view.channels, view.slowest)
    return [(*section.rows, section.foot) if section.foot else section.rows for section in sections]


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland"])
@pytest.mark.parametrize("rows", CASES.values(), ids=CASES)
def test_every_kind_of_input_has_whole_tables(rows, zone):
    view = view_of(report_of(rows, zone), None, ())
    for table, width in zip(tables_of(view), (8, 7, 7, 15, 9, 6), strict=True):
        assert {len(row) for row in table} <= {width}
    assert bool(view.days.rows) == bool(view.channels.rows) == bool(rows)


@pytest.mark.parametrize("rows", CASES.values(), ids=CASES)
def test_every_kind_of_input_makes_a_whole_page(rows):
    check_page(render(report_of(rows, "Pacific/Auckland")))


@pytest.mark.parametrize("days", [93, 1000])
def test_a_long_time_makes_a_page(days):
    report = measure(contact_centre(days=days, sessions=4000), "Europe/Berlin")
    page = check_page(render(report))
    assert len(page.table("Days on which sessions ended").rows) == len(report.days.counts.keys) + 1
    text = "".join(page.texts)
    assert ("Sessions per week" in text) == (days == 1000)


def test_the_same_report_gives_the_same_bytes():
    report = measure(contact_centre(days=28, sessions=500), "Europe/Berlin")
    text = render(report)
    check_page(text)
    assert render(report) == text


HOSTILE = '<script>alert("1.23456")</script>&amp;\'"--> role="x" \u202e'


def test_what_comes_from_data_is_text():
    rows = [
        summary(HOSTILE, DAY_US, SECOND_US, channel_type=HOSTILE, policy_bots=HOSTILE),
        summary("other", DAY_US, SECOND_US, channel_type="v1.23456"),
    ]
    counts = {"messages_read": 1, f"messages_rejected_{HOSTILE}": 1}
    text = render(report_of(rows), counts, ((HOSTILE, HOSTILE),))
    page = check_page(text)
    assert page.table("Sessions by channel type").rows[0][0] == HOSTILE
    assert page.table("By the average").rows[0][:2] == [HOSTILE, HOSTILE]
    assert page.table("Rows that could not be used").rows[0][1] == HOSTILE
    # Two charts, two tables.
    assert page.texts.count("v1.23456") == 4
    assert "<script" not in text
