"""The values of JSON."""

import pytest

from transforms.reading.formats.json_values import (
    KEYS_OF_PAGES,
    may_be_pages,
    names_of,
    parse,
    rows_in,
)


def test_of_a_key_that_is_there_twice_the_first_counts():
    assert parse('{"a": 1, "b": {"c": 2, "c": 3}, "a": 4}') == {"a": 1, "b": {"c": 2}}


def test_a_number_that_is_too_long_for_one_stays_text():
    assert parse(f"[{'9' * 19}, {'9' * 20}]") == [int("9" * 19), "9" * 20]


def test_rows_of_pages():
    page = {"records": [{"a": 1}, 2], "done": False}
    counts = {}
    found = list(rows_in([page, {"b": 3}, [4], page], counts))
    assert found == [{"a": 1}, 2, {"b": 3}, [4], {"a": 1}, 2]
    assert counts == {"pages_with_more": 2}
    assert names_of([page, {"b": {"c": 3}}]) == ["a", "b", "b.c"]
    assert names_of([2, {"records": [], "done": True}]) is None


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"conversationEntries"}, True),
        ({"data", "metadata", "Id"}, True),
        ({"records", "totalSize"}, True),
        ({"data", "records"}, False),
        ({"records"}, False),
        ({"done", "Id"}, False),
    ],
)
def test_keys_by_which_values_may_be_pages(keys, expected):
    assert may_be_pages(keys) is expected
    assert not (expected and keys.isdisjoint(KEYS_OF_PAGES))
