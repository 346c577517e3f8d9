"""What a reject shows of a value: ids, words and instants, never anybody's words."""

import pyarrow as pa
import pytest

from transforms.reading.details import to_details


@pytest.mark.parametrize(
    "text",
    [
        "Ghost",
        "0Mwbb000007MGoTCAW",
        "1.72787E+12",
        "a" * 40,
        "2024-10-02 12:00:00",
        "10/02/2024 12:00 PM",
        "2024-10-02 12:00:00 +0200 CEST",
        "2 October 2024 12.00",
        "Oct 2, 2024 12:00:00 p.m. EST",
        "Wed, Oct 2 2024 12:00:00 GMT",
    ],
)
def test_shown(text):
    assert to_details(pa.array([text])).to_pylist() == [text]


@pytest.mark.parametrize(
    "text",
    [
        "see you at noon",
        "a" * 41,
        "Mary 5",
        "Ghost\n",
        "2 friends",
        "meet me 2 Oct",
        "Zoë",
        "2024-10-02\t12:00",
    ],
)
def test_not_shown(text):
    assert to_details(pa.array([text])).to_pylist() == [f"a text of {len(text)} characters"]


def test_nothing_and_codes():
    codes = pa.DictionaryArray.from_arrays(pa.array([1, 0, None]), pa.array(["Ghost", "my secret"]))
    assert to_details(codes).to_pylist() == ["a text of 9 characters", "Ghost", ""]
    assert to_details(pa.nulls(2)).to_pylist() == ["", ""]
    assert to_details(pa.array([1.5, 2.0])).to_pylist() == ["1.5", "2"]
