r"""Values as exports write them, to the types that the project computes with. Pure; no Beam.

Each parser takes an Arrow array and gives one of the same length. A result is null both for no value and
for a value that can't be understood; callers distinguish the two by the null's place in the input. An
empty text is no value, because a CSV of Bulk API has no other null; neither are NaN, `NULL`, `\N`.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.batches import SESSION_ID_PREFIX

_WHOLE_NUMBER = r"^-?\d{1,19}$"

_NUMBER = r"^-?\d{1,18}(\.\d+)?([eE][+-]?\d{1,2})?$"

_NOTHING = pa.array(["", "NULL", "\\N"])

_LONGEST_NOTHING = 4

_MAX_INT64 = np.iinfo(np.int64).max


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
        array = _cast_to_text(array)
    shortest = pc.min(pc.binary_length(array)).as_py()
    if shortest is not None and shortest <= _LONGEST_NOTHING:
        nothing = pc.is_in(array, value_set=_NOTHING)
        array = pc.if_else(nothing, pa.scalar(None, pa.string()), array)
    return array


def _cast_to_text(array: pa.Array) -> pa.Array:
    """The values as Arrow writes them; null for those of a type without a text, and bytes of no UTF-8."""
    try:
        return array.cast(pa.string())
    except pa.ArrowNotImplementedError:
        return pa.nulls(len(array), pa.string())
    except pa.ArrowInvalid:
        return pa.array([_decoded(value) for value in array.to_pylist()], pa.string())


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


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


def of_numbers(
    text: pa.Array, convert: Callable[[pa.Array], pa.Array], result: pa.Array
) -> pa.Array:
    """The result with the numbers among the texts converted; whole numbers exactly, as int64."""
    for pattern, parse in ((_NUMBER, _to_floats), (_WHOLE_NUMBER, _to_whole_numbers)):
        numeric = pc.match_substring_regex(text, pattern).fill_null(False)
        if pc.any(numeric).as_py():
            numbers = convert(parse(text.filter(numeric)))
            result = pc.replace_with_mask(result, numeric, numbers)
    return result


def _to_floats(text: pa.Array) -> pa.Array:
    return text.cast(pa.float64())


def _to_whole_numbers(text: pa.Array) -> pa.Array:
    """Whole numbers of at most 19 digits, which uint64 can hold; null for those that int64 can't."""
    negative = pc.starts_with(text, "-").to_numpy(zero_copy_only=False)
    digits = pc.utf8_ltrim(text, "-").cast(pa.uint64()).to_numpy()
    signed = np.where(negative, -digits, digits).astype(np.int64)
    return pa.array(signed, mask=digits > np.uint64(_MAX_INT64) + negative)


def to_int64(numbers: pa.Array) -> pa.Array:
    """Numbers of any type as int64; null for one with a fraction and one that is too large.

    >>> to_int64(pa.array([7.0, 7.5, 1e30])).to_pylist()
    [7, None, None]
    """
    if pa.types.is_floating(numbers.type):
        numbers = numbers.cast(pa.float64())
        whole = pc.equal(pc.floor(numbers), numbers)
        possible = pc.and_(whole, pc.less(pc.abs(numbers), 2.0**63))
    elif pa.types.is_uint64(numbers.type):
        possible = pc.less_equal(numbers, pa.scalar(_MAX_INT64, pa.uint64()))
    else:
        return numbers.cast(pa.int64())
    return pc.if_else(possible, numbers, pa.scalar(None, numbers.type)).cast(pa.int64())


def to_integers(array: pa.Array) -> pa.Array:
    """Whole numbers, also as text or with a fraction of zero, as int64.

    >>> to_integers(pa.array(["7", "7.0", "7.5", "seven"])).to_pylist()
    [7, 7, None, None]
    """
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        return to_int64(array)
    text = to_text(array)
    return of_numbers(text, to_int64, pa.nulls(len(text), pa.int64()))


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


def to_codes(array: pa.Array) -> pa.DictionaryArray:
    """Any scalar column as text, as a dictionary array without nulls in its dictionary.

    A column that is a dictionary array already keeps its codes. Its dictionary may have a text twice.
    """
    if not pa.types.is_dictionary(array.type):
        # Which texts are nothing is looked for in the dictionary, which is shorter.
        text = array if pa.types.is_string(array.type) else to_text(array)
        array = text.dictionary_encode()
    text = to_text(array.dictionary)
    if text.null_count == 0 and array.type.index_type == pa.int32():
        return pa.DictionaryArray.from_arrays(array.indices, text)
    again = text.dictionary_encode()
    return pa.DictionaryArray.from_arrays(again.indices.take(array.indices), again.dictionary)
