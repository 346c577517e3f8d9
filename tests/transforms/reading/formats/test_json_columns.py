"""JSON to whole columns, which say what the lines say one by one."""

import json

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.files_of_rows import NAMES, NESTED, SAME, lines
from tests.support.json_rows import OBJECTS, assert_says_what_the_lines_say
from transforms.reading.formats.json_columns import columns_of_texts, decode_by_polars, decode_lines

ONE_KIND = st.sampled_from(["session_id", "Seq", "EntryTime"]).flatmap(
    lambda key: st.one_of(
        *(
            st.lists(st.fixed_dictionaries({"sent_at": st.just(1)}, optional={key: kind}))
            for kind in (st.integers(), st.floats(allow_nan=False), st.text(max_size=3), st.none())
        )
    )
)


@given(st.lists(OBJECTS, min_size=1, max_size=5) | ONE_KIND.filter(bool))
@example([{"sender": {"role": "a"}, "sender.role": None}])
@example([{"sender": {"role": "a"}, "sender.role": "b"}])
@example([{"sender": "a"}, {"sender": {"role": "b"}}])
@example([{"sender": '{"role": "a"}'}, {"sender": {"role": 1e20}}])
@example([{"sender": "a", "sender.role": "b"}])
@example([{"sender": "a"}, {"sender.role": "b"}])
@example([{"sender": '{"role": "a"}'}, {"sender": None}, {"sender": "no"}])
@example([{"sender": '{"role": "a"}'}, {"sender": 7}, {"sender": '{"role": ["0Mwb"]}'}])
@example([{"session_id": '["0Mwa"]'}, {"session_id": {"x": 1}}])
@example([{"session_id": '["0Mwa"]'}, {"session_id": "b"}])
@example([{"Seq": 1}, {"Seq": "1"}])
@example([{"Seq": 1.5}, {"Seq": 9007199254740993}])
@example([{"Seq": 5e-7}, {"Seq": 2.2250738585072014e-308}])
def test_columns_say_what_the_lines_say(objects):
    block = lines(objects)
    assert_says_what_the_lines_say(decode_lines(block, NAMES), block)
    assert_says_what_the_lines_say(decode_by_polars(block, NAMES), block)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":"1"}{"a":"2"}\n\n',
        '{"a":"1"}{"a":"2"}\n{"a":\n"3"}\n',
        '{"a":"1"}\nnull\n',
        '{"a":"1"}\n"x"\n',
        '{"a":"1","a":"2"}\n',
        '{"a":"1","\\u0061":"2"}\n',
        '{"b":{"c":"1","c":"2"},"a":"q"}\n',
        '{"a":NaN}\n',
        '{"a":[{"b":1},\n{"b":2}]}\n',
        '{"conversationEntries":[{"a":"1"},{"a":"2"}]}\n',
        '{"records":[{"a":"1"},{"a":"2"}],"done":true}\n{"a":"3"}\n',
        '{"status":0,"result":{"totalSize":1,"records":[{"a":"1"}]}}\n',
        '{"a":"1","records":[],"result":{"records":[]}}\n',
    ],
)
def test_odd_blocks_are_read_line_by_line_or_the_same(text):
    block, names = text.encode(), ["a", "b.c"]
    assert_says_what_the_lines_say(decode_lines(block, names), block, names)
    assert_says_what_the_lines_say(decode_by_polars(block, names), block, names)


IN_TEXTS = [
    {**row, "sender": json.dumps(row["sender"]), "relatedRecords": json.dumps(["0Mwa"])}
    for row in NESTED
]


@pytest.mark.parametrize(
    "data",
    [SAME["flat.jsonl"], SAME["nested.jsonl"], SAME["crlf.jsonl"], lines(IN_TEXTS)],
    ids=["flat", "nested", "crlf", "texts"],
)
def test_a_plain_block_is_read_as_columns(data):
    assert decode_by_polars(data, NAMES) is not None


def test_columns_of_texts():
    found = columns_of_texts(
        pa.array(['{"a": "1", "b": {"c": "2"}}', "no", ' {"a":\n"3"}', "[4]"]), ["a", "b.c", "d"]
    )
    assert {name: column.to_pylist() for name, column in found.items()} == {
        "a": ["1", None, "3", None],
        "b.c": ["2", None, None, None],
    }
    assert columns_of_texts(pa.array([], pa.string()), ["a"]) == {}
    # Not one of them is an object.
    for texts in (["{", "{]"], ["no", ""]):
        columns = columns_of_texts(pa.array(texts), ["a"])
        assert all(column.to_pylist() == [None, None] for column in columns.values())
