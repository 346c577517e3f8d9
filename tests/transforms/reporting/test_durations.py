"""Times in words."""

import pytest

from transforms.reporting import durations
from transforms.reporting.axes import MAJOR_US


@pytest.mark.parametrize(
    ("time_us", "words", "compact", "iso"),
    [
        (0, "0 s", "<1s", "PT0S"),
        (7, "7 µs", "<1s", "PT0.000007S"),
        (123_456, "123 ms", "<1s", "PT0.123456S"),
        (1_000_000, "1 s", "1s", "PT1S"),
        (4_240_000, "4.2 s", "4s", "PT4.24S"),
        (9_990_000, "10 s", "10s", "PT9.99S"),
        (59_600_000, "1 min", "1m", "PT59.6S"),
        (185_000_000, "3 min 5 s", "3.1m", "PT185S"),
        (3_599_600_000, "1 h", "1h", "PT3599.6S"),
        (5_400_000_000, "1 h 30 min", "1.5h", "PT5400S"),
        (86_399_000_000, "1 d", "24h", "PT86399S"),
        (187_200_000_000, "2 d 4 h", "2.2d", "PT187200S"),
    ],
)
def test_words_for_times(time_us, words, compact, iso):
    assert durations.words(time_us) == words
    assert durations.compact(time_us) == compact
    assert durations.iso(time_us) == iso


def test_round_times_have_one_unit():
    shown = [durations.short(us) for us in MAJOR_US]
    assert shown == [
        "1 s",
        "10 s",
        "1 min",
        "10 min",
        "1 h",
        "1 day",
        "7 days",
        "30 days",
        "365 days",
    ]
