"""Values as exports write them, to the types that the project computes with. Pure; no Beam.

Each parser takes an Arrow array and gives one of the same length. A result is null both for no value and
for a value that can't be understood; callers distinguish the two by the null's place in the input. An
empty text is no value, because a CSV of Bulk API has no other null, and neither is NaN.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.batches import SESSION_ID_PREFIX
from transforms.instants import DAY_US

_ISO_8601 = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}(:\d{2}(:\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}(:?\d{2})?)?$"

_ZONE = r"(Z|[+-]\d{2}(:?\d{2})?)$"

_SHORTEST_ISO_8601 = len("2024-10-02T12:00:00")

_WHOLE_NUMBER = r"^-?\d{1,19}$"

_NUMBER = r"^-?\d{1,18}(\.\d+)?([eE][+-]?\d{1,3})?$"

# The years 1 to 9999, which every sink can hold.
_MIN_US, _MAX_US = -62_135_596_800_000_000, 253_402_300_799_999_999

_YES, _NO = ["true", "t", "1", "yes", "y"], ["false", "f", "0", "no", "n"]


def _leniently(
    convert: Callable[[pa.Array], pa.Array], array: pa.Array, to: pa.DataType
) -> pa.Array:
    """Converts the values that can be converted; the rest is null.

    An array that can't be converted as a whole is halved, and the halves again: bad values are few.
    """
    try:
        return convert(array)
    except pa.ArrowNotImplementedError:
        return pa.nulls(len(array), to)
    except pa.ArrowInvalid:
        if len(array) == 1:
            return pa.nulls(1, to)
    half = len(array) // 2
    return pa.concat_arrays(
        [_leniently(convert, array[:half], to), _leniently(convert, array[half:], to)]
    )


def to_text(array: pa.Array) -> pa.Array:
    """Any scalar column as text; of a list (`relatedRecords`) the first messaging session's id.

    >>> to_text(pa.array([1.0, 2.5, float("nan")])).to_pylist()
    ['1', '2.5', None]
    >>> to_text(pa.array([["500bb0000000001", "0Mwbb000007MGoT"]])).to_pylist()
    ['0Mwbb000007MGoT']
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        return pc.take(to_text(array.dictionary), array.indices)
    if pa.types.is_null(kind):
        return pa.nulls(len(array), pa.string())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _first_session_id(array)
    # The one extension type that exports have is UUID.
    if isinstance(kind, pa.BaseExtensionType):
        shown = [None if value is None else str(value) for value in array.to_pylist()]
        array = pa.array(shown, pa.string())
    elif pa.types.is_floating(kind):
        signed = pa.array(np.signbit(array.fill_null(0.0).to_numpy()))
        signed_zero = pc.and_(pc.equal(array, 0.0), signed)
        whole = pc.and_(pc.equal(pc.floor(array), array), pc.less(pc.abs(array), 2.0**63))
        whole = pc.and_not(whole, signed_zero)
        rest = array.filter(pc.invert(whole))
        array = array.cast(pa.int64(), safe=False).cast(pa.string())
        if len(rest):
            shown = [to_digits(v) if v == v else None for v in rest.to_pylist()]
            shown = pa.array(shown, pa.string())
            array = pc.replace_with_mask(array, pc.invert(whole).fill_null(False), shown)
    elif not pa.types.is_string(kind):
        array = _leniently(lambda values: values.cast(pa.string()), array, pa.string())
    if pc.min(pc.binary_length(array)).as_py() == 0:
        array = pc.if_else(pc.equal(array, ""), pa.scalar(None, pa.string()), array)
    return array


def to_digits(number: float) -> str:
    """A floating-point number in the fewest digits that distinguish it from others, no exponent.

    >>> to_digits(1.72787e12)
    '1727870000000'
    """
    return np.format_float_positional(number, trim="-")


def _first_session_id(lists: pa.Array) -> pa.Array:
    parents = pc.list_parent_indices(lists).to_numpy()
    items = to_text(pc.list_flatten(lists))
    ours = np.flatnonzero(
        pc.starts_with(items, SESSION_ID_PREFIX).fill_null(False).to_numpy(zero_copy_only=False)
    )
    parents, first = np.unique(parents[ours], return_index=True)
    chosen = np.full(len(lists), -1)
    chosen[parents] = ours[first]
    return items.take(pa.array(chosen, mask=chosen < 0))


def to_instants(array: pa.Array, zone: str | None = None) -> pa.Array:
    """Instants as int64 microseconds since the epoch.

    An instant is a native timestamp; a date and time of ISO 8601 with `Z`, an offset or no zone, which
    is UTC; or a number, also as text, of milliseconds since the epoch. Digits finer than a microsecond
    are cut off. A bare date is no instant.

    >>> texts = ["1970-01-01T00:00:01Z", "1970-01-01T01:00:01+01:00", "1000", "1970-01-01", ""]
    >>> to_instants(pa.array(texts)).to_pylist()
    [1000000, 1000000, 1000000, None, None]

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
        micros = pa.timestamp("us")
        result = _leniently(lambda v: v.cast(micros).cast(pa.int64()), array, pa.int64())
    elif pa.types.is_integer(kind):
        result = _leniently(
            lambda v: pc.multiply_checked(v.cast(pa.int64()), 1000), array, pa.int64()
        )
    elif pa.types.is_floating(kind):
        result = _leniently(
            lambda v: pc.round(pc.multiply(v, 1000.0)).cast(pa.int64()), array, pa.int64()
        )
    else:
        result = _instants_of_text(to_text(array))
    bounds = pc.min_max(result).as_py()
    if bounds["min"] is not None and not _MIN_US <= bounds["min"] <= bounds["max"] <= _MAX_US:
        known = pc.and_(pc.greater_equal(result, _MIN_US), pc.less_equal(result, _MAX_US))
        result = pc.if_else(known, result, pa.scalar(None, pa.int64()))
    return result


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
        # In the usual file every value has a zone and at most six digits of fraction.
        try:
            return text.cast(utc).cast(pa.int64())
        except pa.ArrowInvalid:
            pass
    result = pa.nulls(len(text), pa.int64())
    iso = pc.match_substring_regex(text, _ISO_8601).fill_null(False)
    if pc.any(iso).as_py():
        zoned = pc.replace_substring_regex(text.filter(iso), r"(\.\d{6})\d+", r"\1")
        zoned = pc.if_else(
            pc.match_substring_regex(zoned, _ZONE),
            zoned,
            pc.binary_join_element_wise(zoned, "Z", ""),
        )
        parsed = _leniently(lambda v: v.cast(utc).cast(pa.int64()), zoned, pa.int64())
        result = pc.replace_with_mask(result, iso, parsed)
    return _of_numbers(text, to_instants, result)


def _of_numbers(
    text: pa.Array, convert: Callable[[pa.Array], pa.Array], result: pa.Array
) -> pa.Array:
    """The result with the numbers among the texts converted; whole numbers exactly, as int64."""
    for pattern, kind in ((_NUMBER, pa.float64()), (_WHOLE_NUMBER, pa.int64())):
        numeric = pc.match_substring_regex(text, pattern).fill_null(False)
        if pc.any(numeric).as_py():
            numbers = _leniently(partial(pc.cast, target_type=kind), text.filter(numeric), kind)
            result = pc.replace_with_mask(result, numeric, convert(numbers))
    return result


def to_integers(array: pa.Array) -> pa.Array:
    """Whole numbers, also as text or with a fraction of zero, as int64.

    >>> to_integers(pa.array(["7", "7.0", "7.5", "seven"])).to_pylist()
    [7, 7, None, None]
    """
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        # A number with a fraction, or one too large, is no int64.
        return _leniently(lambda v: v.cast(pa.int64()), array, pa.int64())
    text = to_text(array)
    return _of_numbers(text, to_integers, pa.nulls(len(text), pa.int64()))


def to_booleans(array: pa.Array) -> pa.Array:
    """Booleans, also as text: `true` and `false` in any case.

    >>> to_booleans(pa.array(["true", "FALSE", "yes"])).to_pylist()
    [True, False, None]
    """
    if pa.types.is_boolean(array.type):
        return array
    text = to_words(to_text(array))
    known = pc.is_in(text, pa.array(["true", "false"]))
    return pc.if_else(known, pc.equal(text, "true"), pa.scalar(None, pa.bool_()))


def to_words(text: pa.Array) -> pa.Array:
    """Words that are compared: without case, blanks, `_` and `-`.

    >>> to_words(pa.array(["End User", "END_USER", "end-user", None])).to_pylist()
    ['enduser', 'enduser', 'enduser', None]
    """
    return pc.replace_substring_regex(pc.utf8_lower(text), r"[\s_-]", "")


def to_deletions(array: pa.Array) -> pa.Array:
    """Whether rows are deleted: they say true, or since when; null where that is not understood.

    A connector has a column of booleans or of instants for it: in the first nothing, `false` or 0 is a
    row that is there, in the second nothing.

    >>> texts = ["true", "0", "", "2024-10-02T12:00:00Z", "perhaps"]
    >>> to_deletions(pa.array(texts)).to_pylist()
    [True, False, False, True, None]
    """
    if pa.types.is_dictionary(array.type):
        said = pc.take(to_deletions(array.dictionary), array.indices)
        return pc.if_else(array.indices.is_null(), False, said)
    if pa.types.is_timestamp(array.type):
        return array.is_valid()
    if pa.types.is_null(array.type):
        return pa.array(np.zeros(len(array), bool))
    text = to_text(array)
    word = to_words(text)
    said = pc.if_else(pc.is_in(word, pa.array(_YES)), True, pa.scalar(None, pa.bool_()))
    said = pc.if_else(pc.is_in(word, pa.array(_NO)), False, said)
    since = pc.if_else(to_instants(text).is_valid(), True, pa.scalar(None, pa.bool_()))
    return pc.if_else(text.is_null(), False, pc.coalesce(said, since))


def to_codes(array: pa.Array) -> pa.DictionaryArray:
    """Any scalar column as text, as a dictionary array without nulls in its dictionary.

    A column that is a dictionary array already keeps its codes. Its dictionary may have a text twice.
    """
    if not pa.types.is_dictionary(array.type):
        return to_text(array).dictionary_encode()
    text = to_text(array.dictionary)
    if text.null_count == 0 and array.type.index_type == pa.int32():
        return pa.DictionaryArray.from_arrays(array.indices, text)
    again = text.dictionary_encode()
    return pa.DictionaryArray.from_arrays(again.indices.take(array.indices), again.dictionary)
