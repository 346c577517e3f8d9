"""JSON documents to raw columns: pages of Connect REST and of Data Cloud's Query API."""

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
    lines,
    normalized,
    scan,
)
from transforms.reading import formats


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
