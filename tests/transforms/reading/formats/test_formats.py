"""Files of each format to raw columns, whole and in parts."""

import csv
import gzip
import io
import itertools
import json
import re
import uuid

import fastavro
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from transforms.errors import InputError
from transforms.reading import formats, values
from transforms.reading.columns import ColumnNames
from transforms.reading.formats import avro as avro_format
from transforms.reading.formats import csv as csv_format
from transforms.reading.formats import json as json_format
from transforms.reading.formats import parquet as parquet_format
from transforms.reading.formats import parts
from transforms.reading.normalize import normalize_messages, normalize_sessions

NAMES = ColumnNames.of("messages").all()
SECRET = "a customer's private words"


# Helpers


def batches(name, data, names=NAMES):
    """The raw batches of a file, part by part."""
    known = formats.format_of(name)

    def open_file():
        return io.BytesIO(data)

    for part in known.parts(open_file(), len(data)):
        yield from (decode() for decode in known.read(open_file, part, names))


def scan(name, data, names=NAMES):
    """The numbered rows of a file as text, without columns that have no value, and the malformed."""
    rows, malformed = [], []
    for raw in batches(name, data, names):
        columns = {key: values.to_text(column).to_pylist() for key, column in raw.columns.items()}
        assert all(len(column) == raw.num_rows for column in columns.values())
        numbers = raw.rows().tolist()
        assert len(numbers) == raw.num_rows
        for index, number in enumerate(numbers):
            texts = ((key, column[index]) for key, column in columns.items())
            rows.append((number, {key: text for key, text in texts if text is not None}))
        malformed.extend((int(number), detail) for number, detail in raw.malformed)
    return rows, malformed


def normalized(name, data, kind="messages"):
    normalize = {"messages": normalize_messages, "sessions": normalize_sessions}[kind]
    names = ColumnNames.of(kind)
    names.check(formats.format_of(name).names(io.BytesIO(data)), name)
    found = [normalize(raw, names, name) for raw in batches(name, data, names.all())]
    rows = [row for each in found for row in each.batch.to_pylist()]
    return rows, [reject for each in found for reject in each.rejects]


def lines(rows):
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def table_csv(rows, quoting=csv.QUOTE_MINIMAL, newline="\n", delimiter=",", mark=""):
    out = io.StringIO(newline="")
    out.write(mark)
    writer = csv.DictWriter(
        out, list(rows[0]), quoting=quoting, lineterminator=newline, delimiter=delimiter
    )
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def parquet(table, **options):
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def avro(fields, rows, **options):
    out = io.BytesIO()
    fastavro.writer(out, {"type": "record", "name": "Row", "fields": fields}, rows, **options)
    return out.getvalue()


def fields(**types):
    return [{"name": name, "type": kind} for name, kind in types.items()]


@pytest.fixture
def small(monkeypatch):
    """Files are cut into parts, blocks and batches of a few rows."""
    monkeypatch.setattr(parts, "PART_BYTES", 300)
    monkeypatch.setattr(parts, "BLOCK_BYTES", 200)
    monkeypatch.setattr(parts, "BATCH_ROWS", 3)


# The same rows in each format

NOON_MS = 1_727_870_400_000
ROLES = ["EndUser", "Agent", "Chatbot", "System"]
FLAT = [
    {
        "ConversationId": "0Mwbb000007MGoT" if i % 2 else "0Mwbb000007MGoTCAW",
        "MessageIdentifier": f"m{i}",
        "ServerReceivedTimestamp": f"2024-10-02T12:00:{i:02}.250Z",
        "ActorType": ROLES[i % 4],
        "EntryType": "Typing" if i == 9 else "Text",
        "Seq": i,
        "MessageText": f'{SECRET},\n"{i}"; é',
    }
    for i in range(20)
]
NESTED = [
    {
        "relatedRecords": ["500bb000001", row["ConversationId"]],
        "identifier": row["MessageIdentifier"],
        "serverReceivedTimestamp": NOON_MS + 1000 * row["Seq"] + 250,
        "sender": {"role": row["ActorType"], "subject": SECRET},
        "entryType": row["EntryType"],
        "Seq": row["Seq"],
        "messageText": row["MessageText"],
    }
    for row in FLAT
]
EXPECTED = [
    {
        "session_id": "0Mwbb000007MGoTCAW",
        "message_id": f"m{i}",
        "sent_at_us": (NOON_MS + 1000 * i + 250) * 1000,
        "sequence": i,
        "sender": i % 4,
    }
    for i in range(20)
    if i % 4 != 3 and i != 9
]

ONE_LINE = [{**row, "MessageText": SECRET} for row in FLAT]
PAGES = [{"conversationEntries": NESTED[:7]}, {"conversationEntries": NESTED[7:]}]
TABLE = pa.Table.from_pylist(FLAT)
MILLIS = [NOON_MS + 1000 * i + 250 for i in range(20)]


def with_instants(array):
    index = TABLE.schema.get_field_index("ServerReceivedTimestamp")
    return TABLE.set_column(index, "ServerReceivedTimestamp", array)


def instants(unit, zone=None):
    per_milli = {"ms": 1, "us": 1000, "ns": 1_000_000}[unit]
    return pa.array([ms * per_milli for ms in MILLIS], pa.int64()).cast(pa.timestamp(unit, zone))


def dictionaries(table):
    texts = [i for i, field in enumerate(table.schema) if pa.types.is_string(field.type)]
    for i in texts:
        table = table.set_column(i, table.schema.names[i], table.column(i).dictionary_encode())
    return table


def large(table):
    kinds = {pa.string(): pa.large_string()}
    return table.cast(pa.schema([(f.name, kinds.get(f.type, f.type)) for f in table.schema]))


FLAT_FIELDS = fields(
    ConversationId="string",
    MessageIdentifier="string",
    ServerReceivedTimestamp="string",
    ActorType="string",
    EntryType="string",
    Seq="long",
    MessageText="string",
)


def flat_avro(rows=FLAT, options=None, **types):
    changed = [dict(f, type=types.get(f["name"], f["type"])) for f in FLAT_FIELDS]
    return avro(changed, rows, **(options or {}))


def timed(factor):
    return [
        {**row, "ServerReceivedTimestamp": ms * factor}
        for row, ms in zip(FLAT, MILLIS, strict=True)
    ]


def avro_instant(logical):
    return {"type": "long", "logicalType": logical}


def relabelled(rows, logical):
    """As Avro with a logical type that the writer would not take any number for."""
    data = flat_avro(rows, ServerReceivedTimestamp={"type": "long", "logicalTypo": logical})
    return data.replace(b'"logicalTypo"', b'"logicalType"')


ROLE = {"type": "enum", "name": "Role", "symbols": ROLES}
SENDER = {
    "type": "record",
    "name": "Sender",
    "fields": fields(role=["null", "string"], subject="string"),
}
NESTED_FIELDS = fields(
    messageText="string",
    relatedRecords={"type": "array", "items": "string"},
    identifier="string",
    serverReceivedTimestamp="long",
    sender=["null", SENDER],
    entryType=["null", "string"],
    Seq=["null", "int"],
)

SAME = {
    "minimal.csv": table_csv(FLAT),
    "one_line.csv": table_csv(ONE_LINE),
    "crlf.csv": table_csv(FLAT, csv.QUOTE_ALL, "\r\n"),
    "mark.csv": table_csv(FLAT, mark="\ufeff"),
    "mark_quoted.csv": table_csv(FLAT, csv.QUOTE_ALL, mark="\ufeff"),
    "semicolon.csv": table_csv(FLAT, delimiter=";"),
    "tab.csv": table_csv(FLAT, delimiter="\t"),
    "pipe.csv": table_csv(FLAT, delimiter="|", newline="\r\n"),
    "caret.csv": table_csv(FLAT, delimiter="^"),
    "backquote.csv": table_csv(FLAT, delimiter="`"),
    "no_end.csv": table_csv(FLAT).rstrip(b"\n"),
    "no_end_crlf.csv": table_csv(ONE_LINE, newline="\r\n").rstrip(b"\r\n"),
    "UPPER.CSV": table_csv(FLAT),
    "flat.jsonl": lines(FLAT),
    "flat.ndjson": lines(FLAT),
    "crlf.jsonl": lines(FLAT).replace(b"\n", b"\r\n"),
    "mark.jsonl": b"\xef\xbb\xbf" + lines(FLAT),
    "no_end.jsonl": lines(FLAT).rstrip(b"\n"),
    "blank.jsonl": lines(FLAT).replace(b"\n", b"\n\n"),
    "nested.jsonl": lines(NESTED),
    "pages.jsonl": lines(PAGES),
    "dotted.jsonl": lines([{**row, "sender": None, "sender.role": row["sender"]["role"]}
                           for row in NESTED]),
    "page.json": json.dumps({"conversationEntries": NESTED}).encode(),
    "pages.json": json.dumps(PAGES, indent=1).encode(),
    "array.json": json.dumps(FLAT).encode(),
    "mark.json": b"\xef\xbb\xbf" + json.dumps(FLAT).encode(),
    "flat.parquet": parquet(TABLE),
    "groups.parquet": parquet(TABLE, row_group_size=3),
    "plain.parquet": parquet(TABLE, use_dictionary=False, compression="none"),
    "dictionary.parquet": parquet(dictionaries(TABLE)),
    "large.parquet": parquet(large(TABLE)),
    "ns.parquet": parquet(with_instants(instants("ns"))),
    "us.parquet": parquet(with_instants(instants("us", "UTC"))),
    "ms.parquet": parquet(with_instants(instants("ms", "America/New_York"))),
    "int96.parquet": parquet(with_instants(instants("ns")), use_deprecated_int96_timestamps=True),
    "int64.parquet": parquet(with_instants(pa.array(MILLIS))),
    "nested.parquet": parquet(pa.Table.from_pylist(NESTED)),
    "flat.avro": flat_avro(),
    "deflate.avro": flat_avro(options={"codec": "deflate"}),
    "blocks.avro": flat_avro(options={"sync_interval": 100}),
    "null.avro": flat_avro(ConversationId=["null", "string"], Seq=["int", "null"]),
    "enum.avro": flat_avro(ActorType=ROLE),
    "long.avro": flat_avro(timed(1), ServerReceivedTimestamp="long"),
    "millis.avro": flat_avro(
        timed(1), ServerReceivedTimestamp=["null", avro_instant("timestamp-millis")]
    ),
    "micros.avro": flat_avro(
        timed(1000), ServerReceivedTimestamp=avro_instant("timestamp-micros")
    ),
    "local.avro": flat_avro(
        timed(1000), ServerReceivedTimestamp=avro_instant("local-timestamp-micros")
    ),
    "nanos.avro": relabelled(timed(1_000_000), "timestamp-nanos"),
    "nested.avro": avro(NESTED_FIELDS, NESTED),
}  # fmt: skip
SAME |= {
    f"{name}.gz": gzip.compress(data, mtime=0)
    for name, data in SAME.items()
    if name.lower().endswith(("csv", "jsonl", "ndjson", "json"))
}


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


@pytest.mark.parametrize(("way", "most"), [("read_row_group", 4), ("iter_batches", 0)])
def test_only_the_needed_columns_of_parquet_are_decoded(monkeypatch, way, most):
    asked = []
    original = getattr(pq.ParquetFile, way)

    def read(self, *args, columns, **kwargs):
        asked.append(columns)
        return original(self, *args, columns=columns, **kwargs)

    monkeypatch.setattr(pq.ParquetFile, way, read)
    monkeypatch.setattr(parquet_format, "_MOST_ROWS_AT_ONCE", most)
    scan("f.parquet", SAME["nested.parquet"])
    assert [set(columns) for columns in asked] == [
        {"relatedRecords", "identifier", "serverReceivedTimestamp", "sender.role", "entryType",
         "Seq"}
    ]  # fmt: skip


NEEDED = {"relatedRecords", "identifier", "serverReceivedTimestamp", "sender", "entryType", "Seq"}


def test_only_the_needed_columns_of_avro_are_decoded(monkeypatch):
    asked = []
    original = polars.read_avro

    def read_avro(file, columns):
        asked.append(set(columns))
        return original(file, columns=columns)

    monkeypatch.setattr(polars, "read_avro", read_avro)
    scan("f.avro", SAME["nested.avro"])
    assert asked == [NEEDED]


def test_only_the_needed_columns_of_avro_are_decoded_by_row_too(monkeypatch):
    asked = []
    original = fastavro.reader

    def reader(file, reader_schema):
        asked.append({field["name"] for field in reader_schema["fields"]})
        return original(file, reader_schema=reader_schema)

    monkeypatch.setattr(fastavro, "reader", reader)
    monkeypatch.setattr(avro_format, "_is_plain", lambda kind: False)
    scan("f.avro", SAME["nested.avro"])
    assert asked == [NEEDED]


AVRO_TYPES = {
    "string": st.text(max_size=5),
    "bytes": st.binary(max_size=3),
    "long": st.integers(-(2**63), 2**63 - 1),
    "int": st.integers(-(2**31), 2**31 - 1),
    "double": st.floats(),
    "boolean": st.booleans(),
}


@given(st.data(), st.sampled_from(["null", "deflate"]))
def test_avro_is_the_same_by_column_and_by_row(data, codec):
    kinds = data.draw(st.lists(st.sampled_from(list(AVRO_TYPES)), min_size=1, max_size=4))
    null = data.draw(st.sampled_from([None, 0, 1]))
    of = {None: lambda k: k, 0: lambda k: ["null", k], 1: lambda k: [k, "null"]}[null]
    inner = [{"name": f"f{i}", "type": of(kind)} for i, kind in enumerate(kinds)]
    record = {"type": "record", "name": "Inner", "fields": inner}
    fields = [{"name": "sender", "type": of(record)}, *inner, {"name": "n", "type": "string"}]
    values_of = [
        AVRO_TYPES[kind] if null is None else st.none() | AVRO_TYPES[kind] for kind in kinds
    ]
    inside = st.fixed_dictionaries({f"f{i}": v for i, v in enumerate(values_of)})
    row = st.fixed_dictionaries(
        {f"f{i}": v for i, v in enumerate(values_of)}
        | {"sender": inside if null is None else st.none() | inside, "n": st.just("n")}
    )
    rows = data.draw(st.lists(row, min_size=1, max_size=8))
    file = io.BytesIO()
    schema = {"type": "record", "name": "Row", "fields": fields}
    fastavro.writer(file, schema, rows, codec=codec)
    content = file.getvalue()
    names = [f["name"] for f in inner] + [f"sender.{f['name']}" for f in inner]
    parsed, _, _ = avro_format._header(io.BytesIO(content))
    fast = avro_format._fast(content, parsed, names)
    slow = avro_format._slowly(content, parsed, names)
    assert fast is not None
    for name in names:
        texts = [values.to_text(columns[name]).to_pylist() for columns in (fast, slow)]
        assert texts[0] == texts[1]
        instants = [values.to_instants(columns[name]).to_pylist() for columns in (fast, slow)]
        assert instants[0] == instants[1]


@pytest.mark.parametrize(
    "kind",
    [
        {"type": "map", "values": "string"},
        ["null", "string", "long"],
        {"type": "enum", "name": "E", "symbols": ["X"]},
        ["null", {"type": "fixed", "name": "F", "size": 2}],
        "null",
        "float",
        {"type": "string", "logicalType": "uuid"},
    ],
)
def test_avro_of_other_types_is_read_by_row(kind):
    value = {"map": {}, "enum": "X"}.get(kind["type"] if isinstance(kind, dict) else "")
    if kind == "float":
        value = 0.5
    if isinstance(kind, dict) and "logicalType" in kind:
        value = uuid.UUID(int=1)
    fields = [{"name": "message_id", "type": "string"}, {"name": "other", "type": kind}]
    file = io.BytesIO()
    row = {"message_id": "m", "other": value}
    fastavro.writer(file, {"type": "record", "name": "R", "fields": fields}, [row])
    parsed, _, _ = avro_format._header(io.BytesIO(file.getvalue()))
    assert avro_format._fast(file.getvalue(), parsed, NAMES) is None
    assert scan("f.avro", file.getvalue()) == ([(1, {"message_id": "m"})], [])


def test_avro_blocks_that_claim_the_impossible_are_told():
    data = flat_avro()
    header = len(avro_format._header(io.BytesIO(data))[1])
    for claim in (b"\x01", b"\xfe\xff\xff\xff\x0f"):  # -1 rows; two billion
        broken = data[:header] + claim + data[header + 1 :]
        with pytest.raises(InputError, match=r"impossible size|not complete"):
            read_all("f.avro", broken)


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


# Values that Avro and Parquet have and the others don't


@pytest.mark.parametrize(
    ("logical", "factor"), [("timestamp-millis", 1), ("local-timestamp-micros", 1000)]
)
def test_an_instant_of_avro_out_of_range_is_one_reject(logical, factor):
    rows = timed(factor)
    rows[4]["ServerReceivedTimestamp"] = 1 << 61
    found, rejects = normalized("f.avro", relabelled(rows, logical))
    assert [(r.row, r.reason, r.message_id) for r in rejects] == [(5, "sent_at_invalid", "m4")]
    assert found == [row for row in EXPECTED if row["message_id"] != "m4"]


def test_named_types_of_avro():
    """A needed field names a type that another defines, which is not needed."""
    rows = [{"secret": "EndUser", **row} for row in FLAT]
    all_fields = [
        {"name": "secret", "type": ROLE},
        *[dict(f, type="Role") if f["name"] == "ActorType" else f for f in FLAT_FIELDS],
    ]
    assert normalized("f.avro", avro(all_fields, rows)) == (EXPECTED, [])


def test_unions_of_avro():
    mixed = [
        {**row, "ServerReceivedTimestamp": ms if i % 2 else row["ServerReceivedTimestamp"]}
        for i, (row, ms) in enumerate(zip(FLAT, MILLIS, strict=True))
    ]
    data = flat_avro(mixed, ServerReceivedTimestamp=["null", "string", "long"])
    assert normalized("f.avro", data) == (EXPECTED, [])


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


def test_an_avro_file_of_no_records():
    out = io.BytesIO()
    fastavro.writer(out, "string", ["a"])
    with pytest.raises(ValueError, match=r"^its rows are no records$"):
        formats.format_of("f.avro").names(io.BytesIO(out.getvalue()))


# Broken rows

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


def outcome(name, data):
    """How many rows are good, and the rejects in order of their rows."""
    names = ColumnNames.of("messages")
    good, rejects = 0, []
    for raw in batches(name, data, names.all()):
        found = normalize_messages(raw, names, "f")
        good += found.batch.num_rows
        for r in found.rejects:
            rejects.append((r.row, r.reason, r.detail if r.reason == "malformed_row" else None))
    return good, sorted(rejects, key=lambda r: r[0])


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


SIZES = st.sampled_from([1, 7, 64, 200, 1000, 1 << 20])


def with_sizes(part, block, rows, function):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "PART_BYTES", part)
        patch.setattr(parts, "BLOCK_BYTES", block)
        patch.setattr(parts, "BATCH_ROWS", rows)
        return function()


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
    assert scan("f.json", twice)[0] == [row]


# What a JSON value may be, beside what it should

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
OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "session_id": SCALARS,
        "relatedRecords": st.lists(st.sampled_from(["0Mwa", "b", "", None]) | SCALARS, max_size=3),
        "Seq": SCALARS,
        "sent_at": st.integers(0, 1 << 50) | st.floats(0, 1e13),
        "EntryTime": SCALARS,
        "sender": st.fixed_dictionaries({}, optional={"role": SCALARS, "x": SCALARS}) | SCALARS,
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


def rows_of(raw, names=NAMES):
    columns = {name: values.to_text(column).to_pylist() for name, column in raw.items()}
    size = max(map(len, columns.values()), default=0)
    nothing = [None] * size
    return {name: columns.get(name, nothing) for name in names}


@given(st.lists(OBJECTS, min_size=1, max_size=5) | ONE_KIND.filter(bool))
@example([{"sender": {"role": "a"}, "sender.role": None}])
@example([{"sender": {"role": "a"}, "sender.role": "b"}])
@example([{"sender": "a"}, {"sender": {"role": "b"}}])
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
    if not fast:
        assert all(text is None for column in rows_of(slow.columns).values() for text in column)
        return
    assert rows_of(fast) == rows_of(slow.columns)
    for parse in (values.to_instants, values.to_integers):
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


@pytest.mark.parametrize("data", [SAME["flat.jsonl"], SAME["nested.jsonl"], SAME["crlf.jsonl"]])
def test_a_plain_block_of_json_is_read_the_fast_way(data):
    assert json_format._fast(data, NAMES) is not None


# CSV

HEADER = b"session_id,message_id,sent_at,sender_role,MessageText"
GOOD_RECORDS = [
    b"s,m,1727870400000,Agent,hi",
    b'"s","m","1727870400000","Agent","two\nlines, and ""quotes"""',
    b's,m,1727870400000,Agent,"\n\n"',
    b's,m,1727870400000,Agent,""',
    b"s,m,1727870400000,Agent,",
    b's,m,1727870400000,Agent,"a\rb"',
    b"s,m,1727870400000,Agent,not\xffneeded",
]
ONE_LINE_RECORDS = [record for record in GOOD_RECORDS if b"\n" not in record]
BROKEN_RECORDS = {
    b"s,m,1727870400000,Agent": "4 fields, the header has 5",
    b"hello": "1 fields, the header has 5",
    b"s,m,1727870400000,Agent,a,b": "6 fields, the header has 5",
    b"s,\xff,1727870400000,Agent,a": "not UTF-8",
    b's,m,1727870400000,Agent,"a"b': "a quote inside a field",
    b"s,m,1727870400000,Agent,a\rb": "a line end inside a field",
}
BAD_RECORDS = {
    b",m,1727870400000,Agent,a": "session_id_missing",
    b's,"",1727870400000,Agent,a': "message_id_missing",
    b"s,m,noon,Agent,a": "sent_at_invalid",
    b"s,m,1727870400000,Ghost,a": "sender_role_unknown",
}
OPEN_RECORD = b's,m,1727870400000,Agent,"never closed'
RECORD_OPTIONS = [*GOOD_RECORDS, *GOOD_RECORDS, b"", *BROKEN_RECORDS, *BAD_RECORDS]


def expected_of_records(chosen):
    good, line, rejects = 0, 2, []
    for record in chosen:
        good += record in GOOD_RECORDS
        if record in BROKEN_RECORDS:
            rejects.append((line, "malformed_row", BROKEN_RECORDS[record]))
        elif record in BAD_RECORDS:
            rejects.append((line, BAD_RECORDS[record], None))
        line += record.count(b"\n") + 1
    return good, rejects


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize(
    "record", [*GOOD_RECORDS, *BROKEN_RECORDS, *BAD_RECORDS], ids=lambda r: repr(r[-30:])
)
def test_a_broken_record(record, end):
    chosen = [*GOOD_RECORDS[:3], record, *GOOD_RECORDS, record]
    for last in (end, b""):
        data = end.join([HEADER, *chosen]) + last
        assert outcome("f.csv", data) == expected_of_records(chosen)


def test_all_kinds_of_broken_records_in_small_parts(small):
    chosen = RECORD_OPTIONS * 2
    data = b"\n".join([HEADER, *chosen])
    assert outcome("f.csv", data) == expected_of_records(chosen)
    assert outcome("f.csv.gz", gzip.compress(data)) == expected_of_records(chosen)


@given(
    st.lists(st.sampled_from(RECORD_OPTIONS), max_size=15)
    | st.lists(st.sampled_from([*ONE_LINE_RECORDS, *BROKEN_RECORDS]), max_size=15),
    SIZES,
    SIZES,
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
)
def test_records_are_the_same_however_they_are_cut(chosen, part, block, end, ended):
    data = end.join([HEADER, *chosen]) + (end if ended else b"")
    found = with_sizes(part, block, 3, lambda: outcome("f.csv", data))
    assert found == expected_of_records(chosen)


def test_a_file_without_line_ends_in_its_records_is_cut(small):
    data = b"\n".join([HEADER, *ONE_LINE_RECORDS * 20])
    assert len(formats.format_of("f.csv").parts(io.BytesIO(data), len(data))) > 3
    assert outcome("f.csv", data) == (100, [])
    with_line_end = data + b"\n" + GOOD_RECORDS[1]
    found = formats.format_of("f.csv").parts(io.BytesIO(with_line_end), len(with_line_end))
    assert found == [parts.WHOLE]


@pytest.mark.parametrize("block", [50, 333, 1 << 20])
@pytest.mark.parametrize("quoted", [False, True])
def test_a_quote_that_is_never_closed_costs_its_line_alone(block, quoted):
    good = b'"s","m","1727870400000","Agent","two\nlines"' if quoted else GOOD_RECORDS[0]
    chosen = [good] * 5 + [OPEN_RECORD] + [good] * 20 + [OPEN_RECORD] + [good] * 5
    data = b"\n".join([HEADER, *chosen]) + b"\n"
    height = good.count(b"\n") + 1
    lines_of = [2 + 5 * height, 2 + 25 * height + 1]
    good_rows, rejects = with_sizes(1 << 20, block, 3, lambda: outcome("f.csv", data))
    assert good_rows == 30
    assert [(row, reason) for row, reason, _ in rejects] == [
        (line, "malformed_row") for line in lines_of
    ]


@given(
    st.lists(
        st.sampled_from([*RECORD_OPTIONS, OPEN_RECORD, b'a"b,c"d', b'"', b'""", x', b'x"\ny"']),
        max_size=12,
    ),
    SIZES,
)
def test_any_records_are_the_same_however_they_are_cut(chosen, block):
    data = b"\n".join([HEADER, *chosen])
    whole = with_sizes(1 << 30, 1 << 30, 3, lambda: scan("f.csv", data))
    assert with_sizes(1 << 30, block, 3, lambda: scan("f.csv", data)) == whole


def test_a_record_that_is_too_long_is_a_quote_never_closed(monkeypatch):
    monkeypatch.setattr(csv_format, "_LONGEST_RECORD_BYTES", 100)
    text = b"\n".join([b"x" * 30] * 10)
    long = b's,m,1727870400000,Agent,"' + text + b'"'
    data = b"\n".join([HEADER, GOOD_RECORDS[0], long, GOOD_RECORDS[0], b""])
    for block in (40, 500, 1 << 20):
        good, rejects = with_sizes(1 << 30, block, 3, lambda: outcome("f.csv", data))
        assert good == 2
        assert [row for row, _, _ in rejects] == list(range(3, 13))
        assert rejects[0] == (3, "malformed_row", "a quote is never closed")


def test_a_long_text_is_no_error():
    """Of either way: 200 KB is more than the csv module takes by default."""
    text = b"x" * 200_000
    data = b"\n".join([HEADER, b"s,m,1,Agent," + text, b's,m,1,Agent,"' + text + b'"'])
    assert outcome("f.csv", data) == (2, [])
    assert outcome("f.csv", data + b"\nhello")[0] == 2


@given(
    st.lists(
        st.lists(st.text(st.sampled_from('ab,"\n\r é'), max_size=4), min_size=3, max_size=3),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(",;\t"),
)
def test_csv_against_the_writer_of_the_standard_library(rows, quoting, newline, delimiter):
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=quoting, lineterminator=newline, delimiter=delimiter)
    writer.writerow(["a", "b", "c"])
    if quoting == csv.QUOTE_MINIMAL:  # the writer leaves a lone \r without quotes
        rows = [[field.replace("\r", "") for field in row] for row in rows]
    # a record that is all blank is a blank line, which is no record
    rows = [["x" if not a.strip() else a, b, c] for a, b, c in rows]
    writer.writerows(rows)
    found, malformed = scan("f.csv", out.getvalue().encode(), ["a", "b", "c"])
    assert malformed == []
    assert [[row.get(key, "") for key in "abc"] for _, row in found] == rows


@given(st.lists(st.binary(max_size=6) | st.text('ab,"\r\n', max_size=8).map(str.encode)))
def test_the_fast_way_of_csv_says_what_the_slow_one_says(pieces):
    block = b"".join([*pieces, b"\n"])
    header = csv_format._Header(["a", "b"], ",", 0)
    fast = csv_format._fast(block, lambda: 1, header, ["a", "b"])
    if fast is None:
        return
    slow, used = csv_format._slowly(block, 1, header, ["a", "b"], True)
    assert used == len(block)
    assert slow.malformed == []
    assert rows_of(fast.columns, ["a", "b"]) == rows_of(slow.columns, ["a", "b"])
    assert fast.rows().tolist() == slow.rows().tolist()


@pytest.mark.parametrize("name", ["minimal.csv", "crlf.csv", "one_line.csv"])
def test_a_plain_block_of_csv_is_read_the_fast_way(name):
    header, block = SAME[name].split(b"\n", 1)
    found = csv_format._header(io.BytesIO(header))
    assert csv_format._fast(block, lambda: 1, found, NAMES) is not None


# Ordinals of the binary formats

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


@given(
    st.lists(st.none() | st.text(max_size=30), max_size=30),
    st.integers(1, 200),
    st.integers(1, 400),
    st.integers(1, 5),
    st.sampled_from(["null", "deflate"]),
)
def test_avro_is_the_same_however_it_is_cut(texts, sync_interval, part, batch, codec):
    data = avro(
        fields(message_id=["null", "string"], text="string"),
        [{"message_id": text, "text": SECRET} for text in texts],
        sync_interval=sync_interval,
        codec=codec,
    )
    found = with_sizes(part, 1 << 20, batch, lambda: scan("f.avro", data))
    expected = [(i, {"message_id": t} if t else {}) for i, t in enumerate(texts, 1)]
    assert found == (expected, [])


@given(st.integers(0, 40), st.integers(1, 9), st.integers(1, 500), st.integers(1, 5))
def test_parquet_is_the_same_however_it_is_cut(size, group, part, batch):
    table = pa.table({"message_id": pa.array([f"m{i}" for i in range(size)], pa.string())})
    data = parquet(table, row_group_size=group)
    found = with_sizes(part, 1 << 20, batch, lambda: scan("f.parquet", data))
    assert found == ([(i + 1, {"message_id": f"m{i}"}) for i in range(size)], [])


def test_parts_cover_a_file_once():
    for size in (0, 1, 99, 1000):
        with_parts = with_sizes(100, 100, 1, lambda size=size: parts.byte_ranges(size))
        assert with_parts[0].start == 0
        assert with_parts[-1].end == size
        assert all(left.end == right.start for left, right in itertools.pairwise(with_parts))


class Stingy(io.BytesIO):
    """Gives fewer bytes than it is asked for, as a remote file may."""

    def read(self, size=-1):
        return super().read(min(size, 5) if size and size > 0 else size)


def test_the_marker_is_found_in_short_reads():
    data = b"a" * 33 + b"0123456789abcdef" + b"b" * 40
    assert avro_format._find(Stingy(data), b"0123456789abcdef", 0) == 33
    assert avro_format._find(Stingy(data), b"0123456789abcdef", 33) == 33
    assert avro_format._find(Stingy(data), b"0123456789abcdef", 34) == -1


# Files that can't be read


def read_all(name, data):
    try:
        known = formats.format_of(name)
        known.names(io.BytesIO(data))
        return scan(name, data)
    except formats.UNREADABLE as error:
        raise formats.explain(name, error) from error


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


@pytest.mark.parametrize("name", ["f.avro", "f.parquet", "f.json", "f.json.gz"])
def test_an_empty_file_that_is_none(name):
    with pytest.raises(InputError, match=rf"^{re.escape(name)}: can't be read: \S"):
        read_all(name, b"")


@pytest.mark.parametrize("name", ["f.jsonl", "f.ndjson", "f.jsonl.gz", "f.ndjson.gz"])
@pytest.mark.parametrize("data", [b"", b"\n", b"  \n\n"])
def test_a_file_of_json_lines_without_rows(name, data):
    packed = gzip.compress(data) if data and name.endswith("gz") else data
    assert formats.format_of(name).names(io.BytesIO(packed)) is None
    assert scan(name, packed) == ([], [])


@pytest.mark.parametrize("data", [b"[]", b'{"conversationEntries": []}', b"[1, null]"])
def test_a_json_document_without_rows(data):
    assert formats.format_of("f.json").names(io.BytesIO(data)) is None
    assert scan("f.json", data)[0] == []


def test_a_csv_file_without_rows():
    for data in (HEADER, HEADER + b"\n", HEADER + b"\r\n\r\n"):
        assert normalized("f.csv", data) == ([], [])
        assert normalized("f.csv.gz", gzip.compress(data)) == ([], [])
    for name in ("f.csv", "f.csv.gz"):
        with pytest.raises(InputError, match=r"found: none\. Map them"):
            normalized(name, b"")


def test_binary_files_without_rows():
    assert normalized("f.parquet", parquet(TABLE[:0])) == ([], [])
    assert normalized("f.avro", flat_avro([])) == ([], [])


def test_an_unknown_suffix():
    with pytest.raises(InputError) as caught:
        formats.format_of("dir.csv/messages.xlsx")
    assert str(caught.value) == (
        "dir.csv/messages.xlsx: unknown format; known suffixes: .avro .parquet .jsonl .ndjson .json "
        ".csv .jsonl.gz .ndjson.gz .json.gz .csv.gz"
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


def test_a_list_among_texts():
    """Where the first rows have a text, a later list is still its first messaging session's id."""
    rows = [{"session_id": "a"}, {"session_id": ["x", "0Mwb"]}, {"session_id": "[0Mwc]"}]
    (raw,) = batches("f.jsonl", lines(rows), ["session_id"])
    assert raw.columns["session_id"].to_pylist() == ["a", "0Mwb", "[0Mwc]"]


@pytest.mark.parametrize("blank", [b"", b"\n"])
def test_a_lone_carriage_return_ends_no_line(blank):
    """Nor where blank lines make up for the number of those that it would end."""
    broken = b"s,m,1727870400000,Agent,a\rs,n,1727870400000,Agent,b\n" + blank
    rows, malformed = scan("f.csv", HEADER + b"\n" + broken)
    assert (rows, malformed) == ([], [(2, "a line end inside a field")])
    rows, malformed = scan("f.csv", HEADER + b"\n\rs,m,1727870400000,Agent,a\n" + blank)
    assert (rows, malformed) == ([], [(2, "a line end inside a field")])
