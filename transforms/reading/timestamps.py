"""Instants as exports write them. Pure; no Beam."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.instants import DAY_US
from transforms.reading.values import of_numbers, to_int64, to_text

_HOUR, _SIXTY = r"([01]\d|2[0-3])", r"[0-5]\d"

_ZONE = rf"\s*(Z|UTC|[+-]{_HOUR}(:?{_SIXTY})?)$"

_LEAP_YEAR = r"(\d\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)"

# Days that there are, so that Arrow can read each text that matches.
_DAY = r"((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8]))"

_DATE = rf"(\d{{4}}-{_DAY}|{_LEAP_YEAR}-02-29)"

_ISO_8601 = rf"^{_DATE}[T ]{_HOUR}(:{_SIXTY}(:{_SIXTY}(\.\d+)?)?)?({_ZONE[:-1]})?$"

_SHORTEST_ISO_8601 = len("2024-10-02T12:00:00")

# As a spreadsheet shows a number of many digits: the last ones are lost.
_SHORTENED = r"^-?\d(\.\d{1,5})?E\+\d+$"

# Numbers from here on, and below the next one, are milliseconds, microseconds and nanoseconds.
_MILLIS, _MICROS, _NANOS = 10**11, 10**14, 10**17

# The years 1 to 9999, which every sink can hold.
_MIN_US, _MAX_US = -62_135_596_800_000_000, 253_402_300_799_999_999


def to_instants(array: pa.Array, zone: str | None = None) -> pa.Array:
    """Instants as int64 microseconds since the epoch.

    An instant is a native timestamp; a date and time of ISO 8601 with `Z`, `UTC`, an offset or no zone,
    which is UTC; or a number since the epoch, also as text, of seconds, milliseconds, microseconds or
    nanoseconds, as its size tells. Digits finer than a microsecond are cut off. A bare date is no
    instant, nor is a number that a spreadsheet has shortened.

    >>> texts = ["2024-10-02T12:00:00Z", "2024-10-02 14:00:00 +0200", "1727870400", "1727870400000"]
    >>> set(to_instants(pa.array(texts)).to_pylist())
    {1727870400000000}
    >>> to_instants(pa.array(["2024-10-02", "1.72787E+12", "NULL"])).to_pylist()
    [None, None, None]

    Args:
      array: the values.
      zone: the IANA name of a time zone if the values are wall-clock time there, whatever zone they
        state. Of a time that a clock shows twice the first is meant; one that it skips is the instant at
        which it skips.
    """
    if zone is not None:
        return _from_wall_clock(to_instants(_without_zones(array)), zone)
    kind = array.type
    if pa.types.is_dictionary(kind):
        return pc.take(to_instants(array.dictionary), array.indices)
    if pa.types.is_timestamp(kind):
        # Arrow holds timestamps in UTC, whatever their zone.
        array = array.view(pa.int64()).view(pa.timestamp(kind.unit))
        if kind.unit == "ns":
            array = pc.floor_temporal(array, unit="microsecond")
        result = _to_micros(array)
    elif pa.types.is_integer(kind):
        result = _since_epoch(to_int64(array))
    elif pa.types.is_floating(kind):
        result = _since_epoch(array.cast(pa.float64()))
    else:
        result = _instants_of_text(to_text(array))
    bounds = pc.min_max(result).as_py()
    if bounds["min"] is not None and not _MIN_US <= bounds["min"] <= bounds["max"] <= _MAX_US:
        known = pc.and_(pc.greater_equal(result, _MIN_US), pc.less_equal(result, _MAX_US))
        result = pc.if_else(known, result, pa.scalar(None, pa.int64()))
    return result


def _to_micros(instants: pa.Array) -> pa.Array:
    """Timestamps of any unit as microseconds; null for those that no sink can hold."""
    micros = pa.timestamp("us")
    per_second = {"s": 1, "ms": 1000}.get(instants.type.unit)
    if per_second is not None:
        numbers = instants.cast(pa.int64())
        least, most = (bound // 1_000_000 * per_second for bound in (_MIN_US, _MAX_US + 1))
        known = pc.and_(pc.greater_equal(numbers, least), pc.less(numbers, most))
        instants = pc.if_else(known, instants, pa.scalar(None, instants.type))
    return instants.cast(micros).cast(pa.int64())


def _since_epoch(numbers: pa.Array) -> pa.Array:
    """Microseconds since the epoch of numbers of any unit; null for one that is in no unit an instant.

    Chats are of this century, so their seconds have 10 digits, and each finer unit three more.
    """
    found = numbers.fill_null(0).to_numpy()
    size = np.abs(found)
    is_whole = found.dtype == np.int64
    # The least whole number has no absolute value, and NaN is not less than any number.
    possible = size >= 0 if is_whole else size < 2.0**63
    found = np.where(possible, found, 0)
    units = [found * 1_000_000, found * 1000, found]
    if not is_whole:
        # 1.005 times 1000 is 1004.9999999999999.
        units = [np.rint(unit) for unit in units]
    of_size = [size < _MILLIS, size < _MICROS, size < _NANOS]
    with np.errstate(invalid="ignore"):
        micros = np.select(of_size, units, found // 1000).astype(np.int64)
    return pa.array(micros, mask=numbers.is_null().to_numpy(zero_copy_only=False) | ~possible)


def _without_zones(array: pa.Array) -> pa.Array:
    """The values as they are on the wall clock, whatever zone texts state."""
    if pa.types.is_dictionary(array.type):
        return pc.take(_without_zones(array.dictionary), array.indices)
    if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        return array
    iso = pc.match_substring_regex(array, _ISO_8601).fill_null(False)
    return pc.if_else(iso, pc.replace_substring_regex(array, _ZONE, "Z"), array)


def _from_wall_clock(wall_us: pa.Array, zone: str) -> pa.Array:
    """Wall-clock time of a zone, written as if it were UTC, as UTC; null where no sink could hold it."""
    # Near the first and the last year the offset of the zone may not be added.
    known = pc.and_(
        pc.greater_equal(wall_us, _MIN_US + DAY_US), pc.less_equal(wall_us, _MAX_US - DAY_US)
    )
    naive = pc.if_else(known, wall_us, pa.scalar(None, pa.int64())).cast(pa.timestamp("us"))
    zoned = pc.assume_timezone(naive, zone, ambiguous="earliest", nonexistent="latest")
    return zoned.cast(pa.int64())


def _instants_of_text(text: pa.Array) -> pa.Array:
    utc = pa.timestamp("us", "UTC")
    shortest = pc.min(pc.binary_length(text)).as_py()
    if shortest is None:
        return pa.nulls(len(text), pa.int64())
    if shortest >= _SHORTEST_ISO_8601:
        # In the usual file every value has a zone and at most six digits of fraction. The first ones are
        # tried alone, for it takes Arrow long to find that no value has.
        try:
            text[:16].cast(utc)
            return text.cast(utc).cast(pa.int64())
        except pa.ArrowInvalid:
            pass
    result = pa.nulls(len(text), pa.int64())
    shortened = pc.match_substring_regex(text, _SHORTENED)
    text = pc.if_else(shortened, pa.scalar(None, pa.string()), text)
    iso = pc.match_substring_regex(text, _ISO_8601).fill_null(False)
    if pc.any(iso).as_py():
        zoned = pc.replace_substring_regex(text.filter(iso), r"(\.\d{6})\d+", r"\1")
        zoned = pc.replace_substring_regex(zoned, r"\s*(Z|UTC)$", "Z")
        zoned = pc.replace_substring_regex(zoned, r"\s+([+-])", r"\1")
        zoned = pc.if_else(
            pc.match_substring_regex(zoned, _ZONE),
            zoned,
            pc.binary_join_element_wise(zoned, "Z", ""),
        )
        result = pc.replace_with_mask(result, iso, zoned.cast(utc).cast(pa.int64()))
    return of_numbers(text, to_instants, result)
