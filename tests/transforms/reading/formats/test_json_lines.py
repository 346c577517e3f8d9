"""JSON Lines to raw columns, whole and in parts."""

import gzip
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.files_of_rows import (
    NOON_MS,
    SECRET,
    SIZES,
    batches,
    lines,
    normalized,
    outcome,
    scan,
    with_sizes,
)
from transforms.batches import AGENT, NO_SEQUENCE
from transforms.reading import formats, values
from transforms.reading.formats import json_lines

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


@given(st.lists(st.sampled_from([GOOD_LINE, b"oops"]), min_size=1, max_size=9), st.randoms())
def test_rows_are_numbered_in_whatever_order_they_are_decoded(chosen, random):
    data = b"\n".join(chosen)

    def decoded():
        (part,) = formats.format_of("f.jsonl").parts(io.BytesIO(data), len(data))
        pieces = [*json_lines.JSON_LINES.read(lambda: io.BytesIO(data), part, ["message_id"])]
        random.shuffle(pieces)
        return [piece() for piece in pieces]

    found = with_sizes(1 << 30, 30, 3, decoded)
    numbers = [(number, "oops") for raw in found for number, _ in raw.malformed]
    numbers += [(number, "good") for raw in found for number in raw.rows().tolist()]
    expected = [(i, "good" if line == GOOD_LINE else "oops") for i, line in enumerate(chosen, 1)]
    assert sorted(numbers) == expected


@pytest.mark.parametrize("broken", [b"", b"oops\n"])
def test_of_a_key_that_is_there_twice_the_first_counts(broken):
    twice = (
        b'{"session_id": "a", "sender": {"role": "x"}, "session_id": "b", "sender": {"role": "y"}}'
    )
    row = (1, {"session_id": "a", "sender.role": "x"})
    assert scan("f.jsonl", twice + b"\n" + broken)[0] == [row]


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

    found = json_lines._decode(block, json_lines._LineCount(block), lambda: 1, names)
    assert rows(found) == rows(json_lines._slowly(block, 1, names))
