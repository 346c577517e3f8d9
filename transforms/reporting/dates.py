"""Days as people write them. Pure; no Beam."""

import datetime

import numpy as np
from numpy.typing import NDArray

from transforms.instants import EPOCH

_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def date_of(day: int) -> datetime.date:
    """The date of a day since 1970-01-01; the first or the last date for a day beyond them."""
    ordinal = day + EPOCH.toordinal()
    return datetime.date.fromordinal(min(max(ordinal, 1), datetime.date.max.toordinal()))


def monday_of(days: NDArray[np.int64]) -> NDArray[np.int64]:
    """The Monday of the week of each day; day 0 is a Thursday."""
    return days - (days + 3) % 7


def words(day: int) -> str:
    """A day such as `2 October 2024`."""
    date = date_of(day)
    return f"{date.day} {_MONTHS[date.month - 1]} {date.year}"


def span(first: int, last: int) -> str:
    """The days from one to another, such as `28 September to 2 October 2024`."""
    if first == last:
        return words(first)
    start, end = date_of(first), date_of(last)
    if start.year != end.year:
        return f"{words(first)} to {words(last)}"
    if start.month != end.month:
        return f"{start.day} {_MONTHS[start.month - 1]} to {words(last)}"
    return f"{start.day} to {words(last)}"
