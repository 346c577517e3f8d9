"""All formats alike: the same rows in each, and files that can't be read."""

import csv
import io
import json

import pyarrow as pa
import pytest

from tests.support.files_of_rows import (
    EXPECTED,
    FLAT,
    NAMES,
    NESTED,
    ROLES,
    SAME,
    SECRET,
    TABLE,
    batches,
    flat_avro,
    lines,
    normalized,
    parquet,
    read_all,
    scan,
    table_csv,
)
from transforms.errors import InputError
from transforms.reading import formats
from transforms.reading.formats import parts


@pytest.mark.parametrize("name", SAME)
def test_the_same_rows_in_each_format(name):
    assert normalized(name, SAME[name]) == (EXPECTED, [])


@pytest.mark.parametrize("name", SAME)
def test_the_same_rows_in_small_parts(name, small):
    assert normalized(name, SAME[name]) == (EXPECTED, [])


@pytest.mark.parametrize("name", SAME)
def test_the_text_of_a_message_is_not_decoded(name):
    for raw in batches(name, SAME[name]):
        assert set(raw.columns) <= set(NAMES)
        assert not any(SECRET in str(column.to_pylist()) for column in raw.columns.values())


SESSIONS = [
    {
        "Id": f"s{i}",
        "Status": "Ended",
        "EndTime": "2024-10-02T12:00:00.000Z",
        "MessagingChannel": {"PlatformType": "Enhanced", "DeveloperName": SECRET},
    }
    for i in range(5)
]
DOTTED = [
    {**row, "MessagingChannel": "", "MessagingChannel.PlatformType": "Enhanced"} for row in SESSIONS
]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("dotted.csv", table_csv(DOTTED, csv.QUOTE_ALL)),
        ("dotted.jsonl", lines(DOTTED)),
        ("nested.jsonl", lines(SESSIONS)),
        ("nested.json", json.dumps(SESSIONS).encode()),
        ("dotted.parquet", parquet(pa.Table.from_pylist(DOTTED))),
        ("nested.parquet", parquet(pa.Table.from_pylist(SESSIONS))),
    ],
)
def test_the_platform_that_a_query_joins_has_a_dot_in_its_name(name, data):
    rows, rejects = normalized(name, data, "sessions")
    assert [row["session_id"] for row in rows] == [f"s{i}" for i in range(5)]
    assert {row["platform_type"] for row in rows} == {"Enhanced"}
    assert rejects == []


def test_names():
    def names(name, data):
        return formats.format_of(name).names(io.BytesIO(data))

    assert names("f.csv", b'\xef\xbb\xbf"Id","A.B"\r\n"1","2"\r\n') == ["Id", "A.B"]
    assert names("f.jsonl", b'{"a":1}\nnonsense\n{"b":{"c":{"d":1}}}') == [
        "a",
        "b",
        "b.c",
        "b.c.d",
    ]
    assert names("f.jsonl", b'{"a":"' + b"x" * (1 << 20) + b'"}\n{"b":1}\n') == ["a"]
    assert names("f.jsonl", b'{"conversationEntries":5}\n') == ["conversationEntries"]
    assert names("f.parquet", SAME["nested.parquet"])[:4] == [
        "relatedRecords",
        "identifier",
        "serverReceivedTimestamp",
        "sender.role",
    ]
    assert "sender.role" in names("f.avro", SAME["nested.avro"])


def test_uuids():
    key = "12345678-1234-5678-1234-567812345678"
    uuid_type = {"type": "string", "logicalType": "uuid"}
    rows = [{**FLAT[0], "MessageIdentifier": key}]
    found, _ = normalized("f.avro", flat_avro(rows, MessageIdentifier=uuid_type))
    assert [row["message_id"] for row in found] == [key]
    ids = pa.array([bytes.fromhex(key.replace("-", ""))], pa.binary(16)).cast(pa.uuid())
    table = TABLE[:1].set_column(1, "MessageIdentifier", ids)
    found, _ = normalized("f.parquet", parquet(table))
    assert [row["message_id"] for row in found] == [key]


def test_missing_structs_and_lists_are_null():
    rows = [{**NESTED[0], "sender": None, "relatedRecords": None}, NESTED[0]]
    table = pa.Table.from_pylist(rows[::-1])
    for name, data in [("f.parquet", parquet(table)), ("f.jsonl", lines(rows[::-1]))]:
        found, rejects = normalized(name, data)
        assert found == EXPECTED[:1]
        assert [(r.row, r.reason) for r in rejects] == [(2, "session_id_missing")]


NUMBERED = [{**row, "MessageIdentifier": None if i % 7 == 3 else f"m{i}"}
            for i, row in enumerate(FLAT)]  # fmt: skip
ORDINALS = [4, 11, 18]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("f.parquet", parquet(pa.Table.from_pylist(NUMBERED), row_group_size=6)),
        (
            "f.avro",
            flat_avro(NUMBERED, {"sync_interval": 200}, MessageIdentifier=["null", "string"]),
        ),
        ("f.json", json.dumps(NUMBERED).encode()),
    ],
)
def test_rejects_carry_the_ordinal_of_their_row(name, data, monkeypatch):
    for size in (1, 300, 1 << 20):
        monkeypatch.setattr(parts, "PART_BYTES", size)
        monkeypatch.setattr(parts, "BATCH_ROWS", 4)
        rows, malformed = scan(name, data)
        assert [number for number, _ in rows] == list(range(1, 21))
        assert malformed == []
        _, rejects = normalized(name, data)
        found = [reject.row for reject in rejects]
        assert found == [row for row in ORDINALS if ROLES[(row - 1) % 4] != "System"]


@pytest.mark.parametrize("name", ["flat.avro", "deflate.avro", "flat.parquet", "flat.jsonl.gz",
                                  "minimal.csv.gz", "page.json.gz", "page.json"])  # fmt: skip
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, -1])
def test_a_truncated_file(name, keep):
    data = SAME[name]
    size = int(len(data) * keep) if keep > 0 else len(data) - 1
    with pytest.raises(InputError) as caught:
        read_all(name, data[:size])
    said = str(caught.value)
    assert said.startswith(f"{name}: can't be read: ")
    assert "\n" not in said
    assert SECRET not in said


@pytest.mark.parametrize(
    "name",
    ["f.avro", "f.parquet"]
    + [
        f"f.{text}{packed}"
        for text in ("csv", "tsv", "json", "jsonl", "ndjson")
        for packed in ("", ".gz", ".bz2", ".zst")
    ],
)
def test_an_empty_file_has_no_rows(name):
    assert formats.format_of(name).names(io.BytesIO(b"")) is None
    assert formats.format_of(name).parts(io.BytesIO(b""), 0) == []
    assert normalized(name, b"") == ([], [])


def test_binary_files_without_rows():
    assert normalized("f.parquet", parquet(TABLE[:0])) == ([], [])
    assert normalized("f.avro", flat_avro([])) == ([], [])


def test_an_unknown_suffix():
    with pytest.raises(InputError) as caught:
        formats.format_of("dir.csv/messages.xlsx")
    assert str(caught.value) == (
        "dir.csv/messages.xlsx: unknown format; known suffixes: .avro .parquet .jsonl .ndjson .json "
        ".csv .tsv, of text also with .gz .bz2 .zst"
    )


@pytest.mark.parametrize("name", ["flat.avro", "deflate.avro", "flat.parquet", "page.json",
                                  "flat.jsonl.gz", "minimal.csv.gz"])  # fmt: skip
def test_a_corrupt_file_is_told_or_read_but_never_a_crash(name):
    data = SAME[name]
    for position in range(0, len(data), 11):
        broken = bytearray(data)
        broken[position] ^= 0x55
        try:
            read_all(name, bytes(broken))
        except InputError as error:
            assert str(error).startswith(f"{name}: can't be read: ")
            assert "\n" not in str(error)


@pytest.mark.parametrize("packed", ["", ".gz", ".bz2", ".zst", ".GZ"])
@pytest.mark.parametrize("file_format", ["jsonl", "json", "csv"])
def test_the_format_of_text_is_named_before_the_suffix_of_its_compression(file_format, packed):
    named = f"dir.v2/entries.{file_format}{packed}"
    assert formats.with_suffix(f"dir.v2/entries{packed}", file_format) == named
    assert formats.with_suffix(named, "avro") == named
    assert formats.with_suffix(f"entries{packed}", None) == f"entries{packed}"


def test_a_suffix_that_names_no_format_stays():
    assert formats.with_suffix("m.v2", "csv") == "m.v2.csv"
    assert formats.with_suffix("m.gz", "parquet") == "m.gz.parquet"
    assert formats.with_suffix("dir.csv/m", "avro") == "dir.csv/m.avro"
