"""What a person sees of a run."""

import io

import pytest
from rich.console import Console

from pipelines.jobs import console

STAGES = {
    "read_busy_ms": 1_200,
    "read_rows": 1_234_567,
    "read_bytes": 12_600_000,
    "key_busy_ms": 3_000,
    "key_rows": 0,
    "fold_busy_ms": 3_000,
    "fold_rows": 0,
    "write_busy_ms": 2_800,
    "write_rows": 0,
}


def shown(table):
    out = io.StringIO()
    Console(file=out, width=80).print(table)
    return [line.split() for line in out.getvalue().splitlines()]


def test_stages_are_shown_from_ten_seconds_on():
    assert console.stage_table(STAGES | {"write_busy_ms": 2_799}) is None
    assert shown(console.stage_table(STAGES)) == [
        ["stage", "rows", "MB", "thread", "seconds"],
        ["read", "1,234,567", "13", "1.2"],
        ["key", "0", "0", "3.0"],
        ["fold", "0", "0", "3.0"],
        ["write", "0", "0", "2.8"],
    ]


def test_values_that_were_capped_are_shown_where_there_are_some():
    lines = shown(console.closing_table({"values_capped": 2, "records_written": 6}))
    assert lines == [
        ["values", "capped", "at", "999,999,999", "2"],
        ["records", "written", "6"],
    ]
    assert shown(console.closing_table({})) == [["records", "written", "0"]]


def test_how_messages_got_their_sessions_is_shown_where_any_names_only_its_conversation():
    counts = {"messages_read": 9, "assigned_by_session_id": 9}
    assert shown(console.closing_table(counts)) == [
        ["messages", "read", "9"],
        ["records", "written", "0"],
    ]
    counts = {
        "messages_read": 9,
        "assigned_as_late": 1,
        "assigned_by_session_id": 4,
        "assigned_to_none": 4,
    }
    assert shown(console.closing_table(counts)) == [
        ["messages", "read", "9"],
        ["messages", "assigned", "to", "sessions", "5"],
        ["as", "late", "1"],
        ["by", "session", "id", "4"],
        ["messages", "assigned", "to", "none", "4"],
        ["records", "written", "0"],
    ]


OUTSIDE = "see --message_time_zone and --session_time_zone"
AGREE = "Salesforce's own counts of messages agree in"


@pytest.mark.parametrize(
    ("counts", "lines"),
    [
        ({}, []),
        ({"messages_counted": 10, "outside_messages": 2, "outside_messages_median_min": 180}, []),
        (
            {"messages_counted": 9, "outside_messages": 2, "outside_messages_median_min": 195},
            [
                "2 of 9 messages are outside of their session, half of them by about 3.25 h or more: the "
                f"clocks of messages and sessions may differ; {OUTSIDE}"
            ],
        ),
        (
            {
                "messages_counted": 4,
                "messages_late": 5,
                "outside_messages": 2_000,
                "outside_messages_by_0_min": 1_001,
                "outside_messages_by_600_min": 999,
            },
            [
                "2,000 of 9 messages are outside of their session: the clocks of messages and sessions "
                f"may differ; {OUTSIDE}"
            ],
        ),
        ({"sessions_reported": 4, "reported_without_messages": 2}, []),
        (
            {"sessions_reported": 4_000, "reported_without_messages": 2_001},
            [
                "2,001 of 4,000 reported sessions have no message that counts: messages may be missing"
            ],
        ),
        ({"checked_sessions": 10, "checked_sessions_agree": 9}, [f"{AGREE} 9 of 10 sessions"]),
        (
            {"checked_sessions": 9_940, "checked_sessions_agree": 8_945},
            [
                f"{AGREE} 8,945 of 9,940 sessions: messages are missing, or belong elsewhere",
            ],
        ),
        (
            {"checked_sessions": 3},
            [f"{AGREE} 0 of 3 sessions: messages are missing, or belong elsewhere"],
        ),
    ],
)
def test_what_the_last_lines_doubt(counts, lines):
    assert console.doubts(counts) == lines


def test_an_export_that_is_cut_off_is_told():
    counts = {"pages_with_more_of_messages": 1200, "pages_last_of_sessions": 1}
    line = (
        "the export of the messages is cut off: 1,200 of its pages say that more follow, and none "
        "says that it is the last"
    )
    assert console.doubts(counts) == [line]
    assert console.doubts(counts | {"pages_last_of_messages": 1}) == []
    # Those of one input are none of another.
    both = console.doubts({"pages_with_more_of_sessions": 1, "pages_with_more_of_records": 1})
    assert [text.split()[4] for text in both] == ["sessions", "records"]
