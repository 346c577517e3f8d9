"""JSON documents to raw columns: pages of Connect REST and of Data Cloud's Query API."""

import gzip
import io
import json

import pytest

from tests.support.files_of_rows import (
    EXPECTED,
    FLAT,
    NAMES,
    NESTED,
    NOON_MS,
    SECRET,
    batches,
    lines,
    normalized,
    scan,
)
from transforms.reading import formats
from transforms.reading.formats import parts


@pytest.mark.parametrize("data", [b"[]", b'{"conversationEntries": []}', b"[1, null]"])
def test_a_json_document_without_rows(data):
    assert formats.format_of("f.json").names(io.BytesIO(data)) is None
    assert scan("f.json", data)[0] == []


def test_of_a_key_that_is_there_twice_the_first_counts():
    twice = b'{"session_id": "a", "sender": {"role": "x"}, "session_id": "b"}'
    assert scan("f.json", twice)[0] == [(1, {"session_id": "a", "sender.role": "x"})]


def test_a_document_has_the_columns_of_all_its_rows():
    rows = [{"Id": "a"}, {"Id": "b", "sender": {"role": "Agent"}}, {"sender": "x"}]
    data = json.dumps(rows).encode()
    assert formats.format_of("f.json").names(io.BytesIO(data)) == ["Id", "sender", "sender.role"]


# Several documents in one file.


def test_json_lines_that_are_called_json(small):
    data = lines(NESTED)
    for text in (data, b"\xef\xbb\xbf" + data, b"\n" + data, data.replace(b"\n", b"\r\n")):
        assert normalized("f.json", text) == normalized("f.jsonl", text) == (EXPECTED, [])
        assert len(formats.format_of("f.json").parts(io.BytesIO(text), len(text))) > 10
    broken = b"\n".join([*data.splitlines()[:3], b'{"identifier"', *data.splitlines()[3:]])
    found, rejects = normalized("f.json", broken)
    assert found == EXPECTED
    assert [(r.row, r.reason, r.detail) for r in rejects] == [
        (4, "malformed_row", "not JSON: Expecting ':' delimiter")
    ]
    packed, told = normalized("f.json.gz", gzip.compress(broken))
    assert (packed, [r.row for r in told]) == (EXPECTED, [4])


def test_documents_one_after_the_other():
    for indent in (None, 1):
        for between in ("", "\n", " \r\n\ufeff"):
            pages = [NESTED[:3], {"conversationEntries": NESTED[3:9]}, NESTED[9:]]
            text = between.join(json.dumps(page, indent=indent) for page in pages).encode()
            assert normalized("f.json", text) == (EXPECTED, [])
    both = [(1, {"Id": "a"}), (2, {"Id": "b"})]
    for between in (b"", b" ", b"\n", b"\n\n"):
        assert [row for _, row in scan("f.json", b'{"Id": "a"}' + between + b'{"Id": "b"}')[0]] == [
            row for _, row in both
        ]
    assert scan("f.json", b'{"Id": "a"}\n{\n"Id": "b"}')[0] == both
    assert scan("f.json", b'{"Id": "a"}\n')[0] == scan("f.json", b'{\n"Id": "a"}')[0] == both[:1]
    with pytest.raises(ValueError, match="it ends inside of a JSON value"):
        scan("f.json", b'{"Id": "a"} {"Id"')


# What wraps the result of a query.

ATTRIBUTES = {"attributes": {"type": "ConversationEntry", "url": "/services/data"}}


def answer(rows, done=True):
    """As REST and simple-salesforce's query_all give it."""
    return {"totalSize": 20, "done": done, "records": [ATTRIBUTES | row for row in rows]}


def printed(rows, done=True):
    """As the command line of Salesforce prints it."""
    return {"status": 0, "result": answer(rows, done), "warnings": []}


@pytest.mark.parametrize("wrap", [answer, printed])
def test_the_answer_to_a_query(wrap):
    assert normalized("f.json", json.dumps(wrap(NESTED), indent=2).encode()) == (EXPECTED, [])
    parts = [wrap(NESTED[:7], False), wrap(NESTED[7:])]
    assert normalized("f.json", json.dumps(parts).encode()) == (EXPECTED, [])
    for name in ("f.json", "f.jsonl"):
        assert normalized(name, lines(parts)) == (EXPECTED, [])
    # Beside lines that are rows.
    mixed = lines([*NESTED[:5], wrap(NESTED[5:8]), *NESTED[8:]])
    assert normalized("f.jsonl", mixed) == (EXPECTED, [])


def test_rows_of_a_large_page_are_no_pages(monkeypatch):
    monkeypatch.setattr(parts, "BLOCK_BYTES", 64)
    row = {"Id": "m", "records": [{"Id": "n"}], "done": True}
    page = json.dumps({"conversationEntries": [row] * 9, "hasMore": False}).encode()
    assert scan("f.json", page) == ([(number, {"Id": "m"}) for number in range(1, 10)], [])


def test_records_without_a_mark_are_a_row():
    rows = [{"Id": "m", "records": [{"Id": "n"}]}, {"Id": "m", "records": None, "done": True}]
    rows.append({"Id": "m", "result": {"records": [{"Id": "n"}], "done": True}})
    for name in ("f.json", "f.jsonl"):
        assert [row for _, row in scan(name, lines(rows))[0]] == [{"Id": "m"}] * 3


@pytest.mark.parametrize(
    ("marks", "counts"),
    [
        ({"hasMore": True, "nextPageUrl": None}, {"pages_with_more": 1}),
        ({"hasMore": False}, {"pages_last": 1}),
        ({"nextPageToken": "t"}, {"pages_with_more": 1}),
        ({"nextPageToken": None}, {"pages_last": 1}),
        ({"hasMore": True, "nextPageToken": None}, {"pages_with_more": 1}),
        ({"done": False}, {"pages_with_more": 1}),
        ({"done": True}, {"pages_last": 1}),
        ({"hasMore": "yes"}, {}),
        ({}, {}),
    ],
)
def test_what_a_page_says_of_more(marks, counts):
    page = {"conversationEntries": [{"Id": "m"}], **marks}
    for name in ("f.json", "f.jsonl"):
        (raw,) = batches(name, lines([page]), ["Id"])
        assert raw.pages == counts
        (raw,) = batches(name, lines([page, {"Id": "n"}, page]), ["Id"])
        assert raw.pages == {key: 2 for key in counts}
    # A row is no page.
    (raw,) = batches("f.json", lines([{"Id": "m", "data": [], **marks}]), ["Id"])
    assert raw.pages == {}


# Pages of Data Cloud.

COLUMNS = list(FLAT[0])
ARRAYS = [[row[name] for name in COLUMNS] for row in FLAT]
LISTED = [{"name": name, "type": "Varchar"} for name in COLUMNS]
# In an order of its own: the places are what counts.
PLACED = {name: {"placeInOrder": COLUMNS.index(name), "typeCode": 12} for name in sorted(COLUMNS)}
PAGES = {
    "a list": {"metadata": LISTED, "data": ARRAYS},
    "places": {"metadata": PLACED, "data": ARRAYS},
    "columns": {"metadata": {"columns": LISTED}, "data": ARRAYS},
    "dicts": {"metadata": PLACED, "data": FLAT},
    "rows before their names": {"data": ARRAYS, "done": True, "metadata": LISTED, "rowCount": 20},
}


@pytest.mark.parametrize("page", PAGES.values(), ids=list(PAGES))
def test_a_page_of_a_query(page):
    assert normalized("f.json", json.dumps(page, indent=1).encode()) == (EXPECTED, [])
    halves = [{**page, "data": some} for some in (page["data"][:7], page["data"][7:])]
    assert normalized("f.json", json.dumps(halves).encode()) == (EXPECTED, [])
    assert normalized("f.jsonl", lines(halves)) == (EXPECTED, [])
    assert normalized("f.jsonl", lines([page])) == (EXPECTED, [])


def test_names_of_a_page_are_those_of_data_cloud():
    names = ["ssot__ConversationId__c", "ssot__Id__c", "ssot__EntryTime__c", "ActorType__c"]
    page = {
        "metadata": [{"name": name} for name in names],
        "data": [["0Mwa", "m", NOON_MS, "Agent"], ["c", "n", NOON_MS, "EndUser"]],
    }
    rows, rejects = normalized("f.json", json.dumps(page).encode())
    assert [(r["message_id"], r.get("session_id"), r.get("conversation_id")) for r in rows] == [
        ("m", "0Mwa", None),
        ("n", None, "c"),
    ]
    assert rejects == []


@pytest.mark.parametrize("wrong", [["s"], [], ["s", "m", 1, "Agent", "more"], "smart", None, 4])
@pytest.mark.parametrize("name", ["f.json", "f.jsonl"])
def test_a_row_that_is_none_of_its_page_is_malformed(name, wrong):
    good = ["s", "m", NOON_MS, "Agent"]
    names = ["session_id", "message_id", "sent_at", "sender_role"]
    page = {"metadata": [{"name": name} for name in names], "data": [good, wrong, good]}
    rows, malformed = scan(name, lines([page]))
    assert [row["message_id"] for _, row in rows] == ["m", "m"]
    line = 1 if name.endswith("l") else 2
    assert malformed == [(line, "not a JSON object")]
    found, rejects = normalized(name, lines([page]))
    assert len(found) == 2
    assert [(r.row, r.reason, r.detail) for r in rejects] == [
        (line, "malformed_row", "not a JSON object")
    ]


@pytest.mark.parametrize(
    "metadata",
    [
        [],
        {},
        [None],
        [{"type": "Varchar"}],
        {"Id": 3},
        {"columns": []},
        {"Id": {}, "x": {"placeInOrder": "1"}, "y": {"placeInOrder": 0}, "z": None},
    ],
)
def test_odd_metadata_of_a_page(metadata):
    """Arrays have no names by it; dicts have their own."""
    page = {"metadata": metadata, "data": [["a", "b", "c"], {"Id": "m", "x": SECRET}]}
    rows, malformed = scan("f.json", json.dumps(page).encode())
    assert rows == [(2, {"Id": "m"})]
    assert malformed == [(1, "not a JSON object")]


def test_data_without_metadata_are_a_row():
    row = {"Id": "m", "data": [1, 2], "metadata": "x"}
    assert scan("f.json", json.dumps(row).encode())[0] == [(1, {"Id": "m"})]
    assert scan("f.jsonl", lines([row, {**row, "metadata": None}]))[0] == [
        (1, {"Id": "m"}),
        (2, {"Id": "m"}),
    ]


def test_texts_of_json_in_a_document():
    rows = [
        {**row, "sender": json.dumps(row["sender"]), "relatedRecords": json.dumps(["0Mwa"])}
        for row in NESTED
    ]
    for mixed in (rows, [*rows[:9], *NESTED[9:]]):
        found, rejects = normalized("f.json", json.dumps(mixed).encode())
        assert [row["sender"] for row in found] == [row["sender"] for row in EXPECTED]
        assert rejects == []
    assert "sender.role" in NAMES
