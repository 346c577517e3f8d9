"""JSON Lines to raw columns, whole and in parts."""

import gzip
import io
import json

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.files_of_rows import (
    NAMES,
    NESTED,
    NOON_MS,
    SAME,
    SECRET,
    SIZES,
    batches,
    lines,
    normalized,
    outcome,
    rows_of,
    scan,
    with_sizes,
)
from transforms.batches import AGENT, NO_SEQUENCE
from transforms.reading import formats, timestamps, values
from transforms.reading.columns import RawBatch
from transforms.reading.embedded import look_into_texts
from transforms.reading.formats import json_lines as json_format

GOOD = {"session_id": "s", "message_id": "m", "sent_at": NOON_MS, "sender_role": "Agent"}
GOOD_LINE = json.dumps(GOOD).encode()
BROKEN_LINES = {
    b"hello": "not JSON: Expecting value",
    b"[1, 2]": "not a JSON object",
    b'"text"': "not a JSON object",
    b"null": "not a JSON object",
    GOOD_LINE[:40]: "not JSON: Unterminated string starting at",
    GOOD_LINE + GOOD_LINE: "not JSON: Extra data",
    GOOD_LINE + b",": "not JSON: Extra data",
    GOOD_LINE.replace(b'"m"', b'"\xff"'): "not UTF-8",
    GOOD_LINE.replace(b'"m"', b'"\\ud800"'): "not UTF-8",
    GOOD_LINE.replace(b'"m"', b'"\x01"'): "not JSON: Invalid control character at",
    b"[" * 100_000: "not JSON: RecursionError",
    b'{"conversationEntries": [3]}': "not a JSON object",
}
BAD_LINES = {
    b"{}": "session_id_missing",
    b'{"a":' + b"9" * 5000 + b"}": "session_id_missing",
    b'{"session_id":' + b"9" * 5000 + b"}": "message_id_missing",
    b'{"session_id": "s", "sent_at": 1, "sender_role": "Agent"}': "message_id_missing",
    GOOD_LINE.replace(str(NOON_MS).encode(), b'"noon"'): "sent_at_invalid",
    GOOD_LINE.replace(str(NOON_MS).encode(), b"NaN"): "sent_at_missing",
    GOOD_LINE.replace(str(NOON_MS).encode(), b"{}"): "sent_at_missing",
    GOOD_LINE.replace(b"Agent", b"Ghost"): "sender_role_unknown",
}
LINE_OPTIONS = [GOOD_LINE] * 6 + [b"", b"  "] + [*BROKEN_LINES, *BAD_LINES]


def expected_of_lines(chosen):
    rejects = []
    for number, line in enumerate(chosen, 1):
        if line in BROKEN_LINES:
            rejects.append((number, "malformed_row", BROKEN_LINES[line]))
        elif line in BAD_LINES:
            rejects.append((number, BAD_LINES[line], None))
    return chosen.count(GOOD_LINE), rejects


@pytest.mark.parametrize("end", [b"\n", b""])
@pytest.mark.parametrize("line", [*BROKEN_LINES, *BAD_LINES], ids=lambda line: repr(line[-40:]))
def test_a_broken_line(line, end):
    chosen = [GOOD_LINE, GOOD_LINE, line, GOOD_LINE, line]
    assert outcome("f.jsonl", b"\n".join(chosen) + end) == expected_of_lines(chosen)


@pytest.mark.parametrize("end", [b"\n", b""])
def test_all_kinds_of_broken_lines_in_small_parts(small, end):
    chosen = LINE_OPTIONS * 2
    data = b"\n".join(chosen) + end
    assert outcome("f.jsonl", data) == expected_of_lines(chosen)
    assert outcome("f.jsonl.gz", gzip.compress(data)) == expected_of_lines(chosen)


SHORT_LINES = [line for line in LINE_OPTIONS if len(line) < 1000]


@given(
    st.lists(st.sampled_from(SHORT_LINES), max_size=15),
    SIZES,
    SIZES,
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
)
def test_lines_are_the_same_however_they_are_cut(chosen, part, block, end, ended):
    data = end.join(chosen) + (end if ended else b"")
    found = with_sizes(part, block, 3, lambda: outcome("f.jsonl", data))
    assert found == expected_of_lines(chosen)


@pytest.mark.parametrize("broken", [b"", b"oops\n"])
def test_of_a_key_that_is_there_twice_the_first_counts(broken):
    twice = (
        b'{"session_id": "a", "sender": {"role": "x"}, "session_id": "b", "sender": {"role": "y"}}'
    )
    row = (1, {"session_id": "a", "sender.role": "x"})
    assert scan("f.jsonl", twice + b"\n" + broken)[0] == [row]


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(1 << 70), 1 << 70),
    st.floats(),
    st.sampled_from([0.5, 1.0, 1e15, 1e-4, 5e-7, 2.0**53, 2.0**63, -0.0]),
    st.text(max_size=5),
    st.sampled_from(["0Mwbb000007MGoT", "Agent", "2024-10-02T12:00:00Z", "\ud800", "1.0"]),
)
SENDERS = st.fixed_dictionaries({}, optional={"role": SCALARS, "x": SCALARS})
OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "session_id": SCALARS,
        "relatedRecords": st.lists(st.sampled_from(["0Mwa", "b", "", None]) | SCALARS, max_size=3),
        "Seq": SCALARS,
        "sent_at": st.integers(0, 1 << 50) | st.floats(0, 1e13),
        "EntryTime": SCALARS,
        "sender": SENDERS | SENDERS.map(json.dumps) | SCALARS,
        "sender.role": SCALARS,
        "MessagingSession": st.fixed_dictionaries({}, optional={"Id": st.text(max_size=2)}),
        "other": st.recursive(
            SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=3
        ),
    },
)
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
def test_the_fast_way_of_json_says_what_the_slow_one_says(objects):
    block = lines(objects)
    fast = json_format._fast(block, NAMES)
    if fast is None:
        return
    slow = json_format._slowly(block, 1, NAMES)
    assert slow.malformed == []
    fast = look_into_texts(RawBatch(fast, len(objects), list), NAMES).columns
    fast = {name: column for name, column in fast.items() if name in NAMES}
    if not fast:
        assert all(text is None for column in rows_of(slow.columns).values() for text in column)
        return
    assert rows_of(fast) == rows_of(slow.columns)
    for parse in (timestamps.to_instants, values.to_integers):
        for name in fast:
            assert parse(fast[name]).to_pylist() == parse(slow.columns[name]).to_pylist()


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
def test_odd_blocks_of_json_are_read_slowly_or_the_same(text):
    block = text.encode()
    names = ["a", "b.c"]
    slow = json_format._slowly(block, 1, names)
    fast = json_format._fast(block, names)
    if fast is not None:
        assert slow.malformed == []
        assert rows_of(fast, names) == rows_of(slow.columns, names)


IN_TEXTS = [
    {**row, "sender": json.dumps(row["sender"]), "relatedRecords": json.dumps(["0Mwa"])}
    for row in NESTED
]


@pytest.mark.parametrize(
    "data",
    [SAME["flat.jsonl"], SAME["nested.jsonl"], SAME["crlf.jsonl"], lines(IN_TEXTS)],
    ids=["flat", "nested", "crlf", "texts"],
)
def test_a_plain_block_of_json_is_read_the_fast_way(data):
    assert json_format._fast(data, NAMES) is not None


@pytest.mark.parametrize("name", ["f.jsonl", "f.ndjson", "f.jsonl.gz", "f.ndjson.gz"])
@pytest.mark.parametrize("data", [b"", b"\n", b"  \n\n"])
def test_a_file_of_json_lines_without_rows(name, data):
    packed = gzip.compress(data) if data and name.endswith("gz") else data
    assert formats.format_of(name).names(io.BytesIO(packed)) is None
    assert scan(name, packed) == ([], [])


def test_a_list_among_texts():
    """Where the first rows have a text, a later list is still its first messaging session's id."""
    rows = [{"session_id": "a"}, {"session_id": ["x", "0Mwb"]}, {"session_id": "[0Mwc]"}]
    (raw,) = batches("f.jsonl", lines(rows), ["session_id"])
    assert raw.columns["session_id"].to_pylist() == ["a", "0Mwb", "[0Mwc]"]


def test_columns_of_texts():
    found = json_format.columns_of_texts(
        pa.array(['{"a": "1", "b": {"c": "2"}}', "no", ' {"a":\n"3"}', "[4]"]), ["a", "b.c", "d"]
    )
    assert {name: column.to_pylist() for name, column in found.items()} == {
        "a": ["1", None, "3", None],
        "b.c": ["2", None, None, None],
    }
    assert json_format.columns_of_texts(pa.array([], pa.string()), ["a"]) == {}
    # Not one of them is an object.
    for texts in (["{", "{]"], ["no", ""]):
        columns = json_format.columns_of_texts(pa.array(texts), ["a"])
        assert all(column.to_pylist() == [None, None] for column in columns.values())


# Events, each with a row inside.

ENTRY = {
    "identifier": "m",
    "relatedRecords": ["500x", "0Mwa"],
    "sender": {"role": "Agent", "subject": SECRET},
    "serverReceivedTimestamp": NOON_MS,
    "entryType": "Text",
}
ROW = {
    "session_id": "0Mwa",
    "message_id": "m",
    "sent_at_us": NOON_MS * 1000,
    "sequence": NO_SEQUENCE,
    "sender": AGENT,
}


def test_an_event_with_its_row_inside():
    event = {"conversationEntry": ENTRY, "conversationId": "c", "type": "x"}
    assert normalized("f.jsonl", lines([event])) == ([ROW], [])
    text = {**event, "conversationEntry": json.dumps(ENTRY)}
    assert normalized("f.jsonl", lines([text])) == ([ROW], [])
    # Of one kind for some lines, of the other for the rest, and without one.
    found = normalized("f.jsonl", lines([event, text, {"conversationId": "c"}, ENTRY, event]))
    assert found[0] == [ROW] * 4
    assert [(r.row, r.reason) for r in found[1]] == [(3, "message_id_missing")]


def test_what_an_event_says_itself_comes_first():
    without = {key: value for key, value in ENTRY.items() if key != "relatedRecords"}
    event = {"identifier": "outer", "conversationId": "c", "conversationEntry": without}
    ((row,), rejects) = normalized("f.jsonl", lines([event]))
    assert (row["message_id"], row["conversation_id"], rejects) == ("outer", "c", [])


def test_lines_that_differ_have_the_columns_of_each():
    """Also those that are not in the first MiB, from which the names are taken."""
    first = {"message_id": "m", "sent_at": NOON_MS, "role": "Agent", "session_id": "0Mwa"}
    long = {**first, "text": "x" * (1 << 20)}
    rows = [long, first, {**first, "role": None, "sender": {"role": "Agent"}}, ENTRY]
    assert formats.format_of("f.jsonl").names(io.BytesIO(lines(rows))) == list(long)
    for block in (100, 1 << 20, 1 << 30):
        found = with_sizes(1 << 30, block, 3, lambda: normalized("f.jsonl", lines(rows)))
        assert found == ([ROW] * 4, [])


def test_a_name_may_be_spelled_as_no_other_line_spells_it():
    row = {"Message ID": "m", "SENT_AT": NOON_MS, "Role": "Agent", "Related_Records": ["0Mwa"]}
    assert normalized("f.jsonl", lines([row, row])) == ([ROW] * 2, [])


MANY = '{"Id": "a", "Message": "data and records"}\n' * 2_000


@pytest.mark.parametrize(
    "line",
    [
        '{"Id": "b", "Seq": 7}',
        '{"Id": "b", "\\u0053eq": 7}',
        '{"Id": "b", "sender": {"role": "Agent"}}',
        '{"conversationEntries": [{"Id": "b", "Seq": 7}, {"Id": "c"}]}',
        '{"data": [["b", 7]], "metadata": [{"name": "Id"}, {"name": "Seq"}]}',
        '{"records": [{"Id": "b", "Seq": 7}], "done": true}',
        '{"Id": "b", "data": 1, "records": 2}',
    ],
)
def test_what_is_only_far_down_a_block_is_found(line):
    """The first rows, in which most columns are found, are 64 KiB."""
    block = (MANY + line).encode()
    names = ["Id", "Seq", "sender.role", "relatedRecords"]

    def rows(raw):
        texts = {name: values.to_text(array).to_pylist() for name, array in raw.columns.items()}
        return raw.num_rows, {name: text for name, text in texts.items() if any(text)}

    found = json_format._decode_lines(block, 2_001, lambda: 1, names)
    assert rows(found) == rows(json_format._slowly(block, 1, names))
