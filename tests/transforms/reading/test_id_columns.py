"""Columns of ids, in the one form in which they are compared."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.reading import id_columns

ENCODINGS = [lambda array: array, pa.Array.dictionary_encode]


@pytest.mark.parametrize("encode", ENCODINGS)
def test_both_forms_of_a_sessions_id_are_one(encode):
    texts = ["0Mwbb000007MGoT", "other", "0Mwbb000007MGoTCAW", None, "", "0Mwbb000007MGo é"]
    # Of fifteen letters and digits, too, but no session's.
    texts.append("500bb000007MGoT")
    found = id_columns.to_session_ids(encode(pa.array(texts)))
    assert found.to_pylist() == [
        "0Mwbb000007MGoTCAW",
        "other",
        "0Mwbb000007MGoTCAW",
        None,
        None,
        "0Mwbb000007MGo é",
        "500bb000007MGoT",
    ]
    assert found.dictionary.to_pylist() == [
        "0Mwbb000007MGoTCAW",
        "other",
        "0Mwbb000007MGo é",
        "500bb000007MGoT",
    ]
    assert found.type == pa.dictionary(pa.int32(), pa.string())


@pytest.mark.parametrize("encode", ENCODINGS)
def test_of_a_list_in_a_text_the_first_sessions_id(encode):
    texts = {
        '["500bb0000000001", "0Mwbb000007MGoT", "0Mwx"]': "0Mwbb000007MGoTCAW",
        '[ "0Mwbb000007MGoTCAW" ]': "0Mwbb000007MGoTCAW",
        '["500bb0000000001"]': None,
        "[]": None,
        "[0Mwbb000007MGoT]": None,
        '["x0Mwbb000007MGoT"]': None,
        "a": "a",
    }
    found = id_columns.to_session_ids(encode(pa.array([*texts, None])))
    assert found.to_pylist() == [*texts.values(), None]
    lists = id_columns.to_session_ids(pa.array([["500x", "0Mwbb000007MGoT"], [], None]))
    assert lists.to_pylist() == ["0Mwbb000007MGoTCAW", None, None]


def test_ids_of_sessions_are_told_by_their_prefix():
    texts = pa.array(["0Mwbb000007MGoT", "0Mw", "0mwbb000007MGoT", "0dwbb000007MGoT", "x0Mw", ""])
    assert id_columns.is_of_session(texts).to_pylist() == [True, True, False, False, False, False]


@pytest.mark.parametrize("encode", ENCODINGS)
def test_ids_of_other_records_that_are_alike_are_one(encode):
    texts = {
        "0dwbb0000000001": "0dwbb0000000001AAA",
        "0dwbb0000000001AAA": "0dwbb0000000001AAA",
        "8A1D7C52-6D0E-4C3A-9A0F-2C9B3E1F4D10": "8a1d7c52-6d0e-4c3a-9a0f-2c9b3e1f4d10",
        "8a1d7c52-6d0e-4c3a-9a0f-2c9b3e1f4d10": "8a1d7c52-6d0e-4c3a-9a0f-2c9b3e1f4d10",
        "Conversation 1": "Conversation 1",
    }
    found = id_columns.to_comparable_ids(encode(pa.array([*texts, None, ""])))
    assert found.to_pylist() == [*texts.values(), None, None]
    assert found.dictionary.to_pylist() == list(dict.fromkeys(texts.values()))
    assert found.type == pa.dictionary(pa.int32(), pa.string())


def test_ids_without_a_value():
    for array in (pa.nulls(2), pa.array([], pa.string()), pa.array(["", None])):
        for convert in (id_columns.to_session_ids, id_columns.to_comparable_ids):
            assert convert(array).to_pylist() == [None] * len(array)


@pytest.mark.parametrize("to_ids", [id_columns.to_session_ids, id_columns.to_comparable_ids])
def test_blanks_and_the_point_of_a_data_frame_are_no_part_of_an_id(to_ids):
    texts = ["123.0", "123", " 123\t", "1.5", "1.0.0", "a b", "  ", "", "NULL", "\\N", None]
    expected = ["123", "123", "123", "1.5", "1.0.0", "a b", None, None, None, None, None]
    assert to_ids(pa.array(texts)).to_pylist() == expected
    assert to_ids(pa.array(texts).dictionary_encode()).to_pylist() == expected
    assert to_ids(pa.array([123.0, None, 124.0])).to_pylist() == ["123", None, "124"]


@given(st.lists(st.text(" ab\n", max_size=3) | st.none()))
def test_trimmed_as_by_python(texts):
    expected = [None if text is None else text.strip() or None for text in texts]
    nothing = [None if text == "" else text for text in texts]
    assert id_columns.trimmed(pa.array(nothing, pa.string())).to_pylist() == expected
