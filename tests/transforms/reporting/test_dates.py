"""Days in words."""

import datetime

import numpy as np
import pytest

from transforms.reporting import dates


def day(text: str) -> int:
    return (datetime.date.fromisoformat(text) - datetime.date(1970, 1, 1)).days


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("2024-10-02", "2024-10-02", "2 October 2024"),
        ("2024-10-02", "2024-10-05", "2 to 5 October 2024"),
        ("2024-09-30", "2024-10-27", "30 September to 27 October 2024"),
        ("2024-10-02", "2025-10-02", "2 October 2024 to 2 October 2025"),
        ("0001-01-01", "9999-12-31", "1 January 1 to 31 December 9999"),
    ],
)
def test_spans_of_days(first, last, words):
    assert dates.span(day(first), day(last)) == words


def test_a_day_beyond_the_calendar_is_the_first_or_the_last():
    assert dates.date_of(day("0001-01-01") - 1) == datetime.date.min
    assert dates.date_of(day("9999-12-31") + 1) == datetime.date.max


def test_weeks_begin_on_monday():
    days = np.array([day(f"2024-10-{number:02}") for number in (6, 7, 8, 13, 14)])
    mondays = [day(text) for text in ("2024-09-30", *["2024-10-07"] * 3, "2024-10-14")]
    assert dates.monday_of(days).tolist() == mondays
    assert dates.monday_of(np.array([0, -4])).tolist() == [-3, -10]
