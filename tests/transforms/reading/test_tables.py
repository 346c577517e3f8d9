"""BigQuery tables as input: what the streams of an emulator give."""

import datetime
import io
import json

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline as Pipeline
from apache_beam.testing.util import assert_that, equal_to, is_empty

from tests.support.bigquery import put, rows_of
from tests.support.cli import output_bytes, read_records, read_rejects
from transforms import ReadMessages
from transforms.batches import AGENT
from transforms.bigquery import Range
from transforms.errors import InputError
from transforms.reading import tables as table_input
from transforms.reading.names import ColumnNames
from transforms.reading.sessions import normalize_sessions
from transforms.reading.tables import open_streams, read_stream

UTC = datetime.timezone.utc
FILE = "metrics-00000-of-00001.avro"


def make_table(client, bigquery, name: str, schema: dict[str, str], rows: list[dict]) -> str:
    """A table with rows, as an input is named."""
    from google.cloud import bigquery as google

    table = google.Table(
        f"{bigquery.project}.{bigquery.dataset}.{name}",
        [google.SchemaField(column, kind) for column, kind in schema.items()],
    )
    client.create_table(table)
    config = google.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", schema=table.schema)
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    client.load_table_from_file(io.BytesIO(content), table.reference, job_config=config).result()
    return f"bigquery:{bigquery.project}.{bigquery.dataset}.{name}"


MESSAGE_TYPES = {
    "MessagingSessionId": "STRING",
    "MessageIdentifier": "STRING",
    "EntryTime": "TIMESTAMP",
    "ActorType": "STRING",
    "Seq": "INTEGER",
    "Message": "STRING",
}
SESSION_TYPES = {
    "Id": "STRING",
    "Status": "STRING",
    "EndTime": "TIMESTAMP",
    "MessagingChannelId": "STRING",
    "SystemModstamp": "TIMESTAMP",
}


def message_rows() -> list[dict]:
    rows = [
        {
            "MessagingSessionId": f"s{i % 7}",
            "MessageIdentifier": f"m{i}",
            "EntryTime": f"2024-10-02T12:{i % 60:02}:{i * 7 % 60:02}Z",
            "ActorType": ("EndUser", "Agent", "Bot", "System")[i % 4],
            "Seq": i,
            "Message": "private",
        }
        for i in range(500)
    ]
    rows[3]["ActorType"] = "Wizard"
    rows[4]["MessageIdentifier"] = None
    return rows


def session_rows() -> list[dict]:
    return [
        {
            "Id": f"s{i}",
            "Status": "Ended",
            "EndTime": f"2024-10-{i + 2:02}T13:00:00.000000Z",
            "MessagingChannelId": "c1" if i != 5 else "c2",
            "SystemModstamp": "2024-10-20T00:00:00.000000Z",
        }
        for i in range(7)
    ]


CHANNELS = [{"Id": "c1", "PlatformType": "Enhanced"}, {"Id": "c2", "PlatformType": "Standard"}]
CHANNEL_TYPES = {"Id": "STRING", "PlatformType": "STRING"}


@pytest.fixture
def inputs(client, bigquery, tmp_path):
    """The words for three tables, and for three files with the same rows."""
    made = {
        "--messages": make_table(client, bigquery, "m", MESSAGE_TYPES, message_rows()),
        "--sessions": make_table(client, bigquery, "s", SESSION_TYPES, session_rows()),
        "--channels": make_table(client, bigquery, "c", CHANNEL_TYPES, CHANNELS),
    }
    rows = {"m": message_rows(), "s": session_rows(), "c": CHANNELS}
    for name, some in rows.items():
        put(tmp_path / f"{name}.jsonl", *map(json.dumps, some))
    files = ("--messages", "@m.jsonl", "--sessions", "@s.jsonl", "--channels", "@c.jsonl")
    return tuple(word for pair in made.items() for word in pair), files


def test_a_range_of_tables_gives_what_that_of_files_gives(inputs, run, tmp_path):
    """Fewer sessions are read of the table; the records are the same."""
    found = []
    for name, words in zip(("tables", "files"), inputs, strict=True):
        more = ["--output", f"@{name}", "--summary", f"@{name}.json", "--max_reject_ratio", "0.1"]
        more += ["--closed_from", "2024-10-03T13:00:00Z", "--closed_until", "2024-10-05T13:00:00Z"]
        status, err = run(*more, inputs=words)
        assert status == 0, err
        read = json.loads((tmp_path / f"{name}.json").read_text())["sessions_read"]
        found.append((read, output_bytes(tmp_path / name)[FILE]))
    (of_table, table), (of_file, file) = found
    assert (of_table, of_file) == (2, 7)
    assert table == file
    assert {r["MessagingSessionId"] for r in read_records(tmp_path / "tables")} == {"s1", "s2"}


def test_tables_give_what_files_give(inputs, run, tmp_path):
    summaries = []
    for name, words in zip(("tables", "files"), inputs, strict=True):
        more = ["--output", f"@{name}", "--summary", f"@{name}.json", "--max_reject_ratio", "0.1"]
        status, err = run(*more, inputs=words)
        assert status == 0, err
        summaries.append(json.loads((tmp_path / f"{name}.json").read_text()))
    assert summaries[0] == summaries[1]
    assert summaries[0]["messages_read"] == 500 and summaries[0]["sessions_reported"] == 6
    table, file = (output_bytes(tmp_path / name)[FILE] for name in ("tables", "files"))
    assert table == file
    of_tables, of_files = (read_rejects(tmp_path / n / "rejects") for n in ("tables", "files"))
    source = {"source": inputs[0][1], "row": 0}
    assert of_tables == [
        source | {k: v for k, v in r.items() if k not in source} for r in of_files[::-1]
    ]
    assert [(r["reason"], r["detail"]) for r in of_tables] == [
        ("message_id_missing", ""),
        ("sender_role_unknown", "Wizard"),
    ]


def test_records_are_read_back_as_written(client, bigquery, inputs, run, target, tmp_path):
    words = ["--output", "@out", "--output_table", str(target), "--max_reject_ratio", "0.1"]
    status, err = run(*words, inputs=inputs[0])
    assert status == 0, err
    assert rows_of(client, target) == read_records(tmp_path / "out")


def test_streams_are_read_each_by_itself(client, bigquery, monkeypatch):
    monkeypatch.setattr(table_input, "MAX_STREAMS", 4)
    # A table of less than a megabyte has one stream.
    rows = [
        {**message_rows()[0], "MessageIdentifier": f"{i:01000d}", "Seq": i} for i in range(2_000)
    ]
    pattern = make_table(client, bigquery, "long", MESSAGE_TYPES, rows)
    names = ColumnNames.of("messages")
    found, names, num_bytes = open_streams(pattern, names)
    assert len(found) == 4 and num_bytes >= 64 * len(rows)
    read = [
        [i for decode in read_stream(one, pattern, names.all()) for i in decode().columns["Seq"]]
        for one in found
    ]
    assert all(read)
    assert sorted(i.as_py() for some in read for i in some) == list(range(len(rows)))
    with Pipeline(runner="FnApiRunner") as pipeline:
        batches = (pipeline | ReadMessages([pattern])).batches
        numbers = batches | beam.FlatMap(lambda batch: batch.column("sequence").to_pylist())
        assert_that(numbers, equal_to(list(range(len(rows)))))


def read_ids(pattern: str, closed_us: Range) -> list[str]:
    found, names, num_bytes = open_streams(pattern, ColumnNames.of("sessions"), closed_us)
    assert num_bytes > 0
    raw = [decode() for one in found for decode in read_stream(one, pattern, names.all())]
    columns = {name for batch in raw for name in batch.columns}
    assert columns - {"ConversationId"} == set(SESSION_TYPES)
    assert all(set(batch.rows()) == {0} for batch in raw)
    return sorted(i for batch in raw for i in batch.columns["Id"].to_pylist())


def test_sessions_outside_the_range_are_left_where_each_is_there_once(client, bigquery):
    start = datetime.datetime(2024, 10, 3, 13, tzinfo=UTC)
    closed_us = tuple(int(t.timestamp()) * 10**6 for t in (start, start.replace(day=5)))
    once = make_table(client, bigquery, "once", SESSION_TYPES, session_rows())
    assert read_ids(once, closed_us) == ["s1", "s2"]
    assert read_ids(once, (closed_us[1], None)) == ["s3", "s4", "s5", "s6"]
    assert read_ids(once, (None, None)) == [f"s{i}" for i in range(7)]
    ids = ["0Mwbb000007MGoT", "0Mwbb000007MGoTCAW"]
    rows = [{**row, "Id": i} for row, i in zip(session_rows(), ids, strict=False)]
    twice = make_table(client, bigquery, "twice", SESSION_TYPES, rows)
    assert read_ids(twice, closed_us) == ids
    # Which session a message is of depends on all sessions of its conversation.
    kinds = {**SESSION_TYPES, "ConversationId": "STRING"}
    rows = [{**row, "ConversationId": "c"} for row in session_rows()]
    of_conversation = make_table(client, bigquery, "of_conversation", kinds, rows)
    assert read_ids(of_conversation, closed_us) == [f"s{i}" for i in range(7)]


def test_names_and_texts_of_a_table(client, bigquery):
    kinds = {
        "message_identifier": "STRING",
        "ENTRYTIME": "TIMESTAMP",
        "conversation_id": "STRING",
        "Sender": "STRING",
        "Text": "STRING",
    }
    rows = [
        {
            "message_identifier": f"m{i}",
            "ENTRYTIME": "2024-10-02T12:00:00Z",
            "conversation_id": "0Mwbb000007MGoT" if i else "0dwbb0000000001",
            "Sender": json.dumps({"role": "Agent", "subject": "private"}),
            "Text": "private",
        }
        for i in range(2)
    ]
    pattern = make_table(client, bigquery, "spelled", kinds, rows)
    streams, names, _ = open_streams(pattern, ColumnNames.of("messages"))
    for stream in streams:
        for decode in read_stream(stream, pattern, names.all()):
            assert set(decode().columns) == set(kinds) - {"Text"}
    with Pipeline(runner="FnApiRunner") as pipeline:
        read = pipeline | ReadMessages([pattern])
        found = read.batches | beam.FlatMap(lambda batch: batch.to_pylist())
        named = found | beam.Map(
            lambda r: (r["message_id"], r.get("session_id"), r.get("conversation_id"), r["sender"])
        )
        expected = [
            ("m0", None, "0dwbb0000000001AAA", AGENT),
            ("m1", "0Mwbb000007MGoTCAW", None, AGENT),
        ]
        assert_that(named, equal_to(expected))
        assert_that(read.rejects, is_empty(), "NoRejects")


def test_nested_columns(client, bigquery):
    from google.cloud import bigquery as google

    channel = google.SchemaField(
        "MessagingChannel", "RECORD", fields=[google.SchemaField("PlatformType", "STRING")]
    )
    columns = [google.SchemaField("Id", "STRING"), google.SchemaField("Status", "STRING")]
    columns += [google.SchemaField("EndTime", "DATETIME"), channel]
    place = f"{bigquery.project}.{bigquery.dataset}.nested"
    client.create_table(google.Table(place, columns))
    sql = "SELECT 'a', 'Ended', DATETIME '2024-10-02 13:00:00', STRUCT('Enhanced' AS PlatformType)"
    client.query(f"INSERT INTO `{place}` {sql}").result()
    (stream,), names, _ = open_streams(f"bigquery:{place}", ColumnNames.of("sessions"))
    (decode,) = read_stream(stream, "", names.all())
    (batch,), rejects, _ = normalize_sessions(decode(), names, place)
    assert len(rejects) == 0
    (row,) = batch.to_pylist()
    assert (row["session_id"], row["platform_type"]) == ("a", "Enhanced")
    assert row["ended_at_us"] == 1_727_874_000_000_000


def test_inputs_that_are_not_there(client, bigquery, run):
    nowhere = f"bigquery:{bigquery.project}.{bigquery.dataset}.nowhere"
    status, err = run("--output", "@out", "--sessions", nowhere)
    assert (status, err) == (2, f"session-metrics: {nowhere}: no such table\n")
    lacking = make_table(client, bigquery, "lacking", {"Id": "STRING"}, [{"Id": "a"}])
    with pytest.raises(InputError, match="no column for status, ended_at of the sessions"):
        open_streams(lacking, ColumnNames.of("sessions"))
    status, err = run("--output", "@out", "--sessions", lacking)
    assert (status, err.count("\n")) == (2, 1)
