"""Days and dates."""

import pytest

from transforms.instants import DAY_US, EPOCH, SECOND_US, date_of_day


@pytest.mark.parametrize(
    ("day", "date"),
    [(0, "1970-01-01"), (-1, "1969-12-31"), (19_782, "2024-02-29"), (20_000, "2024-10-04")],
)
def test_date_of_day(day, date):
    assert date_of_day(day) == date


def test_units_are_microseconds_since_the_epoch_utc():
    assert (SECOND_US, DAY_US) == (10**6, 24 * 60 * 60 * 10**6)
    assert EPOCH.timestamp() == 0
