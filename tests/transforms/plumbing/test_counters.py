"""Counts of rows, as elements."""

from transforms.collections import COUNTS
from transforms.plumbing.counters import LIVE, add_counts, emit_counts


def test_counts_are_added_by_name_in_alphabetical_order():
    found = add_counts([{"b": 1, "a": 2}, {}, {"b": 3}])
    assert found == {"a": 2, "b": 4}
    assert list(found) == ["a", "b"]


def test_counts_are_an_element_and_on_display():
    before = LIVE["tests_emitted"]
    (element,) = emit_counts({"tests_emitted": 2})
    assert (element.tag, element.value) == (COUNTS, {"tests_emitted": 2})
    assert LIVE["tests_emitted"] == before + 2
