"""The job as its user sees it: exit status, what is said, what is published."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fastavro
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from pipelines import session_metrics
from pipelines.running import _run
from schemas import metric_types
from tests.support.cli import RUNNER, output_bytes
from tests.support.metrics import make_small
from transforms.publishing import directories
from transforms.publishing.staging import staging_of

MESSAGES = "session_id,message_id,sent_at,sender_role,entry_type"
SESSIONS = "session_id,status,ended_at,platform_type,created_at,modified_at"
FILE = "metrics-00000-of-00001"


def put(path: Path, *lines: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return str(path)


def session(session_id: str, ended_at: str, platform: str = "Enhanced", *more: str) -> str:
    created_at, modified_at = (*more, "", "")[:2]
    return f"{session_id},Ended,{ended_at},{platform},{created_at},{modified_at}"


def values(files: dict[str, bytes], name: str = f"{FILE}.jsonl") -> dict[str, list[int]]:
    """The six values by session, in the order of types; other fields are looked at elsewhere."""
    found: dict[str, list[int]] = {}
    for row in map(json.loads, files[name].decode().splitlines()):
        found.setdefault(row["MessagingSessionId"], []).append(row["MessagingSessionMetricValue"])
    return found


@pytest.fixture
def small(tmp_path):
    """A directory with the smallest inputs, `m.csv` and `s.csv`."""
    put(tmp_path / "m.csv", MESSAGES, "a,1,2024-10-02T12:00:00Z,EndUser,Text")
    put(tmp_path / "s.csv", SESSIONS, session("a", "2024-10-02T13:00:00Z"))
    return tmp_path


@pytest.fixture
def run(tmp_path, capfd):
    """Runs the job on `m.csv` and `s.csv` to `out`; gives the status and what was said on stderr.

    Words in the command line that begin with `@` are files in the test's directory.
    """

    def call(more: str = "", default: str = "--messages @m.csv --sessions @s.csv --output @out"):
        capfd.readouterr()
        argv = [word.replace("@", f"{tmp_path}/") for word in f"{default} {RUNNER} {more}".split()]
        return session_metrics.main(argv), capfd.readouterr().err

    return call


def test_help(capsys):
    assert session_metrics.main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name in ("--messages", "--max_reject_ratio", "--closed_from", "--partition_by"):
        assert name in shown


# Bad usage and missing input: one line, status 2, nothing written.

BAD = {
    "a wrong path": ("--messages @x.csv", "@x.csv: no such file"),
    "a path without files": ("--messages @x*.csv @m.csv", "@x*.csv: no such file"),
    "an unknown suffix": ("--messages @m.xlsx", "@m.xlsx: unknown format; known suffixes: .avro"),
    "a file without columns": ("--sessions @empty.csv", "@empty.csv: "),
    "a missing column": (
        "--messages @s.csv",
        "@s.csv: no column for message_id, sent_at, sender_role of the messages; found: session_id, "
        "status, ended_at, platform_type, created_at, modified_at. Map them with --message_columns "
        "message_id=Their.Name,sent_at=Their.Name,sender_role=Their.Name",
    ),
    "no Parquet": ("--sessions @not.parquet", "@not.parquet: can't be read: "),
    "a truncated Parquet": ("--sessions @cut.parquet", "@cut.parquet: can't be read: "),
    "no Avro": ("--messages @not.avro", "@not.avro: can't be read: "),
    "no gzip": ("--messages @not.csv.gz", "@not.csv.gz: can't be read: "),
    "a near miss": ("--mesages @m.csv", "unknown option --mesages; did you mean --messages?"),
    "a near miss of Beam's": ("--temp_locatio=x", "did you mean --temp_location?"),
    "an unknown option": ("--frobnicate 3", "unknown option --frobnicate. --help lists"),
    "an argument too many": ("--bots answer yes", "unknown argument yes"),
    "a bad date": (
        "--closed_from 2024-13-01",
        "argument --closed_from: '2024-13-01' is neither a date (2024-10-02) nor an instant",
    ),
    "a bad choice": ("--bots sometimes", "argument --bots: invalid choice: 'sometimes'"),
    "no value": ("--output", "argument --output: expected one argument"),
    "a ratio above one": ("--max_reject_ratio 5", "argument --max_reject_ratio: '5' is no share"),
    "a ratio that is no number": ("--max_reject_ratio few", "'few' is no share from 0 to 1"),
    "a file for output": ("--output @m.csv", "@m.csv: is a file; name a directory"),
    "a file above the output": ("--output @m.csv/out", "can't be written: Not a directory"),
    "an output that nobody can write": ("--output /proc/out", "/proc/out: can't be written: "),
    "the working directory": ("--output .", ".: is the working directory"),
    "a file for rejects": ("--rejects @m.csv", "@m.csv: is a file; name a directory"),
    "a directory for summary": ("--summary @", "is a directory; name a file"),
    "a summary nowhere": ("--summary @no/where.json", "@no is no directory"),
    "a directory for report": ("--report @", "is a directory; name a file"),
    "a report nowhere": ("--report @no/where.html", "@no is no directory"),
    "a report in the place of the summary": (
        "--summary @x --report @x",
        "--report @x: is the file of --summary, too",
    ),
    "a time zone of no report": (
        "--report_time_zone Europe/Berlin",
        "--report_time_zone is of --report, which is not given",
    ),
    "no time zone": ("--report @x --report_time_zone CEST", "'CEST' is no IANA time zone"),
    "threads": (
        "--direct_running_mode multi_threading --direct_num_workers 2",
        "--direct_running_mode=multi_threading with more than one worker loses rows; use "
        "--direct_running_mode=multi_processing",
    ),
    "no such runner": ("--runner DirectRuner", "Unexpected pipeline runner: DirectRuner."),
    "a mapping of what there is not": (
        "--message_columns session=x",
        "--message_columns: messages have no column 'session' to map; there are session_id, ",
    ),
    "a mapping that is none": ("--session_columns status", "'status' is not of the form name="),
    "an empty range": (
        "--closed_from 2024-10-02 --closed_until 2024-10-02",
        "--closed_from must be before --closed_until",
    ),
    "a range backwards": (
        "--created_from 2024-10-02 --created_until 2024-10-01T23:59:59Z",
        "--created_from must be before --created_until",
    ),
    "a part of a day": (
        "--partition_by day --closed_from 2024-10-02T12:00:00Z",
        "--partition_by day replaces whole days; --closed_from must be a date or midnight UTC",
    ),
}


@pytest.mark.parametrize(("argv", "said"), BAD.values(), ids=BAD)
def test_bad_usage(argv, said, small, run):
    put(small / "m.xlsx")
    put(small / "empty.csv")
    for name in ("not.parquet", "not.avro", "not.csv.gz"):
        put(small / name, "this is not what it is called")
    pq.write_table(pyarrow.csv.read_csv(small / "s.csv"), small / "whole.parquet")
    (small / "cut.parquet").write_bytes((small / "whole.parquet").read_bytes()[:-20])
    before = output_bytes(small)
    status, err = run(argv)
    assert err.startswith("session-metrics: ") and err.count("\n") == 1, err
    assert said.replace("@", f"{small}/") in err
    assert status == 2
    assert output_bytes(small) == before and not (small / ".out.staging").exists()


@pytest.mark.parametrize("missing", ["messages", "sessions", "output"])
def test_what_must_be_given(missing, small, run):
    names = {"messages": "@m.csv", "sessions": "@s.csv", "output": "@out"}
    argv = " ".join(f"--{name} {path}" for name, path in names.items() if name != missing)
    assert run("", argv) == (
        2,
        f"session-metrics: --{missing} must be given. --help lists the options\n",
    )


# Failures of a run: one line, status 1, the earlier output untouched.


def test_file_truncated_further_on(small, run):
    rows = [f"a,{i},2024-10-02T12:00:00Z,EndUser,Text" for i in range(200_000)]
    whole = gzip.compress("\n".join([MESSAGES, *rows]).encode(), 1)
    (small / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    put(small / "out" / f"{FILE}.avro", "old")
    before = output_bytes(small)
    status, err = run("--messages @m.csv @cut.csv.gz")
    assert (status, err.count("\n")) == (1, 1)
    assert err.startswith(f"session-metrics: {small}/cut.csv.gz: can't be read: it is truncated (")
    assert output_bytes(small) == before
    assert not (small / ".out.staging").exists()


def test_second_file_without_a_column(small, run):
    put(small / "n.csv", "session_id,message_id,sent_at")
    status, err = run("--messages @m.csv @n.csv")
    assert (status, err.count("\n")) == (2, 1)
    assert f"{small}/n.csv: no column for sender_role of the messages; found: " in err


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
        "session-metrics: 3 of 4 messages rejected (sender_role_unknown 1, sent_at_invalid 1, "
        "session_id_missing 1), more than max_reject_ratio 0.01 allows; nothing was published. "
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


def test_interrupted(tmp_path):
    """Ctrl-C while it runs: one line, the earlier output as it was, no debris."""
    lines = (f"s{i % 999},{i},2024-10-02T12:00:00Z,EndUser,Text" for i in range(500_000))
    put(tmp_path / "m.csv", MESSAGES, *lines)
    put(
        tmp_path / "s.csv",
        SESSIONS,
        *(session(f"s{i}", "2024-10-02T13:00:00Z") for i in range(999)),
    )
    put(tmp_path / "out" / f"{FILE}.avro", "old")
    before = output_bytes(tmp_path)
    argv = f"--messages {tmp_path}/m.csv --sessions {tmp_path}/s.csv --output {tmp_path}/out"
    with subprocess.Popen(
        [sys.executable, "-m", "pipelines.session_metrics", *argv.split(), RUNNER],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not (tmp_path / ".out.staging").exists():
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert err == "session-metrics: interrupted; nothing was published\n"
    assert process.returncode == 1
    assert output_bytes(tmp_path) == before
    assert sorted(os.listdir(tmp_path)) == ["m.csv", "out", "s.csv"]


INTERRUPTED = {  # when, at which exchange of directories or between two renames: what is said
    ("", "before", 1): "nothing was published",
    ("", "between", 1): "nothing was published",
    ("", "after", 1): "published already in @out",
    ("--rejects @bad", "before", 1): "nothing was published",
    ("--rejects @bad", "after", 1): "published already in @bad",
    ("--rejects @bad", "before", 2): "published already in @bad",
    ("--rejects @bad", "between", 2): "published already in @bad",
    ("--rejects @bad", "after", 2): "published already in @out; published already in @bad",
}


@pytest.mark.parametrize(("moment", "said"), INTERRUPTED.items(), ids=map(str, INTERRUPTED))
def test_interrupted_while_it_publishes(moment, said, small, run, monkeypatch):
    """Ctrl-C: what is said is what is there."""
    more, when, left = moment
    assert run(more)[0] == 0
    put(small / "s.csv", SESSIONS)
    old = output_bytes(small / "out")
    exchange = directories.exchange

    def interrupted(one: str, other: str) -> bool:
        nonlocal left
        left -= 1
        if left:
            return exchange(one, other)
        if when == "after":
            exchange(one, other)
        elif when == "between":
            os.rename(other, directories.old_of(other))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(directories, "exchange", interrupted)
        assert run(more) == (1, f"session-metrics: interrupted; {said}\n".replace("@", f"{small}/"))
    assert (output_bytes(small / "out") == old) == ("out" not in said)
    assert [name for name in os.listdir(small) if name.startswith(".")] == []


# What becomes of the rows.

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
    assert json.loads((tmp_path / "n.json").read_text()) == COUNTS
    shown = dict(line.rstrip().rsplit(maxsplit=1) for line in err.splitlines()[:-1])
    assert err.splitlines()[-1] == f"published in {tmp_path}/out"
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
    counts, stages = _run(session_metrics.parse(argv), session_metrics.build)
    assert counts == COUNTS  # Beam's counters
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


# Inputs.


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
    assert (status, err.count("\n")) == (
        2,
        1,
    ) and "n.jsonl: no column for session_id, message_id" in err
    status, err = run(f"{mapped} {end}", argv)
    assert status == 2 and "m1.csv: no column for session_id, message_id" in err
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


# Rules.


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
        assert run(f"{argv} --output_format jsonl")[0] == 0
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


# Runners.


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


# One directory, many runs.


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
    assert run()[0] == 0
    assert set(output_bytes(week / "out")) - users == {
        f"metrics-0000{i}-of-00002.avro" for i in range(2)
    }
    assert run("--output_format parquet")[0] == 0
    assert set(output_bytes(week / "out")) - users == {
        f"metrics-0000{i}-of-00002.parquet" for i in range(2)
    }
    assert users < set(output_bytes(week / "out"))


def test_a_second_run_at_the_same_time_is_refused(small, run):
    """Told before any work; the first run's files stay staged."""
    holder = (
        "import sys; from transforms.publishing import publish, staging;"
        "publish.PreparedOutputs(sys.argv[1:]).__enter__();"
        "staging.write_file(staging.staging_of(sys.argv[1]) + '/x', [b'x']);"
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(small / "out")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        status, err = run()
        assert err == f"session-metrics: {small}/out: another run is writing it; wait for its end\n"
        assert status == 2
        assert Path(staging_of(str(small / "out")), "x").exists()
        process.kill()
    assert run()[0] == 0
    assert list(output_bytes(small / "out")) == [f"{FILE}.avro"]
    assert sorted(os.listdir(small)) == ["m.csv", "out", "s.csv"]


@pytest.mark.parametrize(
    ("more", "here"),
    [
        ("", True),
        ("--environment_type LOOPBACK", True),
        ("--environment_type DOCKER", False),
        ("--environment_type EXTERNAL --environment_config localhost:50000", False),
    ],
)
def test_workers_in_this_process_or_elsewhere(more, here, small):
    """Elsewhere no batch may wait in a file of this process."""
    argv = f"--messages {small}/m.csv --sessions {small}/s.csv --output {small}/out {more}"
    for runner in ("DirectRunner", "FnApiRunner", "PrismRunner"):
        words = f"{argv} --runner {runner} --prism_location /nowhere/prism".split()
        assert session_metrics.parse(words).runs_here == here, runner
