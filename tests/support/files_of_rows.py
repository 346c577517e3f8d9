"""The same rows as files of each format, and files read back as rows."""

import csv
import gzip
import io
import json

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from transforms.reading import formats, values
from transforms.reading.embedded import look_into_texts
from transforms.reading.formats import parts
from transforms.reading.messages import normalize_messages
from transforms.reading.names import ColumnNames
from transforms.reading.sessions import normalize_sessions
from transforms.rejects import rejects_in

NAMES = ColumnNames.of("messages").all()
SECRET = "a customer's private words"


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


def resolved(name, data, kind="messages", mapping=None):
    """The names that a file has for the columns, as the reader finds them."""
    known, names = formats.format_of(name), ColumnNames.of(kind, mapping)
    found = known.names(io.BytesIO(data))
    return names if found is None else names.resolve(found, name, known.rows_differ)


def normalized_pieces(name, data, kind="messages", mapping=None):
    """What is made of each piece of a file."""
    normalize = {"messages": normalize_messages, "sessions": normalize_sessions}[kind]
    names = resolved(name, data, kind, mapping)
    for raw in batches(name, data, names.all()):
        yield normalize(look_into_texts(raw, names.all()), names, name)


def normalized(name, data, kind="messages", mapping=None):
    """The rows of a file that are kept, of all kinds, and its rejects."""
    columns = formats.format_of(name).names(io.BytesIO(data))
    if columns is not None:
        ColumnNames.of(kind, mapping).check(columns, name)
    found = list(normalized_pieces(name, data, kind, mapping))
    rows = [row for each in found for batch in each.batches for row in batch.to_pylist()]
    return rows, [reject for each in found for reject in rejects_in(each.rejects)]


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


def outcome(name, data):
    """How many rows are good, and the rejects in order of their rows."""
    good, rejects = 0, []
    for found in normalized_pieces(name, data):
        good += sum(batch.num_rows for batch in found.batches)
        for r in rejects_in(found.rejects):
            rejects.append((r.row, r.reason, r.detail if r.reason == "malformed_row" else None))
    return good, sorted(rejects, key=lambda r: r[0])


SIZES = st.sampled_from([1, 7, 64, 200, 1000, 1 << 20])


def with_sizes(part, block, rows, function):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "PART_BYTES", part)
        patch.setattr(parts, "BLOCK_BYTES", block)
        patch.setattr(parts, "BATCH_ROWS", rows)
        return function()


def rows_of(raw, names=NAMES):
    columns = {name: values.to_text(column).to_pylist() for name, column in raw.items()}
    size = max(map(len, columns.values()), default=0)
    nothing = [None] * size
    return {name: columns.get(name, nothing) for name in names}


def read_all(name, data):
    try:
        known = formats.format_of(name)
        known.names(io.BytesIO(data))
        return scan(name, data)
    except formats.UNREADABLE as error:
        raise formats.explain(name, error) from error
