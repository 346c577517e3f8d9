"""Ids in the one form in which they are compared."""

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from tests.support import conversations
from transforms.ids import comparable, lengthen

UUID = "8a1d7c52-6d0e-4c3a-9a0f-2c9b3e1f4d10"
TEXTS = st.one_of(
    st.text("0aZ9fF-\u00e9 ", max_size=20),
    st.text("0aZbQ9", min_size=15, max_size=15),
    st.sampled_from([UUID, UUID.upper(), UUID.title(), UUID.replace("8", "g"), UUID[:-1] + "A"]),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0dwbb0000000001", "0dwbb0000000001AAA"),
        ("0dwbb0000000001AAA", "0dwbb0000000001AAA"),
        ("0Mwbb000007MGoT", "0Mwbb000007MGoTCAW"),
        ("0Mwbb000007MGot", "0Mwbb000007MGotCAG"),
        # 15 characters or bytes, but no id.
        ("0dwbb-000000001", "0dwbb-000000001"),
        ("0dwbb00000000\u00e9", "0dwbb00000000\u00e9"),
        (UUID.upper(), UUID),
        (UUID, UUID),
        # 36 characters, but no UUID.
        (UUID.upper().replace("8", "G"), UUID.upper().replace("8", "G")),
        (f"{UUID[:-2]}-A", f"{UUID[:-2]}-A"),
        ("Conversation 1", "Conversation 1"),
        ("", ""),
    ],
)
def test_ids_that_are_alike_have_one_text(text, expected):
    assert comparable(pa.array([text])).to_pylist() == [expected]
    # Beside others, and as a slice of a longer column.
    texts = pa.array(["0dwbb0000000009", text, "other", text, UUID.upper()])
    assert comparable(texts[1:4]).to_pylist() == [expected, "other", expected]


@given(st.lists(TEXTS, max_size=8), st.integers(0, 3))
def test_ids_as_by_hand(texts, start):
    ids = pa.array(texts, pa.string())[start:]
    assert comparable(ids).to_pylist() == [conversations.comparable(t) for t in texts[start:]]
    assert lengthen(ids).to_pylist() == [conversations.with_suffix(t) for t in texts[start:]]
