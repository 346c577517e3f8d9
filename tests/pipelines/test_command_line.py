"""Bad usage and missing input: one line, exit status 2, nothing written."""

import os
import subprocess
import sys

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from pipelines import session_metrics
from tests.support.cli import ROOT, RUNNER, output_bytes
from tests.support.jobs import MESSAGES, SESSIONS, put, session, values
from transforms.reading import inputs


def test_help(capsys):
    assert session_metrics.main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name in ("--messages", "--max_reject_ratio", "--closed_from", "--partition_by"):
        assert name in shown


WITHOUT_BEAM = {  # what is asked of the command, after its name
    "help": "--help",
    "a near miss": "--mesages m.csv",
    "a near miss of Beam's": "--temp_locatio=x",
    "a missing option": "--messages m.csv",
    "a missing file": "--messages no.csv --sessions no.csv --output out",
    "two options that do not go together": (
        "--messages no.csv --sessions no.csv --output out --partition_by day --closed_from "
        "2024-10-02T12:00:00Z"
    ),
}


@pytest.mark.parametrize("words", WITHOUT_BEAM.values(), ids=WITHOUT_BEAM)
@pytest.mark.parametrize("job", ["session_metrics", "calibration", "report"])
def test_what_is_wrong_is_told_before_beam_is_imported(job, words, tmp_path):
    """As quickly as Python starts; `--help` needs no Arrow either."""
    code = f"""import sys
from pipelines import {job}
status = {job}.main({words.split()})
print(status, *sorted({{"apache_beam", "pyarrow"}} & sys.modules.keys()))"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    status, *loaded = done.stdout.splitlines()[-1].split()
    assert status == ("0" if words == "--help" else "2")
    assert loaded in ([], ["pyarrow"] if "no.csv" in words else [])
    assert len(done.stderr.splitlines()) == (words != "--help"), done.stderr
    if words.startswith(("--mesages", "--temp_locatio=")):
        assert f"unknown option {words.split()[0].partition('=')[0]}" in done.stderr


def test_interrupted_while_inputs_are_looked_at(small, run, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(inputs, "check_inputs", interrupted)
    assert run() == (1, "session-metrics: interrupted; nothing was published\n")


BAD = {
    "a wrong path": ("--messages @x.csv", "@x.csv: no such file"),
    "a path without files": ("--messages @x*.csv @m.csv", "@x*.csv: no such file"),
    "an unknown suffix": ("--messages @m.xlsx", "@m.xlsx: unknown format; known suffixes: .avro"),
    "a suffix that names nothing": (
        "--sessions @m.xlsx",
        "@m.xlsx: unknown format; known suffixes: .avro",
    ),
    "a format for no suffix": ("--sessions @m.xlsx", ", or name the format with --session_format"),
    "another format": ("--messages @s.txt --message_format parquet", "@s.txt: can't be read: "),
    "a format that is none": (
        "--channel_format xml",
        "argument --channel_format: invalid choice: 'xml'",
    ),
    "a file without columns": ("--sessions @blank.csv", "@blank.csv: no column for session_id, "),
    "a missing column": (
        "--messages @s.csv",
        "@s.csv: no column for message_id, sent_at, sender_role of the messages; found: session_id, "
        "status, ended_at, platform_type, created_at, modified_at. Map them with --message_columns "
        "message_id=Their.Name,sent_at=Their.Name,sender_role=Their.Name (optional, and not found "
        "either: conversation_id, sent_at_ms, participant_id, entry_type, sequence, deleted)",
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
    "a value twice": ("--bots answer --bots answer", "argument --bots: given twice; it takes one"),
    "an output twice": ("--output @a --output @b", "argument --output: given twice; it takes one"),
    "two values of Beam's": (
        "--job_name a --job_name b",
        "argument --job_name: given twice, with different values",
    ),
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
    "fewer workers than none": (
        "--direct_num_workers -3",
        "--direct_num_workers -3: name 1 or more, or 0 for one per core",
    ),
    "workers that are no number": (
        "--direct_num_workers x",
        "argument --direct_num_workers: invalid int value: 'x'",
    ),
    "a mode that is none": (
        "--direct_running_mode foo",
        "argument --direct_running_mode: invalid choice: 'foo'",
    ),
    "workers elsewhere, nowhere": (
        "--environment_type EXTERNAL",
        "Option external_service_address is required for environment type EXTERNAL.",
    ),
    "a runner without a server": ("--runner PortableRunner", "You must specify a --job_endpoint "),
    "a runner that is not there": (
        "--runner PrismRunner --prism_location /nowhere/prism",
        '--runner PrismRunner: Unable to parse binary URL "/nowhere/prism".',
    ),
    "a runner that is none": (
        "--runner os.path",
        "--runner os.path: 'module' object is not callable",
    ),
    "a runner of no module": ("--runner a.b.C", "--runner a.b.C: No module named 'a'"),
    "no such runner": ("--runner DirectRuner", "Unexpected pipeline runner: DirectRuner."),
    "a mapping of what there is not": (
        "--message_columns session=x",
        "--message_columns: messages have no column 'session' to map; there are session_id, ",
    ),
    "a column that is mapped twice": (
        "--message_columns sequence=a --message_columns sent_at=b,sequence=a",
        "--message_columns: sequence is mapped twice",
    ),
    "a mapping of nothing": ("--message_columns =a", "'=a' is not of the form name=Their.Name"),
    "a mapping to what is not there": (
        "--message_columns entry_type=EntryTyp",
        "@m.csv: no column EntryTyp, to which --message_columns maps entry_type (did you mean "
        "entry_type?); found: session_id, message_id, sent_at, sender_role, entry_type",
    ),
    "a mapping that is none": ("--session_columns status", "'status' is not of the form name="),
    "words of no column": (
        "--message_values role:rep=Agent",
        "--message_values: messages have no words in 'role'; there are sender_role, entry_type",
    ),
    "words for no word": (
        "--session_values status:open=Active,closed=Done",
        "--session_values: status 'closed' can't stand for 'Done', but for New, Active, ",
    ),
    "a word without its column": (
        "--message_values rep=Agent",
        "--message_values: 'rep=Agent' is not of the form name:theirs=ours",
    ),
    "a word that is none": (
        "--message_values sender_role:-=Agent",
        "'sender_role:-=Agent' is not of",
    ),
    "a word for nothing": (
        "--message_values sender_role:rep",
        "'sender_role:rep' is not of the form",
    ),
    "a word twice": (
        "--message_values sender_role:a-b=Agent --message_values sender_role:c=Bot,A_B=Bot",
        "--message_values: sender_role 'A_B' is there twice",
    ),
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
    put(small / "s.txt", "no Parquet")
    put(small / "blank.csv", "\n,\n")
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


def test_values_of_an_option_that_is_given_again_are_added(small, run):
    """Files, and columns that are mapped."""
    put(small / "n.csv", "k,when,who,no", "a,2024-10-02T12:00:30Z,Agent,2")
    put(small / "o.csv", MESSAGES, "b,3,2024-10-02T12:00:00Z,EndUser,Text")
    put(small / "t.csv", SESSIONS, session("b", "2024-10-02T13:00:00Z"))
    put(small / "w.csv", "k,when,who,no", "a,2024-10-02T12:00:00Z,EndUser,1")
    more = "--output_format jsonl --sessions @s.csv --sessions @t.csv"
    assert run(f"{more} --messages @m.csv --messages @o.csv")[0] == 0
    assert values(output_bytes(small / "out")) == {"a": [0, 0, 0, 1, 0, 0], "b": [0, 0, 0, 1, 0, 0]}
    columns = "session_id=k,sent_at=when --message_columns sender_role=who,message_id=no"
    assert run(f"{more} --messages @n.csv --messages @w.csv --message_columns {columns}")[0] == 0
    assert values(output_bytes(small / "out")) == {"a": [1, 30, 0, 1, 30, 0], "b": [0] * 6}


def test_words_of_other_systems(small, run):
    put(
        small / "m.csv",
        MESSAGES,
        "a,1,2024-10-02T12:00:00Z,Customer,chat:in",
        "a,2,2024-10-02T12:00:30Z,sales-rep,chat:out",
        "a,3,2024-10-02T12:00:40Z,agent,chat:out",
        "a,4,2024-10-02T12:00:50Z,agent,note",
    )
    put(small / "s.csv", SESSIONS, "a,closed,2024-10-02T13:00:00Z,v2,,", "b,open,,v2,,")
    roles = "--message_values sender_role:customer=EndUser,SALES_REP=agent,entry_type:chat:in=text"
    words = f"{roles} --message_values entry_type:chat:out=Text"
    words += " --session_values status:closed=Ended,open=Active,platform_type:V2=Enhanced"
    status, err = run(f"{words} --output_format jsonl")
    assert status == 0, err
    assert values(output_bytes(small / "out")) == {"a": [2, 30, 0, 1, 30, 0]}


def test_files_without_a_suffix(small, run):
    assert run("--output_format jsonl")[0] == 0
    before = output_bytes(small / "out")
    (small / "s.csv").rename(small / "part-0")
    put(small / "people", "Id,ParticipantRole", "p,Agent")
    put(small / "c", '{"Id": "c", "PlatformType": "Enhanced"}')
    (small / "m.csv").rename(small / "m.v2")
    status, err = run(
        "--messages @m.v2 --message_format csv --sessions @part-0 --session_format csv "
        "--participants @people --participant_format csv --channels @c --channel_format jsonl "
        "--output_format jsonl"
    )
    assert status == 0, err
    assert output_bytes(small / "out") == before


def test_verbose(small, run):
    """Which columns were found, for each input, before the run."""
    put(small / "c.csv", "ID,Platform Type")
    status, err = run("--verbose --channels @c.csv --message_columns sequence=message_id")
    assert status == 0
    assert err.splitlines()[:3] == [
        f"{small}/m.csv: messages with session_id=session_id, message_id=message_id, sent_at=sent_at, "
        "sender_role=sender_role, entry_type=entry_type, sequence=message_id; not found: "
        "conversation_id, sent_at_ms, participant_id, deleted",
        f"{small}/s.csv: sessions with session_id=session_id, status=status, "
        "platform_type=platform_type, ended_at=ended_at, created_at=created_at, "
        "modified_at=modified_at; not found: conversation_id, conversation_identifier, channel_type, "
        "channel_id, started_at, accepted_at, routed_at, deleted, agent_message_count, "
        "end_user_message_count",
        f"{small}/c.csv: channels with channel_id=ID, platform_type=Platform Type; not found: none",
    ]
    assert err.splitlines()[3].startswith("messages read ")


def test_a_launcher_may_repeat_an_option_of_beam(small, run):
    status, err = run(
        f"--job_name a --job_name a --experiments x --experiments y {RUNNER} {RUNNER}"
    )
    assert status == 0, err
