"""Columns of ids as they are read, in the one form in which ids are compared. Pure; no Beam."""

import pyarrow as pa
import pyarrow.compute as pc

from transforms.batches import SESSION_ID_PREFIX
from transforms.ids import comparable, lengthen
from transforms.plumbing import texts
from transforms.reading.values import to_codes

# In quotes as JSON has them, or Python.
_FIRST_SESSION_ID = rf"""["'](?P<id>{SESSION_ID_PREFIX}[^"'\\]*)["']"""

_NO_TEXT = pa.scalar(None, pa.string())


def to_session_ids(array: pa.Array) -> pa.DictionaryArray:
    """Ids of messaging sessions, those of Salesforce in their long form, as `values.to_codes` gives them.

    Of a list of JSON or Python, as text, it is the first messaging session's id.

    >>> to_session_ids(pa.array(['["500bb0000000001", "0Mwbb000007MGoT"]', "my-session"])).to_pylist()
    ['0Mwbb000007MGoTCAW', 'my-session']
    """
    encoded = to_codes(array)
    ids = _plain(encoded.dictionary)
    lists = pc.starts_with(ids, "[")
    if pc.any(lists).as_py():
        found = pc.extract_regex(ids, _FIRST_SESSION_ID).field("id")
        ids = pc.if_else(lists, pc.if_else(pc.equal(found, ""), _NO_TEXT, found), ids)
    return _with_dictionary(encoded, lengthen(ids, SESSION_ID_PREFIX))


def is_of_session(ids: pa.Array) -> pa.BooleanArray:
    """Which ids are those of messaging sessions of Salesforce, by their prefix."""
    return pc.starts_with(ids, SESSION_ID_PREFIX)


def to_comparable_ids(array: pa.Array) -> pa.DictionaryArray:
    """Ids of other records as they are compared: those of Salesforce long, UUIDs in lower case.

    >>> ids = ["0dwbb0000000001", "8A1D7C52-6D0E-4C3A-9A0F-2C9B3E1F4D10", "Conversation 1"]
    >>> to_comparable_ids(pa.array(ids)).to_pylist()
    ['0dwbb0000000001AAA', '8a1d7c52-6d0e-4c3a-9a0f-2c9b3e1f4d10', 'Conversation 1']
    """
    encoded = to_codes(array)
    return _with_dictionary(encoded, comparable(_plain(encoded.dictionary)))


def trimmed(ids: pa.StringArray) -> pa.StringArray:
    """Ids without the blanks that columns of a fixed width fill them up with; null if nothing is left.

    >>> trimmed(pa.array(["0Mwbb000007MGoT   ", "a b", "  "])).to_pylist()
    ['0Mwbb000007MGoT', 'a b', None]
    """
    if not texts.any_padded(ids):
        return ids
    found = pc.utf8_trim_whitespace(ids)
    return pc.if_else(pc.equal(found, ""), _NO_TEXT, found)


def _plain(ids: pa.StringArray) -> pa.StringArray:
    """Ids without blanks around them, and numbers that a data frame has made floats as they were.

    >>> _plain(pa.array(["123.0", "123", "1.5", " s "])).to_pylist()
    ['123', '123', '1.5', 's']
    """
    ids = trimmed(ids)
    floats = pc.match_substring_regex(ids, r"^\d+\.0$")
    if pc.any(floats).as_py():
        ids = pc.if_else(floats, pc.replace_substring_regex(ids, r"\.0$", ""), ids)
    return ids


def _with_dictionary(encoded: pa.DictionaryArray, ids: pa.Array) -> pa.DictionaryArray:
    """The column with other ids for its codes, each id once."""
    if ids is encoded.dictionary:
        return encoded
    again = ids.dictionary_encode()
    return pa.DictionaryArray.from_arrays(again.indices.take(encoded.indices), again.dictionary)
