"""Instants and durations: whole microseconds; instants since the epoch, UTC."""

import datetime

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def date_of_day(day: int) -> str:
    """The date of a day that is counted from 1970-01-01.

    >>> date_of_day(20_000)
    '2024-10-04'
    """
    return (EPOCH.date() + datetime.timedelta(days=day)).isoformat()
