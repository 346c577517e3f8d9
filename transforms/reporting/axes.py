"""Where the axes of the charts have their ticks, and what stands there. Pure; no Beam."""

import datetime
from collections.abc import Iterator

from transforms.reporting import durations
from transforms.reporting.histograms import LADDER_US

_LEAST_DAYS = 7  # so that a bar is no wall

MAJOR_US = tuple(
    1_000_000 * seconds for seconds in (1, 10, 60, 600, 3600, 86400, 604800, 2592000, 31536000)
)
"""The first choice for ticks of a logarithmic axis of times."""

_FINE_US = (*LADDER_US, MAJOR_US[-1])

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

# Axes


EPOCH = datetime.date(1970, 1, 1).toordinal()


def date_of(day: int) -> datetime.date:
    """The date of a day since 1970-01-01; of one that no calendar has, the first or the last."""
    return datetime.date.fromordinal(min(max(day + EPOCH, 1), datetime.date.max.toordinal()))


def day_of(date: datetime.date) -> int:
    """The number of a date's day, counted from 1970-01-01."""
    return date.toordinal() - EPOCH


def short_date(day: int) -> str:
    """The day and the month, such as `2 Oct`."""
    date = date_of(day)
    return f"{date.day} {_MONTHS[date.month - 1]}"


def day_domain(first: int, last: int) -> tuple[int, int]:
    """The days that an axis spans, half open."""
    missing = max(0, _LEAST_DAYS - (last + 1 - first))
    return first - missing // 2, last + 1 + missing - missing // 2


def _month_starts(first: int, last: int, step: int) -> Iterator[datetime.date]:
    start = date_of(first)
    month = start.year * 12 + start.month - 1
    month += start.day > 1
    month += -month % step
    while month // 12 <= datetime.MAXYEAR:
        date = datetime.date(month // 12, month % 12 + 1, 1)
        if day_of(date) > last:
            return
        yield date
        month += step


def day_ticks(first: int, last: int, most: int) -> list[tuple[float, str]]:
    """Where days, Mondays, months or years are named, at most so many, in words."""
    for step in (1, 2):
        if last - first < most * step:
            days = range(first, last + 1, step)
            return [(day + 0.5, short_date(day)) for day in days]
    for step in (7, 14):
        monday = first + -(first + 3) % 7
        mondays = range(monday, last + 1, step)
        if len(mondays) <= most:
            return [(day + 0.5, short_date(day)) for day in mondays]
    for step in (1, 2, 3, 6):
        months = [] if last - first > 31 * step * most else list(_month_starts(first, last, step))
        if 0 < len(months) <= most:
            return [
                (
                    day_of(date),
                    f"{_MONTHS[date.month - 1]} {date.year}"
                    if index == 0 or date.month <= step
                    else _MONTHS[date.month - 1],
                )
                for index, date in enumerate(months)
            ]
    for years in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000):
        if last - first < 365 * years * (most - 1):
            break
    return [(day_of(date), str(date.year)) for date in _month_starts(first, last, 12 * years)]


def count_ticks(most: int) -> list[tuple[float, str]]:
    """Nought and two to four round numbers up to a number or just beyond it."""
    magnitude = 10 ** max(0, len(str(most)) - 2)
    steps = (n * m for m in (magnitude, 10 * magnitude, 100 * magnitude) for n in (1, 2, 5))
    step = next(step for step in steps if step * 4 >= most)
    return [(n * step, f"{n * step:,}") for n in range(-(-max(most, 1) // step) + 1)]


def time_domain(least_us: int, most_us: int) -> tuple[int, int]:
    """Two different times that people think in, not below 1 s, with both times between them."""
    below = max(us for us in _FINE_US if us <= max(least_us, _FINE_US[0]))
    above = next((us for us in _FINE_US if us >= most_us and us > below), _FINE_US[-1])
    return (below, above) if above > below else (_FINE_US[-2], above)


def time_ticks(domain: tuple[int, int], pixels: int, apart: int) -> list[tuple[float, str]]:
    """Ticks of a logarithmic axis of so many pixels: those of `MAJOR_US`, others where there is room."""
    least = (domain[1] / domain[0]) ** (apart / pixels)  # the ratio of two ticks
    found: list[int] = []
    for us in (*MAJOR_US, *_FINE_US):
        clear = all(max(us, other) >= least * min(us, other) for other in found)
        if clear and domain[0] <= us <= domain[1]:
            found.append(us)
    return [(us, durations.short(us)) for us in sorted(found)]
