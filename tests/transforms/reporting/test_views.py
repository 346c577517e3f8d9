"""What a cell of the page shows."""

import pytest

from tests.support.summaries import DAY_US, at
from transforms.reporting import views
from transforms.reporting.views import NONE, Time


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (0, 0, NONE),
        (0, 9, "0.0 %"),
        (1, 3, "33.3 %"),
        (2, 2, "100.0 %"),
        (1, 1000, "0.1 %"),
        (1, 1001, "< 0.1 %"),
    ],
)
def test_shares(part, whole, words):
    assert views.share(part, whole) == words


def test_counts():
    assert views.number(1_234_567) == "1,234,567"
    assert [views.plural(n, "day") for n in (0, 1, 1000)] == ["0 days", "1 day", "1,000 days"]
    assert [views.plural(n, "is", "are") for n in (1, 2)] == ["1 is", "2 are"]


def test_times_are_for_people_and_machines():
    assert views.duration(None) == NONE
    assert views.duration(185_000_000) == Time("3 min 5 s", "PT185S")
    assert Time.day(at("2024-10-02T00:00:00") // DAY_US) == Time("Wed 2024-10-02", "2024-10-02")
    instant = Time.instant(at("2024-10-02T07:08:09.999999"))
    assert instant == Time("2024-10-02 07:08:09 UTC", "2024-10-02T07:08:09Z")
    assert Time.instant(-1).iso == "1969-12-31T23:59:59Z"
