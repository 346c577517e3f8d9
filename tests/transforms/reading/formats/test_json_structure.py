"""Brackets and commas of JSON, told from those in strings."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.reading.formats.json_structure import structure_of

TEXTS = st.text('a"\\\\{}[],', max_size=8)


def outside(text):
    """The brackets and commas outside of strings, character by character, and how many are open."""
    found, depth, inside, escaped = [], 0, False, False
    for place, letter in enumerate(text):
        if inside and letter == "\\" and not escaped:
            escaped = True
            continue
        if letter == '"' and not escaped:
            inside = not inside
        elif not inside and letter in "{}[],":
            depth += {"{": 1, "[": 1, ",": 0}.get(letter, -1)
            found.append((place, letter, depth))
        escaped = False
    return found


@given(
    st.recursive(
        TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=9
    ),
    st.integers(0, 50),
)
def test_each_bracket_and_comma(value, cut):
    """Of a text that may end anywhere, also within an escape."""
    text = json.dumps(value)
    text = text[: max(0, len(text) - cut)]
    places, marks, depths = structure_of(text.encode())
    found = zip(places.tolist(), bytes(marks).decode(), depths.tolist(), strict=True)
    assert list(found) == outside(text)


@pytest.mark.parametrize("text", ['"\\', '["a\\', '["a", "\\"\\'])
def test_a_text_that_ends_in_an_escape(text):
    places, _, _ = structure_of(text.encode())
    assert places.tolist() == [place for place, _, _ in outside(text)]


def test_nothing():
    assert [len(found) for found in structure_of(b"")] == [0, 0, 0]
