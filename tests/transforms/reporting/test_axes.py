"""What the axes name, as Vega draws them."""

import itertools
import re
from datetime import date

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings

from tests.support.page import axis_labels
from tests.support.summaries import SECOND_US
from transforms.reporting import charts
from transforms.reporting.axes import MAJOR_US, time_domain, time_ticks
from transforms.reporting.charts import NARROW, WIDE
from transforms.reporting.histograms import LADDER_US


def day(text: str) -> int:
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


def drawn_days(first: str, last: str, width: int = WIDE, most: int = 9) -> list[list[str]]:
    """The labels of days and counts of a chart of bars from a day to another."""
    counts = {day(first): most, day(last): 1}
    step = 1 if day(last) - day(first) < 400 else 7
    return axis_labels(charts.draw(charts.counts_by_day([("red", counts)], step), width))


@given(st.integers(0, 10**15), st.integers(0, 10**15))
def test_an_axis_of_times_holds_both(one, other):
    least, most = sorted((one, other))
    below, above = time_domain(least, most)
    assert below < above
    assert below <= max(least, SECOND_US)
    assert above >= min(most, MAJOR_US[-1])
    ticks = time_ticks((below, above))
    assert set(ticks) <= {*LADDER_US, *MAJOR_US}
    assert all(below <= us <= above for us in ticks)
    assert 2 <= len(ticks) <= 12


@pytest.mark.parametrize(
    ("most", "named"),
    [
        (0, ["0", "1"]),
        (1, ["0", "1"]),
        (2, ["0", "1", "2"]),
        (3, ["0", "1", "2", "3"]),
        (7, ["0", "2", "4", "6", "8"]),
        (331, ["0", "100", "200", "300", "400"]),
        (5_712_000, ["0", "2,000,000", "4,000,000", "6,000,000"]),
    ],
)
def test_an_axis_of_counts_holds_the_most(most, named):
    assert drawn_days("2024-10-02", "2024-10-03", most=most)[1] == named


@pytest.mark.parametrize(
    ("first", "last", "width", "named"),
    [
        (
            "2024-10-02",
            "2024-10-02",
            WIDE,
            ["29 Sep", "30 Sep", "1 Oct", "2 Oct", "3 Oct", "4 Oct", "5 Oct"],
        ),
        ("2024-10-02", "2024-10-05", NARROW, ["2 Oct", "4 Oct", "6 Oct"]),
        ("2024-09-30", "2024-10-27", NARROW, ["6 Oct", "13 Oct", "20 Oct", "27 Oct"]),
        (
            "2024-09-30",
            "2025-04-15",
            NARROW,
            ["1 Oct", "1 Nov", "1 Dec", "1 Jan", "1 Feb", "1 Mar", "1 Apr"],
        ),
        (
            "2024-09-30",
            "2026-12-01",
            WIDE,
            ["Oct", "2025", "Apr", "Jul", "Oct", "2026", "Apr", "Jul", "Oct"],
        ),
        ("2024-09-30", "2026-12-01", NARROW, ["2025", "2026"]),
    ],
)
def test_an_axis_of_days_names_some_of_them(first, last, width, named):
    assert drawn_days(first, last, width)[0] == named


@settings(max_examples=12)
@given(st.dates(), st.integers(0, 4_000_000), st.sampled_from([NARROW, WIDE]))
@example(date(2000, 1, 1), 2002, WIDE)
def test_labels_of_days_are_few_and_do_not_overlap(first, span, width):
    last = min(first.toordinal() + span, date.max.toordinal())
    step = 1 if last - first.toordinal() < 400 else 7
    counts = {day(str(first)): 1, day(str(date.fromordinal(last))): 1}
    svg = charts.draw(charts.counts_by_day([("red", counts)], step), width)
    axis = re.search(r'role-axis-label">(.*?)</g>', svg)[1]
    places = sorted(float(at) for at in re.findall(r"translate\(([-.\d]+),", axis))
    # One for each 70 pixels is asked for. Vega may give twice as many: a year has four quarters.
    assert 1 <= len(places) <= width / 35 + 1
    assert all(after - before > 30 for before, after in itertools.pairwise(places))
