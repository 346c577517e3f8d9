"""The main job as its user sees it: counts, inputs, rules, and the same bytes however it runs."""

import json
import os
import re

import apache_beam as beam
import fastavro
import pytest

from pipelines.jobs.running import _run
from pipelines.jobs.session_metrics import build
from schemas import metric_types
from tests.support.cli import RUNNER, make_job, output_bytes
from tests.support.jobs import FILE, MESSAGES, SESSIONS, put, session, values
from tests.support.metrics import make_small
from transforms.plumbing.coders import SpillingCoder
from transforms.publishing.publish import PreparedOutputs

pytestmark = pytest.mark.slow


def test_too_many_rejects(small, run):
    put(
        small / "m.csv",
        MESSAGES,
        "a,1,2024-10-02T12:00:00Z,EndUser,Text",
        "a,2,yesterday,EndUser,Text",
        "a,3,2024-10-02T12:00:00Z,Wizard,Text",
        ",4,2024-10-02T12:00:00Z,Agent,Text",
    )
    put(small / "out" / f"{FILE}.avro", "old")
    put(small / "out" / "rejects" / "rejects-00000-of-00001.jsonl", "old")
    before = output_bytes(small)
    status, err = run("--summary @summary.json")
    assert status == 1
    assert err == (
        "session-metrics: 3 of 4 messages rejected, more than max_reject_ratio 0.01 allows: "
        f"sender_role_unknown 1 ({small}/m.csv, row 4: Wizard), sent_at_invalid 1 ({small}/m.csv, row 3: "
        f"yesterday), session_id_missing 1 ({small}/m.csv, row 5); nothing was published. "
        "Mend the input, or raise --max_reject_ratio to accept it and see the rejects\n"
    )
    assert output_bytes(small) == before
    assert sorted(os.listdir(small)) == ["m.csv", "out", "s.csv"]

    status, err = run("--max_reject_ratio 0.75 --output_format jsonl")
    assert status == 0
    files = output_bytes(small / "out")
    source = json.dumps(f"{small}/m.csv")
    assert files.pop("rejects/rejects-00000-of-00001.jsonl").decode() == (
        f'{{"source": {source}, "row": 3, "reason": "sent_at_invalid", "detail": "yesterday", '
        '"session_id": "a", "message_id": "2"}\n'
        f'{{"source": {source}, "row": 4, "reason": "sender_role_unknown", "detail": "Wizard", '
        '"session_id": "a", "message_id": "3"}\n'
        f'{{"source": {source}, "row": 5, "reason": "session_id_missing", "detail": "", '
        '"session_id": null, "message_id": "4"}\n'
    )
    assert values(files) == {"a": [0, 0, 0, 1, 0, 0]} and len(files) == 1


def test_a_hundred_thousand_rejects_and_more(small, run):
    """They end the run at once; with a ratio of 1 the first of each reason are written."""
    rows = [f"a,{number},yesterday,EndUser,Text" for number in range(100_100)]
    put(small / "m.csv", MESSAGES, *rows, "a,x,2024-10-02T12:00:00Z,Wizard,Text")
    good = ["a,1,2024-10-02T12:00:00Z,EndUser,Text"]
    put(small / "n.csv", MESSAGES, *good)
    status, err = run("--messages @m.csv @n.csv")
    assert (status, err) == (
        1,
        "session-metrics: the first 100,101 messages are all rejected: sent_at_invalid 100,100 "
        f"({small}/m.csv, row 2: yesterday), sender_role_unknown 1 ({small}/m.csv, row 100102: Wizard); "
        "nothing was published. Mend the input, or give --max_reject_ratio 1 to read on and see the "
        "rejects\n",
    )
    assert not (small / "out").exists()

    status, err = run("--messages @m.csv @n.csv --max_reject_ratio 1 --output_format jsonl")
    assert status == 0
    assert re.search(r"^rejects only counted, not written +100 *$", err, re.MULTILINE)
    files = output_bytes(small / "out")
    kept = [files.pop(f"rejects/rejects-0000{number}-of-00002.jsonl") for number in range(2)]
    numbers = [json.loads(line)["row"] for part in kept for line in part.splitlines()]
    assert numbers == [*range(2, 100_002), 100_102]
    assert values(files) == {"a": [0, 0, 0, 1, 0, 0]}


FATES = {
    "messages": [
        "a,1,2024-10-02T12:00:00Z,EndUser,Text",
        "a,2,2024-10-02T12:00:30Z,Agent,Message",
        "a,2,2024-10-02T12:00:30Z,Agent,Message",  # duplicate
        "a,3,2024-10-02T14:00:00Z,EndUser,MESSAGE",  # late
        "a,4,2024-10-02T12:00:40Z,EndUser,ParticipantChanged",  # skipped
        "a,5,2024-10-02T12:00:40Z,System,Text",  # skipped
        "a,6,soon,EndUser,Text",  # rejected
        "a,7,2024-10-02T12:00:40Z,Wizard,Text",  # rejected
        "z,1,2024-10-02T12:00:00Z,EndUser,Text",  # of unknown session
        "b,1,2024-10-02T12:00:00Z,EndUser,Text",  # of session not reported
        "c,1,2024-10-02T12:00:00Z,EndUser,Text",
        "d,1,2024-10-02T12:00:00Z,EndUser,Text",
    ],
    "sessions": [
        session(
            "a", "2024-10-02T13:00:00Z", "Enhanced", "2024-10-02T11:00:00Z", "2024-10-03T00:00:00Z"
        ),
        session(
            "a", "2024-10-02T12:00:00Z", "Enhanced", "2024-10-02T11:00:00Z", "2024-10-02T00:00:00Z"
        ),
        "b,Active,,Enhanced,,",
        session("c", "2024-10-02T13:00:00Z", "Standard"),
        session("d", "2024-10-01T13:00:00Z"),
        session("e", "2024-10-02T13:00:00Z", ""),  # rejected
        session("f", "2024-10-02T13:00:00Z"),
    ],
}

COUNTS = {
    "messages_counted": 2,
    "messages_duplicate": 1,
    "messages_late": 1,
    "messages_of_session_not_reported": 3,
    "messages_of_unknown_session": 1,
    "messages_read": 12,
    "messages_rejected_sender_role_unknown": 1,
    "messages_rejected_sent_at_invalid": 1,
    "messages_skipped_entry_type": 1,
    "messages_skipped_role": 1,
    "records_written": 12,
    "sessions_not_closed": 1,
    "sessions_not_enhanced": 1,
    "sessions_out_of_range": 1,
    "sessions_read": 7,
    "sessions_rejected_platform_unknown": 1,
    "sessions_reported": 2,
    "sessions_superseded": 1,
}


def test_every_row_has_one_fate(tmp_path, run):
    put(tmp_path / "m.csv", MESSAGES, *FATES["messages"])
    put(tmp_path / "s.csv", SESSIONS, *FATES["sessions"])
    more = (
        "--late_messages exclude --closed_from 2024-10-02 --max_reject_ratio 0.2 --summary @n.json"
    )
    status, err = run(more)
    assert status == 0
    assert json.loads((tmp_path / "n.json").read_text()) == {
        **COUNTS,
        "assigned_by_session_id": 8,
        "outside_messages": 1,
        "outside_messages_median_min": 60,
        "reported_without_messages": 1,
    }
    *lines, published, doubt = err.splitlines()
    shown = dict(line.rstrip().rsplit(maxsplit=1) for line in lines)
    assert doubt.startswith(
        "1 of 3 messages are outside of their session, half of them by about 1 h"
    )
    assert published == f"published in {tmp_path}/out"
    kind, table = "", {}
    for name, number in shown.items():
        if name.startswith("  "):
            name = f"{kind}_{name.strip()}"
        else:
            kind = name.split()[0]
        table[name.replace(" ", "_")] = int(number)
    assert table == COUNTS
    argv = f"--messages @m.csv --sessions @s.csv --output @out {RUNNER} {more}"
    argv = argv.replace("@", f"{tmp_path}/").split()
    job = make_job(argv)
    with PreparedOutputs(job.outputs, job.run):
        counts, stages, *_ = _run(job, build)
    assert counts == {  # Beam's counters
        **COUNTS,
        "assigned_by_session_id": 8,
        "outside_messages": 1,
        "outside_messages_by_60_min": 1,
        "reported_without_messages": 1,
    }
    rows = {name: stages[f"{name}_rows"] for name in ("read", "key", "fold", "write")}
    assert rows["read"] == sum(COUNTS[name] for name in COUNTS if name.endswith("_read"))
    assert rows["key"] == rows["fold"]
    assert rows["write"] == COUNTS["records_written"]
    for kind in ("messages", "sessions"):
        of_kind = [number for name, number in COUNTS.items() if name.startswith(f"{kind}_")]
        assert sum(of_kind) == 2 * COUNTS[f"{kind}_read"]


def test_counts_are_there_where_there_is_nothing(tmp_path, run):
    put(tmp_path / "m.csv", MESSAGES)
    put(tmp_path / "s.csv", SESSIONS)
    status, err = run("--summary @out/n.json")
    assert status == 0
    assert list(fastavro.reader((tmp_path / "out" / f"{FILE}.avro").open("rb"))) == []
    assert json.loads((tmp_path / "out" / "n.json").read_text())["records_written"] == 0
    assert "records written" in err


def test_several_patterns_and_options_after_them(tmp_path, run):
    """The options that come after files apply; a mapping is for all files of a kind."""
    put(tmp_path / "m1.csv", MESSAGES, "a,1,2024-10-02T12:00:00Z,EndUser,Text")
    put(tmp_path / "m2.csv", MESSAGES, "a,2,2024-10-02T12:00:10Z,Bot,Text")
    rows = [{"meta": {"of": "a", "no": 3}, "sent_at": 1727870430000, "sender_role": "Agent"}]
    rows.append({"meta": {"of": "b", "no": 1}, "sent_at": 1727870430000, "sender_role": "EndUser"})
    put(tmp_path / "n.jsonl", *map(json.dumps, rows))
    head = "session_id,status,ended_at,channel_id"
    put(tmp_path / "s1.csv", head, "a,Ended,2024-10-02T13:00:00Z,c1")
    put(
        tmp_path / "s2.csv",
        head,
        "b,Ended,2024-10-02T13:00:00Z,c2",
        "c,Ended,2024-10-02T13:00:00Z,c1",
    )
    put(tmp_path / "c.csv", "Id,PlatformType", "c1,Enhanced", "c2,Standard")
    argv = "--messages @m?.csv @n.jsonl --sessions @s1.csv @s2.csv --channels @c.csv"
    mapped = "--message_columns session_id=meta.of,message_id=meta.no"
    end = "--bots answer --output_format jsonl --output @out"
    status, err = run(end, argv)
    missing = "no column for session_id or conversation_id, message_id of the messages"
    assert (status, err.count("\n")) == (2, 1) and f"n.jsonl: {missing}" in err
    status, err = run(f"{mapped} {end}", argv)
    assert status == 2 and f"m1.csv: {missing}" in err
    argv = argv.replace("@m?.csv @n.jsonl", "@n.jsonl")
    status, err = run(f"{mapped} {end}", argv)
    assert status == 0
    assert values(output_bytes(tmp_path / "out")) == {"a": [1, 0, 0, 0, 0, 0], "c": [0] * 6}
    assert "channels read 2 " in " ".join(err.split()) and "not enhanced" in err


def test_messages_of_several_files(tmp_path, run):
    put(tmp_path / "m1.csv", MESSAGES, "a,1,2024-10-02T12:00:00Z,EndUser,Text")
    put(tmp_path / "m2.csv", MESSAGES, "a,2,2024-10-02T12:00:10Z,Bot,Text")
    put(tmp_path / "m" / "3.csv", MESSAGES, "a,3,2024-10-02T12:00:30Z,Agent,Text")
    put(tmp_path / "s.csv", SESSIONS, session("a", "2024-10-02T13:00:00Z"))
    argv = "--messages @m?.csv @m/*.csv --bots answer --sessions @s.csv --output @out"
    assert run("--output_format jsonl", argv)[0] == 0
    assert values(output_bytes(tmp_path / "out")) == {"a": [1, 0, 0, 1, 0, 0]}


def test_relative_paths_where_workers_have_another_directory(small, tmp_path, monkeypatch):
    """The job is built in one directory and runs in another, as it does on workers elsewhere."""
    put(small / "m.csv", MESSAGES, "a,1,noon,EndUser,Text", "a,2,2024-10-02T12:00:00Z,EndUser,Text")
    (tmp_path / "elsewhere").mkdir()
    words = "--messages ./m.csv --sessions s.csv --output out --rejects bad --summary c.json"
    words += " --session_summary sums --report p.html --max_reject_ratio 1 --output_format jsonl"
    monkeypatch.chdir(small)
    job = make_job([*words.split(), RUNNER])
    pipeline = beam.Pipeline(options=job.beam_options)
    build(pipeline, job)
    with PreparedOutputs(job.outputs, job.run):
        monkeypatch.chdir(tmp_path / "elsewhere")
        pipeline.run().wait_until_finish()
        monkeypatch.chdir(small)
    assert os.listdir(tmp_path / "elsewhere") == []
    made = ["bad", "c.json", "elsewhere", "m.csv", "out", "p.html", "s.csv", "sums"]
    assert sorted(os.listdir(small)) == made
    assert values(output_bytes(small / "out")) == {"a": [0, 0, 0, 1, 0, 0]}
    # The source is the path that was given.
    (reject,) = output_bytes(small / "bad").values()
    assert json.loads(reject)["source"] == "./m.csv"


def test_ranges_are_half_open(tmp_path, run):
    put(tmp_path / "m.csv", MESSAGES)
    instants = {
        "a": "2024-10-01T23:59:59.999999Z",
        "b": "2024-10-02T00:00:00Z",
        "c": "2024-10-02T23:59:59.999999Z",
        "d": "2024-10-03T00:00:00Z",
    }
    ended = "2024-10-04T00:00:00Z"
    rows = [session(i, at, "Enhanced", at) for i, at in instants.items()]
    rows += [session(f"{i}-", ended, "Enhanced", at) for i, at in instants.items()]
    put(tmp_path / "s.csv", SESSIONS, *rows)
    for argv, expected in {
        "--closed_from 2024-10-02 --closed_until 2024-10-03": "b c",
        "--created_from 2024-10-02 --created_until 2024-10-03": "b b- c c-",
        "--closed_until 2024-10-02T00:00:00Z": "a",
        "--created_from 2024-10-02T23:59:59.999999Z --closed_until 2024-10-04": "c d",
    }.items():
        assert run(f"{argv} --output_format jsonl --allow_no_messages")[0] == 0
        assert list(values(output_bytes(tmp_path / "out"))) == expected.split(), argv


@pytest.fixture
def turns(tmp_path):
    """Two sessions that every switch makes another figure of, and one of unknown platform."""
    rows = []
    for session_id, answered in (("p", "30.5"), ("q", "30.25")):
        for number, (second, who) in enumerate(
            [("00", "EndUser"), ("10", "EndUser"), ("20", "Bot"), (answered, "Agent")]
        ):
            rows.append(f"{session_id},{number},2024-10-02T12:00:{second}Z,{who},Text")
        rows.append(f"{session_id},9,2024-10-02T12:01:40Z,EndUser,Text")
    put(tmp_path / "m.csv", MESSAGES, *rows)
    ends = [session(i, "2024-10-02T12:01:00Z") for i in "pq"]
    put(tmp_path / "s.csv", SESSIONS, *ends, session("r", "2024-10-02T12:01:00Z", ""))


@pytest.mark.parametrize(
    ("switch", "expected"),
    [
        ("--assume_platform standard", [[1, 31, 80, 3, 31, 80], [1, 30, 80, 3, 30, 80]]),
        ("--assume_platform enhanced", [[1, 31, 80, 3, 31, 80], [1, 30, 80, 3, 30, 80], [0] * 6]),
        ("--response_from last_message", [[1, 21, 70, 3, 21, 70], [1, 20, 70, 3, 20, 70]]),
        ("--bots answer", [[1, 0, 80, 3, 0, 80]] * 2),
        ("--rounding floor", [[1, 30, 80, 3, 30, 80]] * 2),
        ("--rounding ceil", [[1, 31, 80, 3, 31, 80]] * 2),
        ("--late_messages exclude", [[1, 31, 0, 2, 31, 0], [1, 30, 0, 2, 30, 0]]),
    ],
)
def test_switches(switch, expected, turns, tmp_path, run):
    assert run(f"{switch} --output_format jsonl --max_reject_ratio 0.5")[0] == 0
    assert list(values(output_bytes(tmp_path / "out")).values()) == expected
    assert metric_types()[1] == "AverageAgentResponseTime"


def test_sessions_and_not_one_message(turns, tmp_path, run):
    """An earlier output stays; with the option the zeros are published."""
    assert run("--max_reject_ratio 0.5")[0] == 0
    before = output_bytes(tmp_path / "out")
    put(tmp_path / "m.csv", MESSAGES, "other,1,2024-10-02T12:00:00Z,Agent,Text")
    status, err = run("--max_reject_ratio 0.5")
    assert status == 1
    assert "not one message counts: of 1 messages read, of unknown session 1" in err
    assert "messages name other, sessions are " in err
    assert output_bytes(tmp_path / "out") == before
    status, err = run("--max_reject_ratio 0.5 --allow_no_messages --output_format jsonl")
    assert status == 0, err
    assert set(map(tuple, values(output_bytes(tmp_path / "out")).values())) == {(0,) * 6}


@pytest.fixture
def week(tmp_path):
    """Sessions of five days, none on the third; each with some messages."""
    messages, sessions = [], []
    for i in range(80):
        day = [1, 2, 4, 5][i % 4]
        sessions.append(session(f"s{i:02d}", f"2024-10-0{day}T{i % 24:02d}:59:59.999999Z"))
        for n in range(i % 7):
            who = ["EndUser", "Agent", "Bot"][n * i % 3]
            messages.append(f"s{i:02d},{n},2024-10-0{day}T{i % 24:02d}:00:{n * 7:02d}Z,{who},Text")
    messages.append("s00,x,never,EndUser,Text")
    put(tmp_path / "m.csv", MESSAGES, *messages)
    put(tmp_path / "s.csv", SESSIONS, *sessions)
    return tmp_path


def test_every_runner_writes_the_same_bytes(week, run):
    outputs = []
    for runner in (
        "--runner FnApiRunner",
        "--runner DirectRunner",
        "--runner DirectRunner --direct_running_mode multi_processing --direct_num_workers 2",
    ):
        beside = "--summary @n.json --report @page.html --session_summary @summaries"
        status, err = run(f"--partition_by day {beside} --max_reject_ratio 0.1 {runner}")
        assert status == 0, err
        files = [(week / name).read_bytes() for name in ("n.json", "page.html")]
        outputs.append((output_bytes(week / "out"), output_bytes(week / "summaries"), *files))
        assert err.splitlines()[-2:] == [
            f"published in {week}/out and {week}/summaries",
            f"the page is {week}/page.html",
        ]
    assert len(outputs[0][0]) == 5
    assert outputs[0] == outputs[1] == outputs[2]


def test_each_message_waits_once(small, run, monkeypatch):
    """For the others of its shard, and for nothing else: that takes time, and space on the disc."""
    lines = (f"a,{i},2024-10-02T12:00:00Z,EndUser,Text" for i in range(5000))
    put(small / "m.csv", MESSAGES, *lines)
    waited = []
    encode = SpillingCoder.encode

    def counted(coder, batch):
        waited.extend([len(batch)] if "message_id" in batch.schema.names else [])
        return encode(coder, batch)

    monkeypatch.setattr(SpillingCoder, "encode", counted)
    assert run()[0] == 0
    assert sum(waited) == 5000


def test_batches_that_wait_in_a_file_are_found_by_other_workers(tmp_path, run):
    rows = [
        f"s{i % 40},{i},2024-10-02T12:{i % 3600 // 60:02}:{i % 60:02}Z,Agent,Text"
        for i in range(9000)
    ]
    put(tmp_path / "m.csv", MESSAGES, *rows)
    ended = [session(f"s{i}", "2024-10-02T13:00:00Z") for i in range(40)]
    put(tmp_path / "s.csv", SESSIONS, *ended)
    outputs = []
    for mode in ("in_memory", "multi_processing --direct_num_workers 2"):
        status, err = run(f"--runner FnApiRunner --direct_running_mode {mode}")
        assert status == 0, err
        outputs.append(output_bytes(tmp_path / "out"))
    assert outputs[0] == outputs[1]


def test_backfill_and_daily_runs(week, run):
    def fill(first: int, until: int, output: str, more: str = "") -> dict[str, bytes]:
        status, err = run(
            f"--output @{output} --partition_by day --max_reject_ratio 0.1 "
            f"--closed_from 2024-10-0{first} --closed_until 2024-10-0{until} {more}"
        )
        assert status == 0, err
        return output_bytes(week / output)

    def days(files: dict[str, bytes]) -> list[str]:
        assert files.pop("rejects/rejects-00000-of-00001.jsonl")
        assert files.pop("mine/notes.txt") == b"mine\n"
        assert files.pop("created_date=2024-10-02/notes.txt") == b"mine\n"
        return sorted(files)

    for output in ("daily", "backfill"):
        put(week / output / "mine" / "notes.txt", "mine")
        put(week / output / "created_date=2024-10-02" / "notes.txt", "mine")
    for day in (5, 1, 2, 4, 3):
        daily = fill(day, day + 1, "daily")
    backfill = fill(1, 6, "backfill")
    assert backfill == daily
    whole = [f"created_date=2024-10-0{day}/{FILE}.avro" for day in (1, 2, 4, 5)]
    assert days(dict(backfill)) == whole

    kept = [line for line in (week / "s.csv").read_text().splitlines() if "2024-10-04" not in line]
    put(week / "s.csv", *kept)
    left = fill(1, 4, "backfill")
    assert left == backfill  # the fourth is not in the range
    gone = fill(4, 5, "backfill")
    assert days(dict(gone)) == [name for name in whole if "10-04" not in name]
    assert not (week / "backfill" / "created_date=2024-10-04").exists()
    assert {name: backfill[name] for name in gone} == gone

    other = fill(1, 3, "backfill", "--output_format csv")
    assert days(dict(other)) == [
        f"created_date=2024-10-01/{FILE}.csv",
        f"created_date=2024-10-02/{FILE}.csv",
        f"created_date=2024-10-05/{FILE}.avro",
    ]
    status, _ = run("--output @backfill --max_reject_ratio 0.1")
    assert status == 0 and days(output_bytes(week / "backfill")) == [f"{FILE}.avro"]
    assert sorted(os.listdir(week)) == ["backfill", "daily", "m.csv", "s.csv"]


def test_fewer_sessions_and_another_format_leave_nothing_stale(week, run, monkeypatch):
    make_small(monkeypatch, sessions_per_file=20, sampled=1)
    put(week / "out" / "notes.txt", "mine")
    put(week / "out" / "metrics-00000-of-00001.avro.bak", "mine")
    users = set(output_bytes(week / "out"))
    assert run("--max_reject_ratio 0.1")[0] == 0
    found = {name for name in output_bytes(week / "out") if name.startswith("metrics-")} - users
    assert found == {f"metrics-0000{i}-of-00004.avro" for i in range(4)}
    put(week / "s.csv", *(week / "s.csv").read_text().splitlines()[:40])
    put(week / "m.csv", MESSAGES)
    assert run("--allow_no_messages")[0] == 0
    assert set(output_bytes(week / "out")) - users == {
        f"metrics-0000{i}-of-00002.avro" for i in range(2)
    }
    assert run("--allow_no_messages --output_format parquet")[0] == 0
    assert set(output_bytes(week / "out")) - users == {
        f"metrics-0000{i}-of-00002.parquet" for i in range(2)
    }
    assert users < set(output_bytes(week / "out"))
