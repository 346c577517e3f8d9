"""Instants as exports write them."""

import datetime
import zoneinfo

import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from transforms.reading import timestamps

NOON_US = 1_727_870_400_000_000  # 2024-10-02T12:00:00Z

INSTANTS = {
    "2024-10-02T12:00:00Z": NOON_US,
    "2024-10-02T12:00:00.000Z": NOON_US,
    "2024-10-02T12:00:00.000+0000": NOON_US,
    "2024-10-02T12:00:00+00:00": NOON_US,
    "2024-10-02T12:00:00.5+00": NOON_US + 500_000,
    "2024-10-02T14:30:00.25+02:30": NOON_US + 250_000,
    "2024-10-02T04:00:00-0800": NOON_US,
    "2024-10-02T12:00:00": NOON_US,
    "2024-10-02 12:00:00": NOON_US,
    "2024-10-02 12:00:00.123456": NOON_US + 123_456,
    "2024-10-02T12:00:00.1Z": NOON_US + 100_000,
    "2024-10-02T12:00:00.12Z": NOON_US + 120_000,
    "2024-10-02T12:00:00.123Z": NOON_US + 123_000,
    "2024-10-02T12:00:00.1234Z": NOON_US + 123_400,
    "2024-10-02T12:00:00.12345Z": NOON_US + 123_450,
    "2024-10-02T12:00:00.123456Z": NOON_US + 123_456,
    "2024-10-02T12:00:00.1234567Z": NOON_US + 123_456,
    "2024-10-02T12:00:00.12345678": NOON_US + 123_456,
    "2024-10-02T12:00:00.123456999+00:00": NOON_US + 123_456,
    "1969-12-31T23:59:59.9999999Z": -1,
    "2024-10-02T12:00Z": NOON_US,
    "2024-10-02T12:00+00:00": NOON_US,
    "1727870400000": NOON_US,
    "1727870400000.0": NOON_US,
    "1727870400000.5": NOON_US + 500,
    "1.7278704E12": NOON_US,
    "0": 0,
    "-1": -1_000_000,
    "2024-10-02T12:00:00 Z": NOON_US,
    "2024-10-02 12:00:00 UTC": NOON_US,
    "2024-10-02 12:00:00.5UTC": NOON_US + 500_000,
    "2024-10-02 04:00:00.25 -0800": NOON_US + 250_000,
    "2024-10-02 12:00:00  +00:00": NOON_US,
    "1727870400": NOON_US,
    "1727870400.5": NOON_US + 500_000,
    "1727870400000500": NOON_US + 500,
    "1727870400000500999": NOON_US + 500,
    "99999999999": 99_999_999_999_000_000,
    "100000000000": 100_000_000_000_000,
    "99999999999999": 99_999_999_999_999_000,
    "100000000000000": 100_000_000_000_000,
    "99999999999999999": 99_999_999_999_999_999,
    "100000000000000000": 100_000_000_000_000,
    "999999999999999999": 999_999_999_999_999,
    "253402300800000": 253_402_300_800_000,
    "1.727870400E+12": NOON_US,
    "1.72787E12": 1_727_870_000_000_000,
    "0001-01-01T00:00:00Z": -62_135_596_800_000_000,
    "9999-12-31T23:59:59.999999Z": 253_402_300_799_999_999,
}
NO_INSTANTS = [
    "2024-10-02",
    "2024-10-02Z",
    "2024-13-02T12:00:00Z",
    "2023-02-29T12:00:00Z",
    "2024-10-02T24:00:00Z",
    "2024-10-02T23:59:60Z",
    "2024-10-02T12:00:00z",
    "2024-10-02t12:00:00Z",
    "2024-10-02T12:00:00.Z",
    "2024-10-02T12:00:00,123Z",
    "2024-10-02T12:00:00 utc",
    "2024-10-02 12:00:00 CET",
    "2024-10-02 UTC",
    "1.72787E+12",
    "2E+12",
    "2024-10-02T12:00:00+24:00",
    "20241002T120000.000Z",
    "0000-01-01T00:00:00Z",
    "0000-12-31T23:59:59.999Z",
    "9999-12-31T23:59:59-01:00",
    "10000-01-01T00:00:00Z",
    "9999999999999999999",
    "0x10",
    "+5",
    "1e99",
    "nan",
    "12:00",
    "yesterday at noon",
]


def parse(array, kind=None):
    return timestamps.to_instants(pa.array(array, kind)).to_pylist()


@pytest.mark.parametrize(("text", "micros"), INSTANTS.items())
def test_instant_of_text(text, micros):
    assert parse([text]) == [micros]
    assert parse([text], pa.large_string()) == [micros]
    assert parse([text.encode()], pa.binary()) == [micros]


@pytest.mark.parametrize("text", NO_INSTANTS)
def test_no_instant(text):
    assert parse([text]) == [None]


def test_instants_of_a_mixture():
    texts = [*INSTANTS, *NO_INSTANTS, None, ""]
    expected = [*INSTANTS.values(), *[None] * (len(NO_INSTANTS) + 2)]
    assert parse(texts) == expected
    encoded = pa.array(texts).dictionary_encode()
    assert timestamps.to_instants(encoded).to_pylist() == expected


MIXTURES = st.lists(st.sampled_from([*INSTANTS, *NO_INSTANTS, None, ""]))


@given(MIXTURES, MIXTURES)
def test_an_instant_does_not_depend_on_its_neighbours(some, others):
    together = parse([*some, *others], pa.string())
    assert together == parse(some, pa.string()) + parse(others, pa.string())
    assert together == [INSTANTS.get(text) for text in [*some, *others]]


@given(st.lists(st.text("0123456789-+:.TZ tz", max_size=30) | st.none(), max_size=6))
def test_any_text_is_read_as_if_it_were_alone(texts):
    assert parse(texts, pa.string()) == [parse([text], pa.string())[0] for text in texts]


@given(
    st.datetimes(
        datetime.datetime(1, 1, 2),
        datetime.datetime(9999, 12, 30),
        timezones=st.just(datetime.timezone.utc),
    ),
    st.integers(-23 * 60, 23 * 60),
    st.sampled_from(["auto", "seconds", "milliseconds", "microseconds"]),
)
def test_instants_against_the_standard_library(instant, offset_minutes, precision):
    zone = datetime.timezone(datetime.timedelta(minutes=offset_minutes))
    text = instant.astimezone(zone).isoformat(timespec=precision)
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    expected = (datetime.datetime.fromisoformat(text) - epoch) // datetime.timedelta(microseconds=1)
    assert parse([text]) == [expected]


@pytest.mark.parametrize("zone", [None, "UTC", "+00:00", "America/New_York", "Europe/Berlin"])
@pytest.mark.parametrize(
    ("unit", "value", "micros"),
    [
        ("s", 1_727_870_400, NOON_US),
        ("ms", 1_727_870_400_123, NOON_US + 123_000),
        ("us", NOON_US + 123_456, NOON_US + 123_456),
        ("ns", NOON_US * 1000 + 123_456_789, NOON_US + 123_456),
        ("ns", -1, -1),
        # an hour that Berlin and New York have twice
        ("ns", 1_729_990_800_000_000_999, 1_729_990_800_000_000),
        ("ns", 1_730_611_800_000_000_999, 1_730_611_800_000_000),
        ("s", 1 << 60, None),
        ("us", 1 << 60, None),
    ],
)
def test_instants_of_native_timestamps(unit, zone, value, micros):
    array = pa.array([value, None], pa.int64()).cast(pa.timestamp(unit, zone))
    assert timestamps.to_instants(array).to_pylist() == [micros, None]


def test_the_size_of_a_number_tells_its_unit():
    assert parse([1_727_870_400_000, None, -1]) == [NOON_US, None, -1_000_000]
    assert parse([1_727_870_400], pa.int32()) == [NOON_US]
    assert parse([1_727_870_400, 1_727_870_400_000, NOON_US, NOON_US * 1000]) == [NOON_US] * 4
    assert parse([1_727_870_400.25, 1_727_870_400_000.5, float(NOON_US), NOON_US * 1000.0]) == [
        NOON_US + 250_000,
        NOON_US + 500,
        NOON_US,
        NOON_US,
    ]
    assert parse([1 << 63], pa.uint64()) == [None]
    assert parse([(1 << 63) - 1]) == [9_223_372_036_854_775]
    assert parse([-(1 << 63)]) == [None]
    assert parse([float("nan"), float("inf"), -1e300, 0.0]) == [None, None, None, 0]


@pytest.mark.parametrize(
    "array",
    [
        pa.array([datetime.date(2024, 10, 2)]),
        pa.array([datetime.date(2024, 10, 2)], pa.date64()),
        pa.array([datetime.time(12)]),
        pa.array([True]),
        pa.array([{"a": 1}]),
        pa.array([["2024-10-02T12:00:00Z"]]),
        pa.nulls(1),
    ],
)
def test_what_is_never_an_instant(array):
    assert timestamps.to_instants(array).to_pylist() == [None]


def test_the_first_instant_that_every_sink_can_hold():
    first = -62_135_596_800_000_000
    found = timestamps.to_instants(pa.array([first, first - 1], pa.timestamp("us")))
    assert found.to_pylist() == [first, None]


def test_milliseconds_with_a_fraction_are_not_less_for_being_floats():
    """1.005 times 1000 is 1004.9999999999999."""
    found = timestamps.to_instants(pa.array([1_727_870_400_001.005]))
    assert found.to_pylist() == [NOON_US + 1005]


# Wall clocks.


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-10-02T12:00:00.25", "2024-10-02T10:00:00.25Z"),
        ("2024-01-02 12:00", "2024-01-02T11:00Z"),
        # Whatever zone is stated.
        ("2024-10-02T12:00:00Z", "2024-10-02T10:00:00Z"),
        ("2024-10-02T12:00:00.000+0000", "2024-10-02T10:00:00Z"),
        ("2024-10-02T12:00:00-08:00", "2024-10-02T10:00:00Z"),
        # The hour that the clock skips is the instant at which it skips.
        ("2024-03-31T01:59:59", "2024-03-31T00:59:59Z"),
        ("2024-03-31T02:00:00", "2024-03-31T01:00:00Z"),
        ("2024-03-31T02:30:00", "2024-03-31T01:00:00Z"),
        ("2024-03-31T02:59:59.999999", "2024-03-31T01:00:00Z"),
        ("2024-03-31T03:00:00", "2024-03-31T01:00:00Z"),
        # Of the hour that it shows twice the first is meant.
        ("2024-10-27T01:59:59", "2024-10-26T23:59:59Z"),
        ("2024-10-27T02:30:00", "2024-10-27T00:30:00Z"),
        ("2024-10-27T03:00:00", "2024-10-27T02:00:00Z"),
        # Before time zones the clock of Berlin was at the sun's time.
        ("1850-01-01T00:53:28", "1850-01-01T00:00:00Z"),
        ("noon", None),
        ("2024-10-02", None),
        ("", None),
        # No sink could hold it once it is shifted.
        ("0001-01-01T12:00:00", None),
        ("9999-12-31T12:00:00", None),
    ],
)
def test_the_wall_clock_of_a_zone(text, instant):
    (expected,) = parse([instant], pa.string())
    for array in (
        pa.array([text]),
        pa.array([text], pa.large_string()),
        pa.array([text, text]).dictionary_encode()[:1],
    ):
        assert timestamps.to_instants(array, "Europe/Berlin").to_pylist() == [expected]


def test_the_wall_clock_of_numbers_and_timestamps():
    (expected,) = parse(["2024-10-02T10:00:00Z"])
    arrays = [
        pa.array([1_727_870_400_000]),
        pa.array([1_727_870_400_000.0]),
        pa.array(["1727870400000"]),
        pa.array([NOON_US], pa.timestamp("us")),
        pa.array([NOON_US], pa.timestamp("us", "UTC")),
        pa.array([NOON_US * 1000], pa.timestamp("ns", "America/New_York")),
    ]
    for array in arrays:
        assert timestamps.to_instants(array, "Europe/Berlin").to_pylist() == [expected]
    assert timestamps.to_instants(pa.nulls(1), "Europe/Berlin").to_pylist() == [None]


@given(
    st.datetimes(datetime.datetime(1990, 1, 1), datetime.datetime(2037, 12, 30)),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"]),
)
def test_wall_clocks_against_the_standard_library(wall, zone):
    local = wall.replace(tzinfo=zoneinfo.ZoneInfo(zone))
    instant = local.astimezone(datetime.timezone.utc)
    assume(instant.astimezone(local.tzinfo).replace(tzinfo=None) == wall)  # it is not skipped
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    expected = (instant - epoch) // datetime.timedelta(microseconds=1)
    assert timestamps.to_instants(pa.array([wall.isoformat()]), zone).to_pylist() == [expected]


# Words and deletions.
