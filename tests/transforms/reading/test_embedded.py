"""Columns of texts that hold JSON."""

import csv
import io
import json

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.files_of_rows import NOON_MS, avro, fields, lines, normalized, parquet
from transforms.reading.columns import RawBatch
from transforms.reading.embedded import look_into_texts
from transforms.reading.values import to_text


def look(column, *names, **more):
    """The columns that there are beside `t`, which has these texts."""
    array = column if isinstance(column, pa.Array) else pa.array(column, pa.string())
    raw = RawBatch({"t": array, **more}, len(array), list)
    found = look_into_texts(raw, names)
    assert found.columns["t"] is array
    assert (found.num_rows, found.rows) == (raw.num_rows, raw.rows)
    return {
        name: values.to_pylist()
        for name, values in found.columns.items()
        if name not in raw.columns
    }


def test_columns_inside_of_texts():
    texts = ['{"role": "Agent", "n": 7}', "Agent", None, "", '{"x": 1}', '{"role": "Bot"}', "[1]"]
    assert look(texts, "t.role", "t.n", "other") == {
        "t.role": ["Agent", None, None, None, None, "Bot", None],
        "t.n": [7, None, None, None, None, None, None],
    }


@pytest.mark.parametrize(
    "encode",
    [
        lambda array: array,
        pa.Array.dictionary_encode,
        lambda array: array.cast(pa.large_string()),
        lambda array: array.cast(pa.large_string()).dictionary_encode(),
    ],
)
def test_texts_of_each_kind_of_column(encode):
    array = encode(pa.array(['{"a": "1"}', None, '{"a": "2"}', '{"a": "1"}']))
    assert look(array, "t.a") == {"t.a": ["1", None, "2", "1"]}
    assert look(array[1:], "t.a") == {"t.a": [None, "2", "1"]}


def test_nothing_is_looked_into_that_is_not_asked_for():
    raw = RawBatch({"t": pa.array(['{"a": "1"}']), "t.a": pa.array(["x"])}, 1, list)
    assert look_into_texts(raw, ["t", "t.a", "u.a"]) is raw
    numbers = RawBatch({"t": pa.array([1])}, 1, list)
    assert look_into_texts(numbers, ["t.a"]) is numbers


def test_texts_in_texts():
    inner = json.dumps({"role": "Agent", "deep": json.dumps({"x": "y"})})
    texts = [json.dumps({"sender": inner}), json.dumps({"sender": {"role": "Bot"}}), "{}", None]
    names = ("t.sender.role", "t.sender.deep.x")

    def asked(found):
        return [found.get(name, [None] * 4) for name in names]

    assert asked(look(texts, *names)) == [["Agent", "Bot", None, None], ["y", None, None, None]]
    # One that can't be parsed changes nothing of the others.
    assert asked(look([*texts[:3], "{sender"], *names)) == asked(look(texts, *names))


@pytest.mark.parametrize(
    "broken",
    [
        "{",
        '{"a": ',
        '{"a": "1"} {"a": "2"}',
        '{"a": "1"}\n{"a": "2"}',
        '{"a": "1"}{"a": "2"}',
        "{'a': 1}",
        '{"a": "\\ud800"}',
        '{"a": "\x01"}',
        '{"a":' * 5000,
    ],
)
def test_a_text_that_is_no_json_gives_null(broken):
    texts = ['{"a": "1"}', broken, '{"a": "2"}']
    assert look(texts, "t.a") == {"t.a": ["1", None, "2"]}


@pytest.mark.parametrize(
    "spread", ['{\n  "a": "1",\r\n  "b": 2\n}', ' \t\n{"a":\n"1"}\n', '{"a": "1"}\r\n']
)
def test_a_text_may_be_of_several_lines(spread):
    assert look([spread, '{"a": "2"}'], "t.a") == {"t.a": ["1", "2"]}


def test_a_page_in_a_text_is_no_rows():
    page = '{"conversationEntries": [{"a": "1"}, {"a": "2"}], "a": "3"}'
    assert look([page, '{"a": "4"}'], "t.a") == {"t.a": ["3", "4"]}


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
VALUES = SCALARS | st.sampled_from(["0Mwb", "Agent", '{"c": "x"}', "[]", "\ud800", 1e20])
INNER = st.fixed_dictionaries({}, optional={"c": VALUES, "d": SCALARS})
OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "a": VALUES | st.lists(VALUES, max_size=2),
        "b": INNER | INNER.map(json.dumps) | VALUES,
        "b.c": VALUES,
        "other": SCALARS,
    },
)
TEXTS = OBJECTS.map(json.dumps) | st.sampled_from(["", "no", "{", "[]", '{"a": 1, "a": 2}'])
NAMES = ("t.a", "t.b.c", "t.b.d")


@given(st.lists(TEXTS, max_size=6))
@example(['{"b": "{\\"c\\": 1}"}', '{"b": {"c": 2}}'])
@example(['{"b": "x", "b.c": 3}'])
@example(['{"a": 1}', '{"a": "1"}'])
@example([json.dumps({"a": False, "b": json.dumps({"c": "\ud800", "d": 1})})])
@example([json.dumps({"a": "\ud800", "b": json.dumps({"c": "x"})})])
def test_texts_alone_are_what_they_are_among_others(texts):
    """Most are read together; beside one that is broken, each by itself."""
    together = look(texts, *NAMES)
    by_row = look([*texts, "{broken"], *NAMES)
    for name in NAMES:
        nothing = [None] * len(texts)
        one, other = together.get(name, nothing), by_row.get(name, nothing)[: len(texts)]
        # What is a number in one way is its digits in the other.
        assert to_text(pa.array(one)).to_pylist() == to_text(pa.array(other)).to_pylist()


# The same rows in each format.

ROLES = st.sampled_from(["EndUser", "Agent", "Chatbot", "System", "Ghost", ""]) | st.none()
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "identifier": st.sampled_from(["m1", "m2", 'é,"\n', ""]) | st.none(),
            "serverReceivedTimestamp": st.integers(NOON_MS, NOON_MS + 9999).map(str) | st.none(),
            "sender": st.fixed_dictionaries({"role": ROLES, "subject": st.just("p")}),
            "relatedRecords": st.sampled_from([["500x", "0Mwbb000007MGoT"], ["500x"], []]),
            "conversationId": st.sampled_from(["c1", "c2", ""]) | st.none(),
            "Seq": st.integers(-3, 3).map(str) | st.none(),
        }
    ),
    min_size=1,
    max_size=6,
)


def in_texts(rows):
    nested = ("sender", "relatedRecords")
    return [
        {key: json.dumps(value) if key in nested else value for key, value in row.items()}
        for row in rows
    ]


def as_csv(rows):
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


STRUCTS = pa.schema(
    [
        *((name, pa.string()) for name in ("identifier", "serverReceivedTimestamp")),
        ("sender", pa.struct([("role", pa.string()), ("subject", pa.string())])),
        ("relatedRecords", pa.list_(pa.string())),
        *((name, pa.string()) for name in ("conversationId", "Seq")),
    ]
)
PLAIN = pa.schema([(name, pa.string()) for name in STRUCTS.names])
AVRO = fields(**{name: ["null", "string"] for name in STRUCTS.names})


@given(ROWS)
@settings(max_examples=30)
def test_the_same_rows_in_each_format(rows):
    texts = in_texts(rows)
    written = {
        "m.csv": as_csv(texts),
        "objects.jsonl": lines(rows),
        "texts.jsonl": lines(texts),
        "objects.json": json.dumps(rows).encode(),
        "texts.json": json.dumps(texts).encode(),
        "structs.parquet": parquet(pa.Table.from_pylist(rows, STRUCTS)),
        "texts.parquet": parquet(pa.Table.from_pylist(texts, PLAIN)),
        "texts.avro": avro(AVRO, texts),
    }
    found = {name: normalized(name, data) for name, data in written.items()}
    kept, rejects = found["m.csv"]
    expected = [(r.reason, r.detail, r.session_id, r.message_id) for r in rejects]
    for name, (others, other_rejects) in found.items():
        assert others == kept, name
        assert [(r.reason, r.detail, r.session_id, r.message_id) for r in other_rejects] == (
            expected
        ), name


@given(ROWS)
@settings(max_examples=15)
def test_rows_in_envelopes(rows):
    """As objects, as texts, and as texts in a column."""
    plain = normalized("m.jsonl", lines(rows))[0]
    for envelope in ("conversationEntry", "_airbyte_data"):
        written = {
            "objects.jsonl": lines([{"n": 1, envelope: row} for row in rows]),
            "texts.jsonl": lines([{"n": 1, envelope: json.dumps(row)} for row in rows]),
            "texts in texts.jsonl": lines([{envelope: json.dumps(row)} for row in in_texts(rows)]),
            "texts.csv": as_csv([{"n": 1, envelope: json.dumps(row)} for row in rows]),
            "texts.parquet": parquet(
                pa.table({envelope: [json.dumps(row) for row in in_texts(rows)]})
            ),
            "structs.parquet": parquet(
                pa.Table.from_pylist(
                    [{envelope: row} for row in rows], pa.schema([(envelope, pa.struct(STRUCTS))])
                )
            ),
        }
        for name, data in written.items():
            assert normalized(name, data)[0] == plain, (name, envelope)
