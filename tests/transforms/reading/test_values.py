"""Values as exports write them."""

import uuid

import pyarrow as pa
import pytest

from transforms.reading import values


def test_to_text():
    def text(array, kind=None):
        return values.to_text(pa.array(array, kind)).to_pylist()

    assert text(["a", "", None]) == ["a", None, None]
    assert text(["a", ""], pa.large_string()) == ["a", None]
    assert text([b"a", b"\xff"], pa.binary()) == ["a", None]
    assert text([1, None]) == ["1", None]
    numbers = [1.0, 1.5, None, 1e20, float("nan"), 5e-7, -0.0]
    assert text(numbers) == ["1", "1.5", None, "1" + "0" * 20, None, "0.0000005", "-0"]
    assert text([True]) == ["true"]
    assert text([{"a": 1}, None]) == [None, None]
    assert text([], pa.struct([("a", pa.int8())])) == []
    assert text([None, None], pa.null()) == [None, None]
    key = uuid.UUID("12345678-1234-5678-1234-567812345678")
    assert text([key, None], pa.uuid()) == [str(key), None]
    assert values.to_text(pa.array(["a", "", None, "a"]).dictionary_encode()).to_pylist() == [
        "a",
        None,
        None,
        "a",
    ]


def test_of_a_list_the_first_messaging_session():
    lists = pa.array([["500x", "0Mwa", "0Mwb"], None, [], ["500x"], [None, "0Mwc"]])
    assert values.to_text(lists).to_pylist() == ["0Mwa", None, None, None, "0Mwc"]
    assert values.to_text(lists[1:]).to_pylist() == [None, None, None, "0Mwc"]
    large = lists.cast(pa.large_list(pa.string()))
    assert values.to_text(large).to_pylist() == ["0Mwa", None, None, None, "0Mwc"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_integers_of_text(kind):
    texts = ["1", "-2", "3.0", "4.", "5.5", "x", "", None, "9" * 18, "9" * 19, "1.0E7", "0x1"]
    expected = [1, -2, 3, None, None, None, None, None, 10**18 - 1, None, 10_000_000, None]
    assert values.to_integers(pa.array(texts, kind)).to_pylist() == expected
    for text, number in zip(texts, expected, strict=True):
        assert values.to_integers(pa.array([text], kind)).to_pylist() == [number]


def test_integers_of_numbers():
    assert values.to_integers(pa.array([1, None], pa.int8())).to_pylist() == [1, None]
    assert values.to_integers(pa.array([1 << 63, 7], pa.uint64())).to_pylist() == [None, 7]
    assert values.to_integers(pa.array([1.0, 1.5, None])).to_pylist() == [1, None, None]
    assert values.to_integers(pa.array([1, 1]).dictionary_encode()).to_pylist() == [1, 1]
    assert values.to_integers(pa.nulls(2)).to_pylist() == [None, None]


def test_ids_of_a_dictionary_that_repeats_itself():
    twice = pa.DictionaryArray.from_arrays([0, 1, 2, None], ["a", "a", None])
    assert values.to_codes(twice).dictionary.to_pylist() == ["a"]
    assert values.to_codes(twice).to_pylist() == ["a", "a", None, None]


def test_words_are_compared_without_case_blanks_and_dashes():
    texts = ["End User", "END_USER", " end-user\t", "enduser", "ÄB", "", None, "end.user"]
    expected = ["enduser"] * 4 + ["äb", "", None, "end.user"]
    assert values.to_words(pa.array(texts)).to_pylist() == expected


def test_booleans():
    texts = ["true", "FALSE", " True", "yes", "1", "", None]
    expected = [True, False, True, None, None, None, None]
    assert values.to_booleans(pa.array(texts)).to_pylist() == expected
    assert values.to_booleans(pa.array([True, None])).to_pylist() == [True, None]
    assert values.to_booleans(pa.array([1, 0])).to_pylist() == [None, None]


def test_the_ends_of_whole_numbers():
    texts = [f"{sign}{2**63 + more}" for sign in ("", "-") for more in (-1, 0, 1)]
    assert values.to_integers(pa.array(texts)).to_pylist() == [
        *(2**63 - 1, None, None),
        *(1 - 2**63, -(2**63), None),
    ]
