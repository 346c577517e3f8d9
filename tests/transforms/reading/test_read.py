"""`ReadMessages` and `ReadSessions` in a pipeline, and the look at the inputs before one."""

import collections
import csv
import dataclasses
import gzip
import json
from pathlib import Path

import apache_beam as beam
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from transforms.batches import AGENT, BOT, END_USER
from transforms.errors import InputError, find_job_error
from transforms.reading.formats import parts
from transforms.reading.inputs import check_inputs
from transforms.reading.names import ColumnNames
from transforms.reading.read import (
    ReadMessages,
    ReadMessagesAndSessions,
    ReadParticipants,
    ReadSessions,
)
from transforms.rejects import rejects_in

NOON_US = 1_727_870_400_000_000
HOUR_US = 3_600_000_000

MESSAGES = [
    {
        "session_id": f"s{i % 3}",
        "message_id": f"m{i}",
        "sent_at": f"2024-10-02T12:00:{i:02}Z",
        "sender_role": "System" if i == 4 else "Agent",
        "text": "private",
    }
    for i in range(10)
]
SESSIONS = [
    {
        "Id": f"s{i}",
        "Status": "Ended",
        "EndTime": "2024-10-02T13:00:00Z",
        "MessagingChannelId": f"c{i}",
        "PlatformType": "Standard" if i == 2 else "",
    }
    for i in range(4)
]


def write_lines(path, rows):
    path.write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    return str(path)


def write_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


FOUND = collections.defaultdict(list)
"""What came out of the pipeline, which runs in this process."""


def _keep(element, name):
    FOUND[name].append(element)


def run(transform):
    """What the transform gives: rows, rejects, summed counts, summed bytes."""
    FOUND.clear()
    with beam.Pipeline(FnApiRunner(), options=PipelineOptions([])) as pipeline:
        outputs = pipeline | transform
        for name, output in outputs._asdict().items():
            _ = output | name >> beam.Map(_keep, name)
    rows = [row for batch in FOUND["batches"] for row in batch.to_pylist()]
    counts = sum(map(collections.Counter, FOUND["counts"]), collections.Counter())
    rejects = [reject for batch in FOUND["rejects"] for reject in rejects_in(batch)]
    return rows, sorted(rejects), dict(counts), sum(FOUND["num_bytes"])


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(parts, "PART_BYTES", 300)
    monkeypatch.setattr(parts, "BLOCK_BYTES", 200)
    monkeypatch.setattr(parts, "BATCH_ROWS", 2)


def test_messages_of_many_files(tmp_path, small):
    bad = {**MESSAGES[0], "message_id": "bad", "sent_at": "noon"}
    one = write_lines(tmp_path / "one.jsonl", [*MESSAGES[:4], bad])
    write_csv(tmp_path / "two.csv", MESSAGES[4:6])
    pq.write_table(pa.Table.from_pylist(MESSAGES[6:8]), tmp_path / "three.parquet")
    (tmp_path / "empty.jsonl").touch()
    with (tmp_path / "four.avro").open("wb") as file:
        fields = [{"name": name, "type": "string"} for name in MESSAGES[0]]
        fastavro.writer(file, {"type": "record", "name": "R", "fields": fields}, MESSAGES[8:])
    patterns = [str(tmp_path / "*.jsonl"), str(tmp_path / "t*"), str(tmp_path / "four.avro")]
    rows, rejects, counts, num_bytes = run(ReadMessages(patterns))
    assert sorted(row["message_id"] for row in rows) == [f"m{i}" for i in range(10) if i != 4]
    assert set(rows[0]) == {"session_id", "message_id", "sent_at_us", "sequence", "sender"}
    assert rejects == [(one, 5, "sent_at_invalid", "noon", "s0", "bad")]
    assert counts == {
        "messages_read": 11,
        "messages_skipped_role": 1,
        "messages_rejected_sent_at_invalid": 1,
        "assigned_by_session_id": 9,
    }
    assert num_bytes > 0


def test_mapped_columns(tmp_path):
    rows = [{f"their.{key}": value for key, value in row.items()} for row in MESSAGES]
    path = write_csv(tmp_path / "m.csv", rows)
    names = ("session_id", "message_id", "sent_at", "sender_role")
    found, rejects, _, _ = run(ReadMessages([path], {name: f"their.{name}" for name in names}))
    assert (len(found), rejects) == (9, [])


def test_each_file_has_names_of_its_own(tmp_path):
    """And may have its row in an envelope, or columns as JSON in texts."""
    names = {"session_id": "MessagingSessionId", "sender_role": "ActorType"}
    spelled = [
        {"Message ID": "m0", "ssot__EntryTime__c": 1, "SENDERROLE": "Agent", "SESSION_ID": "s"},
        {"IDENTIFIER": "m1", "Sent At": 2, "sender": json.dumps({"role": "Agent"}),
         "related_records": json.dumps(["0Mwbb000007MGoTCAW"])},
    ]  # fmt: skip
    renamed = {names.get(name, name): value for name, value in MESSAGES[3].items()}
    written = [write_csv(tmp_path / f"{n}.csv", [row]) for n, row in enumerate(spelled)]
    written.append(write_lines(tmp_path / "2.jsonl", [{"_airbyte_data": renamed}]))
    rows, rejects, _, _ = run(ReadMessages(written))
    assert rejects == []
    assert sorted((row["message_id"], row["session_id"], row["sender"]) for row in rows) == [
        ("m0", "s", AGENT),
        ("m1", "0Mwbb000007MGoTCAW", AGENT),
        ("m3", "s0", AGENT),
    ]


def test_the_name_of_the_file_is_the_conversation(tmp_path):
    rows = [{**row, "session_id": None} for row in MESSAGES]
    key = "8A1D7C52-6D0E-4C3A-9A0F-2C9B3E1F4D10"
    (tmp_path / "pages").mkdir()
    packed = tmp_path / "pages" / f"{key}.json.gz"
    packed.write_bytes(gzip.compress(json.dumps(rows[:3]).encode()))
    write_csv(tmp_path / "pages" / "two.v2.csv", rows[5:7])
    read = ReadMessages([str(tmp_path / "pages" / "*")], {"conversation_id": "@file"})
    found, rejects, counts, _ = run(read)
    assert sorted((row["message_id"], row["conversation_id"]) for row in found) == [
        *((f"m{i}", key.lower()) for i in range(3)),
        *((f"m{i}", "two.v2") for i in range(5, 7)),
    ]
    assert (rejects, counts) == ([], {"messages_read": 5})


def test_messages_have_the_role_of_their_participant(tmp_path):
    rows = [
        {"ConversationId": "c", "Id": f"m{i}", "EntryTime": f"2024-10-02T12:00:0{i}Z",
         "EngagementParticipantId": who}
        for i, who in enumerate(["p1", "p2", "p3", "p9", "0dPbb0000000001"])
    ]  # fmt: skip
    messages = write_csv(tmp_path / "m.csv", rows)
    people = [
        {"Id": "p1", "ParticipantRole": "EndUser"},
        {"Id": "p2", "ParticipantRole": "Agent"},
        {"Id": "p3", "ParticipantRole": "System"},
        {"Id": "p4", "ParticipantRole": "Ghost"},
    ]
    one = write_csv(tmp_path / "p.csv", people)
    two = write_lines(
        tmp_path / "p.jsonl",
        [{"Id": "0dPbb0000000001EAA", "ParticipantRole": "Chatbot"},
         {"Id": "p1", "ParticipantRole": "Agent"}],
    )  # fmt: skip
    for patterns in ([one, two], [two, one]):
        found, rejects, counts, num_bytes = run(
            ReadMessages([messages], participants=ReadParticipants(patterns))
        )
        # Of one who is there with two roles it does not matter which comes first.
        assert sorted((row["message_id"], row["sender"]) for row in found) == [
            ("m0", AGENT),
            ("m1", AGENT),
            ("m4", BOT),
        ]
        assert rejects == [
            (messages, 5, "sender_role_missing", "p9", None, "m3"),
            (one, 5, "sender_role_unknown", "Ghost", None, None),
        ]
        assert counts == {
            "messages_read": 5,
            "messages_skipped_role": 1,
            "messages_rejected_sender_role_missing": 1,
            "participants_read": 6,
            "participants_rejected_sender_role_unknown": 1,
        }
        assert num_bytes > 0
    mapped = write_csv(
        tmp_path / "mapped.csv", [{"Who": r["Id"], "What": "Agent"} for r in people[:3]]
    )
    columns = {"participant_id": "Who", "sender_role": "What"}
    found, _, _, _ = run(ReadMessages([messages], participants=ReadParticipants([mapped], columns)))
    assert {row["sender"] for row in found} == {AGENT}


def test_words_of_other_systems(tmp_path):
    """Participants have the words of the messages, channels those of the sessions."""
    row = {"session_id": "s", "sent_at": "2024-10-02T12:00:00Z", "participant_id": "p"}
    rows = [{**row, "Id": "1", "role": "customer"}, {**row, "Id": "2", "role": ""}]
    people = write_csv(tmp_path / "p.csv", [{"Id": "p", "ParticipantRole": "Rep"}])
    values = {"sender_role": {"Customer": "EndUser", "rep": "Agent"}}
    found, rejects, _, _ = run(
        ReadMessages(
            [write_csv(tmp_path / "m.csv", rows)],
            participants=ReadParticipants([people]),
            values=values,
        )
    )
    assert {row["message_id"]: row["sender"] for row in found} == {"1": END_USER, "2": AGENT}
    assert rejects == []
    row = {
        "Id": "a",
        "Status": "closed",
        "EndTime": "2024-10-02T12:00:00Z",
        "MessagingChannelId": "c",
    }
    channels = write_csv(tmp_path / "c.csv", [{"Id": "c", "PlatformType": "new"}])
    values = {"status": {"closed": "Ended"}, "platform_type": {"NEW": "Enhanced"}}
    sessions = ReadSessions(
        [write_csv(tmp_path / "s.csv", [row])], channels=[channels], values=values
    )
    ((session,), rejects, _, _) = run(sessions)
    assert (session["status"], session["platform_type"], rejects) == ("Ended", "Enhanced", [])
    with pytest.raises(InputError, match=r"^sessions have no words in 'sender_role'; there are "):
        run(ReadSessions(["s.csv"], values={"sender_role": {"rep": "Agent"}}))


def test_files_whose_suffix_names_no_format(tmp_path):
    """All formats; a suffix that names one has its way."""
    path = Path(write_lines(tmp_path / "m.jsonl", MESSAGES))
    expected = run(ReadMessages([str(path)]))[:3]
    lines = path.read_bytes()
    table = pa.Table.from_pylist(MESSAGES)
    pq.write_table(table, tmp_path / "m.parquet")
    (tmp_path / "m.json").write_text(json.dumps(MESSAGES))
    write_csv(tmp_path / "m.csv", MESSAGES)
    for name in ("jsonl", "parquet", "json", "csv"):
        bare = tmp_path / name / "part.0000"
        bare.parent.mkdir()
        bare.write_bytes((tmp_path / f"m.{name}").read_bytes())
        read = ReadMessages([str(bare), str(path)], file_format=name)
        one = ReadMessages([str(bare)], file_format=name)
        assert run(one)[:3] == expected, name
        assert len(run(read)[0]) == 2 * len(expected[0])
    zipped = tmp_path / "part.GZ"
    zipped.write_bytes(gzip.compress(lines))
    assert run(ReadMessages([str(zipped)], file_format="jsonl"))[:3] == expected
    # Its name is all there is before what names the format.
    for file, name in ((zipped, "part"), (tmp_path / "jsonl" / "part.0000", "part.0000")):
        read = ReadMessages([str(file)], {"session_id": "@file"}, file_format="jsonl")
        assert {row["session_id"] for row in run(read)[0]} == {name}


def test_participants_that_are_not_read(tmp_path):
    rows = [{"ConversationId": "c", "Id": "m", "EntryTime": "", "EngagementParticipantId": "p"}]
    path = write_csv(tmp_path / "m.csv", rows)
    assert failure(path) == (
        f"{path}: no column for sender_role of the messages; found: ConversationId, Id, EntryTime, "
        "EngagementParticipantId. Its messages name participants: give them with --participants "
        "(optional, and not found either: sent_at_ms, entry_type, sequence, deleted)"
    )


def test_instants_of_a_wall_clock(tmp_path):
    messages = write_csv(tmp_path / "m.csv", MESSAGES[:1])
    found, _, _, _ = run(ReadMessages([messages], time_zone="Europe/Berlin"))
    assert [row["sent_at_us"] for row in found] == [NOON_US - 2 * HOUR_US]
    sessions = write_csv(tmp_path / "s.csv", SESSIONS[2:3])
    found, _, _, _ = run(ReadSessions([sessions], time_zone="America/New_York"))
    assert [row["ended_at_us"] for row in found] == [NOON_US + 5 * HOUR_US]


def test_sessions_have_the_platform_of_their_channel(tmp_path):
    sessions = write_csv(tmp_path / "sessions.csv", SESSIONS)
    channels = [{"Id": "c0", "PlatformType": "Enhanced"}, {"Id": "c1", "PlatformType": "Standard"}]
    one = write_csv(tmp_path / "channels.csv", [*channels, {"Id": "", "PlatformType": "Enhanced"}])
    two = write_lines(tmp_path / "channels.jsonl", [{"Id": "c9", "PlatformType": "Enhanced"}])
    rows, rejects, counts, _ = run(ReadSessions([sessions], channels=[one, two]))
    platforms = {row["session_id"]: row["platform_type"] for row in rows}
    assert platforms == {"s0": "Enhanced", "s1": "Standard", "s2": "Standard"}
    renamed = write_csv(tmp_path / "renamed.csv", [{"Channel": "c0", "Kind": "Enhanced"}])
    columns = {"channel_id": "Channel", "platform_type": "Kind"}
    read = ReadSessions([sessions], channels=[renamed], channel_columns=columns)
    assert {r["session_id"]: r["platform_type"] for r in run(read)[0]} == {
        "s0": "Enhanced",
        "s2": "Standard",
    }
    assert rejects == [
        (one, 4, "channel_id_missing", "", None, None),
        (sessions, 5, "platform_unknown", "", "s3", None),
    ]
    assert counts == {
        "channels_read": 4,
        "channels_rejected_channel_id_missing": 1,
        "sessions_read": 4,
        "sessions_rejected_platform_unknown": 1,
    }


def test_channels_that_contradict_themselves(tmp_path):
    sessions = write_csv(tmp_path / "sessions.csv", SESSIONS[:1])
    channels = [
        write_csv(tmp_path / f"{platform}.csv", [{"Id": "c0", "PlatformType": platform}])
        for platform in ("Standard", "Enhanced")
    ]
    for order in (channels, channels[::-1]):
        rows, _, _, _ = run(ReadSessions([sessions], channels=order))
        assert [row["platform_type"] for row in rows] == ["Standard"]


def test_an_assumed_platform(tmp_path):
    sessions = write_csv(tmp_path / "sessions.csv", SESSIONS)
    rows, rejects, _, _ = run(ReadSessions([sessions], assume_platform="Enhanced"))
    assert [row["platform_type"] for row in rows] == [
        "Enhanced",
        "Enhanced",
        "Standard",
        "Enhanced",
    ]
    assert rejects == []


def failure(*patterns):
    with pytest.raises(Exception) as caught:
        run(ReadMessages(patterns))
    return find_job_error(caught.value)


def test_what_is_wrong_with_an_input_is_one_line(tmp_path):
    good = write_lines(tmp_path / "good.jsonl", MESSAGES)
    data = gzip.compress((tmp_path / "good.jsonl").read_bytes() * 5000, mtime=0)
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(data[:-9])
    assert failure(good, str(cut)).startswith(f"{cut}: can't be read: it is truncated (")
    lacking = write_csv(tmp_path / "lacking.csv", [{"session_id": "s", "Id": "m"}])
    assert failure(lacking) == (
        f"{lacking}: no column for sent_at, sender_role of the messages; found: session_id, Id. "
        "Map them with --message_columns sent_at=Their.Name,sender_role=Their.Name (optional, and not "
        "found either: conversation_id, sent_at_ms, participant_id, entry_type, sequence, deleted)"
    )
    none = str(tmp_path / "none*.csv")
    assert failure(good, none) == f"{none}: no such file"


def test_check_inputs(tmp_path):
    names = ColumnNames.of("messages")
    good = write_lines(tmp_path / "good.jsonl", MESSAGES)
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    lines = check_inputs([good, str(empty), str(tmp_path / "*.jsonl")], names)
    assert lines == [
        f"{empty}: messages without a row" if path == str(empty) else names.tell(list(row), path)
        for path, row in ((good, MESSAGES[0]), (str(empty), {}))
    ]

    def told(pattern):
        with pytest.raises(InputError) as caught:
            check_inputs([good, str(pattern)], names)
        return str(caught.value)

    folder = tmp_path / "folder"
    folder.mkdir()
    for pattern in (folder, f"{folder}/"):
        assert told(pattern) == f"{pattern}: a directory; name its files, as {folder}/*.csv"
    assert told(tmp_path / "no.csv") == f"{tmp_path}/no.csv: no such file"
    assert told(f"{folder}/*") == f"{folder}/*: no such file"
    (folder / "book.xlsx").touch()
    assert told(f"{folder}/*").startswith(f"{folder}/book.xlsx: unknown format; known suffixes: ")
    for name in ("0.csv", "0.avro", "0.parquet", "0.json"):
        (folder / name).touch()
        check_inputs([str(folder / name)], names)
    (folder / "1.csv").write_text("Id\n")
    assert told(folder / "*.csv").startswith(f"{folder}/1.csv: no column for session_id")


def test_pages_that_say_that_more_follow_are_counted(tmp_path, small):
    pages = [
        {"done": done, "totalSize": 9, "records": MESSAGES[i : i + 3]}
        for i, done in ((0, False), (3, False), (6, True))
    ]
    for name in ("m.json", "m.jsonl"):
        rows, rejects, counts, _ = run(ReadMessages([write_lines(tmp_path / name, pages)]))
        assert (len(rows), rejects) == (8, [])
        assert counts == {
            "messages_read": 9,
            "messages_skipped_role": 1,
            "assigned_by_session_id": 8,
            "pages_with_more_of_messages": 2,
            "pages_last_of_messages": 1,
        }
    (tmp_path / "s.json").write_text(json.dumps({"conversationEntries": SESSIONS, "hasMore": True}))
    counts = run(ReadSessions([str(tmp_path / "s.json")], assume_platform="Enhanced"))[2]
    assert counts == {"sessions_read": 4, "pages_with_more_of_sessions": 1}


def test_a_mapped_column_is_looked_for_in_the_first_file_of_each_pattern(tmp_path):
    row = {"session_id": "s", "Id": "m", "sent_at": "2024-10-02T12:00:00Z", "role": "Agent"}
    first = write_csv(tmp_path / "a1.csv", [row])
    second = write_lines(tmp_path / "a2.jsonl", [{**row, "Kind": "Text"}])
    names = ColumnNames.of("messages", {"entry_type": "kind"})
    with pytest.raises(InputError) as caught:
        check_inputs([str(tmp_path / "a*")], names)
    assert str(caught.value) == (
        f"{first}: no column kind, to which --message_columns maps entry_type; found: session_id, Id, "
        "sent_at, role"
    )
    assert "entry_type=Kind;" in check_inputs([first, second], names)[1]
    # JSON without a row may have any column.
    (tmp_path / "b.jsonl").touch()
    check_inputs([first, str(tmp_path / "b.jsonl")], names)
    # The first MiB of lines is looked at.
    late = [row] * 20_000 + [{**row, "kind": "Text"}]
    with pytest.raises(InputError, match="no column kind, "):
        check_inputs([write_lines(tmp_path / "c.jsonl", late)], names)


def test_both_at_once_are_what_each_is_by_itself(tmp_path, small):
    bad = {**MESSAGES[0], "message_id": "bad", "sent_at": "noon"}
    read_messages = ReadMessages([write_lines(tmp_path / "m.jsonl", [*MESSAGES, bad])])
    channels = write_csv(tmp_path / "c.csv", [{"Id": "c1", "PlatformType": "Enhanced"}])
    people = write_csv(tmp_path / "p.csv", [{"Id": "p1", "ParticipantRole": "Agent"}])
    read_messages = dataclasses.replace(read_messages, participants=ReadParticipants([people]))
    read_sessions = ReadSessions([write_csv(tmp_path / "s.csv", SESSIONS)], channels=[channels])
    rows, rejects, counts, num_bytes = run(ReadMessagesAndSessions(read_messages, read_sessions))
    of_messages, of_sessions = run(read_messages), run(read_sessions)

    def in_order(found):
        return sorted(found, key=lambda row: (len(row), str(row)))

    assert in_order(rows) == in_order(of_messages[0] + of_sessions[0])
    assert rejects == sorted(of_messages[1] + of_sessions[1])
    assert counts == of_messages[2] | of_sessions[2]
    assert (counts["channels_read"], counts["participants_read"]) == (1, 1)
    assert num_bytes == of_messages[3] + of_sessions[3]


def test_a_length_that_is_more_than_there_is_memory(tmp_path):
    """In the header of an Avro file that is broken: in place of eleven, two to the power of sixty."""
    path = tmp_path / "m.avro"
    fields = [{"name": name, "type": "string"} for name in MESSAGES[0]]
    with path.open("wb") as file:
        fastavro.writer(file, {"type": "record", "name": "R", "fields": fields}, MESSAGES)
    data = path.read_bytes()
    assert data.count(b"\x16avro.schema") == 1
    path.write_bytes(data.replace(b"\x16avro.schema", b"\x80" * 8 + b"\x20avro.schema"))
    with pytest.raises(InputError, match=r"m\.avro: can't be read: MemoryError$"):
        check_inputs([str(path)], ColumnNames.of("messages"))
