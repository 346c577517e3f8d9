"""The numbers of values that stand in dictionaries."""

import pyarrow as pa
import pytest

from transforms.plumbing.dictionaries import numbers_of

NUMBERS = {"a": 1, "b": 2, "c": 3}


def encoded(*texts):
    return pa.array(texts, pa.string()).dictionary_encode()


@pytest.mark.parametrize(
    "columns",
    [
        ["aba", "cca"],
        ["", "b", ""],
        ["abcabc"],
    ],
)
def test_each_value_has_its_number_and_is_looked_up_once(columns):
    asked = []

    def number(texts):
        asked.append(texts.to_pylist())
        return pa.array([NUMBERS[text] for text in texts.to_pylist()], pa.int32())

    found = numbers_of([encoded(*column) for column in columns], number)
    assert found.tolist() == [NUMBERS[text] for text in "".join(columns)]
    assert asked == [[text for column in columns for text in dict.fromkeys(column)]]


def test_a_part_of_a_column_is_taken_by_its_own_codes():
    column = encoded("a", "b", "c", "b")[1:]
    found = numbers_of([column], lambda texts: pa.array([NUMBERS[t.as_py()] for t in texts]))
    assert found.tolist() == [2, 3, 2]
