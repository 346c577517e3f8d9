"""Parts of files, and columns by their names."""

import itertools
import json

import pyarrow as pa
import pytest

from tests.support.files_of_rows import with_sizes
from transforms.reading.formats import parts


def test_parts_cover_a_file_once():
    for size in (0, 1, 99, 1000):
        with_parts = with_sizes(100, 100, 1, lambda size=size: parts.byte_ranges(size))
        assert with_parts[0].start == 0
        assert with_parts[-1].end == size
        assert all(left.end == right.start for left, right in itertools.pairwise(with_parts))


@pytest.mark.parametrize(
    ("names", "found", "columns"),
    [
        (["Id", "Seq", "Id"], ["Seq", "Id"], ["Id", "Seq"]),
        (["sender.role", "sender.subject"], ["sender"], ["sender"]),
        (["sender.role"], ["sender", "sender.role"], ["sender.role"]),
        (["a.b.c", "a.b.d", "a.e"], ["a.b", "a"], ["a.b", "a"]),
        (["sender", "role"], ["sender.role"], []),
        ([], ["Id"], []),
    ],
)
def test_columns_to_read(names, found, columns):
    assert parts.columns_to_read(names, found) == columns


TABLE = pa.table(
    {
        "text": ["x", None],
        "code": pa.array(["x", None]).dictionary_encode(),
        "outer": pa.array([{"role": "a", "text": "t", "deep": {"n": 1}}, None]),
        "outer.role": ["dotted", "too"],
        "number": [1, 2],
    }
)


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (["text", "nowhere"], {"text": ["x", None]}),
        (["text.role", "text.deep.n"], {"text": ["x", None]}),
        (["code.role"], {"code": ["x", None]}),
        # A name of its own comes before one that leads into a struct.
        (["outer.role"], {"outer.role": ["dotted", "too"]}),
        (["outer.deep.n", "outer.text"], {"outer.deep.n": [1, None], "outer.text": ["t", None]}),
        (["outer.text.role"], {"outer.text": ["t", None]}),
        # Neither a struct nor a number has texts to look into.
        (["outer.nothing", "outer.deep.m", "number.role"], {}),
    ],
)
def test_columns_of_a_table(names, columns):
    for table in (TABLE, TABLE.to_batches()[0]):
        found = parts.columns_of(table, names)
        assert {name: column.to_pylist() for name, column in found.items()} == columns


def test_texts_are_told_from_other_columns():
    texts = [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.large_string())]
    others = [pa.int64(), pa.binary(), pa.dictionary(pa.int8(), pa.int64()), pa.list_(pa.string())]
    assert [parts.is_text(kind) for kind in texts] == [True] * 3
    assert [parts.is_text(kind) for kind in others] == [False] * 4


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ({"a.b.c": 1, "a": {"b": {"c": 2}}}, 1),
        ({"a.b.c": None, "a": {"b": {"c": 2}}}, 2),
        ({"a": {"b": {"c": 0}}}, 0),
        ({"a": {"b": ["c"]}}, None),
        ({"a": ["b"]}, None),
        ({"a": "b"}, None),
        ({}, None),
    ],
)
def test_a_value_is_looked_up(row, value):
    assert parts.look_up(row, "a.b.c") == value
    assert parts.look_up(row, "a.b.c", json.loads) == value


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ({"a": {"b": '{"c": 2}'}}, 2),
        ({"a": '{"b": {"c": 2}}'}, 2),
        ({"a": '{"b": "{\\"c\\": 2}"}'}, 2),
        ({"a": '{"b": "c"}'}, None),
        ({"a": '{"b": {"c": '}, None),
        ({"a": "[" * 100_000}, None),
    ],
)
def test_a_value_is_looked_up_in_texts(row, value):
    assert parts.look_up(row, "a.b.c", json.loads) == value
    assert parts.look_up(row, "a.b.c") is None
