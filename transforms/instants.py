"""Instants and durations: whole microseconds; instants since the epoch, UTC."""

import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def date_of_day(day: int) -> str:
    """The date of a day that is counted from 1970-01-01.

    >>> date_of_day(20_000)
    '2024-10-04'
    """
    return (EPOCH.date() + datetime.timedelta(days=day)).isoformat()


def end_of_second(instants_us: "NDArray[np.int64]") -> "NDArray[np.int64]":
    """The last microsecond of ends: one without a fraction has whole seconds, and is its whole second.

    >>> import numpy as np
    >>> end_of_second(np.array([1_000_000, 1_500_000]))
    array([1999999, 1500000])
    """
    is_whole = instants_us % SECOND_US == 0
    return instants_us + is_whole * (SECOND_US - 1)
