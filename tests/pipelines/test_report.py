"""`session-report` as a user runs it, what it reads, and the page of a run."""

import datetime
import gzip
import json
import os
import subprocess
import sys

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import option_values, report
from pipelines.command_line import parse_words
from pipelines.jobs import report as report_job
from pipelines.jobs import session_metrics as job
from pipelines.jobs.beam_options import parse_options
from schemas import aliases
from schemas.arrow import arrow_schema
from tests.support.cli import ROOT, RUNNER, call_main
from tests.support.page import Page
from tests.support.summaries import DAY_US, SECOND_US, UTC, batch, computed, contact_centre, summary
from transforms import ReportPage
from transforms.batches import SUMMARIES
from transforms.reading.columns import RawBatch
from transforms.reading.names import ColumnNames
from transforms.reading.records import normalize_summaries
from transforms.rejects import rejects_in
from transforms.reporting.measures import measure
from transforms.writing.encoders import ENCODERS
from transforms.writing.summary_rows import SUMMARIES_OUTPUT as KIND

pytestmark = pytest.mark.slow

SESSIONS = contact_centre(days=10, sessions=600)
PAGE = ReportPage("").render(measure(SESSIONS, "Europe/Berlin"))
ZONE = ("--report_time_zone", "Europe/Berlin")


def write(directory, suffix, sessions=SESSIONS, files=3):
    plain = suffix.removesuffix(".gz")
    for number in range(files):
        rows = sessions.slice(number * len(sessions) // files, len(sessions) // files)
        content = b"".join(ENCODERS[plain](KIND, computed(rows)))
        if suffix != plain:
            content = gzip.compress(content)
        (directory / f"summaries-{number}.{suffix}").write_bytes(content)
    return f"{directory}/summaries-*.{suffix}"


def call(*args):
    return report.main([*map(str, args), RUNNER])


@pytest.mark.parametrize("suffix", ["avro", "parquet", "jsonl", "csv", "csv.gz"])
def test_every_format_gives_the_same_page(suffix, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert call("--summaries", write(tmp_path, suffix), "--output", out, *ZONE) == 0
    assert out.read_bytes() == PAGE
    assert capsys.readouterr().err == f"600 sessions; the page is {out}\n"


def test_the_order_of_the_files_makes_no_difference(tmp_path):
    write(tmp_path, "avro")
    for order in ([0, 1, 2], [2, 0, 1]):
        out = tmp_path / "page.html"
        files = [tmp_path / f"summaries-{number}.avro" for number in order]
        assert call("--summaries", *files, "--output", out, *ZONE) == 0
        assert out.read_bytes() == PAGE


def test_no_sessions_make_a_page(tmp_path):
    pattern = write(tmp_path, "avro", SESSIONS.slice(0, 0), files=1)
    assert call("--summaries", pattern, "--output", tmp_path / "page.html") == 0
    assert "There are no sessions." in (tmp_path / "page.html").read_text("utf-8")


def test_counts_of_the_run_are_told(tmp_path):
    counts = {"messages_read": 10, "messages_rejected_sent_at_invalid": 1}
    (tmp_path / "counts.json").write_text(json.dumps(counts))
    args = ("--summaries", write(tmp_path, "avro"), "--output", tmp_path / "page.html")
    assert call(*args, "--counts", tmp_path / "counts.json") == 0
    page = Page((tmp_path / "page.html").read_text("utf-8"))
    assert page.table("Rows that could not be used").rows == [
        ["messages", "sent_at_invalid", "1", "10.0 %"]
    ]


def test_as_a_command(tmp_path):
    write(tmp_path, "avro")
    command = [sys.executable, "-m", "pipelines.report", "--summaries", "summaries-*.avro"]
    run = subprocess.run(
        [*command, "--output", "page.html", *ZONE],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (
        0,
        "",
        "600 sessions; the page is page.html\n",
    )
    assert (tmp_path / "page.html").read_bytes() == PAGE


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "--summaries, --output must be given"),
        (["--summaries", "none-*.avro", "--output", "x.html"], "none-*.avro: no such file"),
        (["--summaries", "notes.txt", "--output", "x.html"], "unknown format"),
        (["--summaries", "bad.avro", "--output", "x.html"], "bad.avro: can't be read"),
        (["--summaries", "other.csv", "--output", "x.html"], "no column for session_id, ended_at"),
        (["--summaries", "s*.avro", "--output", "no/x.html"], "/no is no directory"),
        (["--summaries", "s*.avro", "--output", "."], "is a directory; name a file"),
        (["--summaries", "s*.avro", "./s*-0.avro", "--output", "x.html"], "is named twice"),
        (
            ["--summaries", "s*.avro", "--output", "x.html", "--time_zone", "UTC"],
            "unknown option --time_zone",
        ),
        (
            ["--summaries", "s*.avro", "--output", "x.html", "--report_time_zone", "Europe/Berln"],
            "no IANA time zone; did you mean Europe/Berlin?",
        ),
        (["--summaries", "s*.avro", "--output", "x.html", "--counts", "none.json"], "No such file"),
        (
            ["--summaries", "s*.avro", "--output", "x.html", "--counts", "other.csv"],
            "has no counts",
        ),
        (
            ["--summaries", "s*.avro", "--output", "x.html", "--runner", "DataflowRunner"],
            "Dataflow has no files of this machine",
        ),
    ],
)
def test_bad_usage_is_told_in_one_line_before_any_work(args, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "avro")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "bad.avro").write_text("x")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    assert report.main(args if "DataflowRunner" in args else [*args, RUNNER]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("session-report: ")
    assert said in line
    assert not (tmp_path / "x.html").exists()


def test_a_row_that_is_wrong_fails_the_run(tmp_path, capsys):
    lines = b"".join(ENCODERS["csv"](KIND, computed(SESSIONS))).decode().splitlines()
    assert lines[0].startswith("session_id,")
    lines[5] = lines[5].replace("true", "perhaps").replace("false", "perhaps")
    (tmp_path / "s.csv").write_text("\n".join([*lines, "truncated"]))
    out = tmp_path / "page.html"
    out.write_text("earlier")
    assert call("--summaries", tmp_path / "s.csv", "--output", out) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"session-report: {tmp_path}/s.csv: row 6: ends_unanswered_invalid; nothing was published"
    )
    assert out.read_text() == "earlier"


def test_a_file_that_breaks_off_fails_the_run(tmp_path, capsys):
    pattern = write(tmp_path, "avro", files=1)
    path = tmp_path / "summaries-0.avro"
    path.write_bytes(path.read_bytes()[:-40])
    assert call("--summaries", pattern, "--output", tmp_path / "page.html") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{path}: can't be read" in line
    assert not (tmp_path / "page.html").exists()


def test_help_says_what_there_is(capsys):
    assert report.main(["--help"]) == 0
    assert "--report_time_zone ZONE" in capsys.readouterr().out


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata", "Etc/GMT+5", "EST5EDT"])
def test_time_zones(zone):
    assert option_values.time_zone(zone) == zone


# The page of a run


@pytest.fixture
def source(tmp_path):
    """Messages and sessions of three days; one message of 26 is no good."""
    lines, sessions = ["session_id,message_id,sent_at,sender_role"], []
    for number in range(12):
        start = datetime.datetime(2024, 10, 1 + number % 3, 2 * number, tzinfo=UTC)
        end = start + datetime.timedelta(hours=1)
        kind = "" if number == 5 else ("Text", "EmbeddedMessaging")[number % 2]
        sessions.append(f"s{number:02},Ended,{start.isoformat()},{end.isoformat()},{kind},Enhanced")
        for part, role in enumerate(["EndUser", "Agent", "EndUser"][: 1 + number % 3]):
            at = start + datetime.timedelta(seconds=part * (5 + number**2))
            lines.append(f"s{number:02},{part},{at.isoformat()},{role}")
    lines += ["s00,x,never,Agent", "s00,y,2024-10-01T00:00:00Z,System"]
    head = "Id,Status,StartTime,EndTime,ChannelType,PlatformType"
    (tmp_path / "s.csv").write_text("\n".join([head, *sessions]))
    (tmp_path / "m.csv").write_text("\n".join(lines))
    return ["--messages", tmp_path / "m.csv", "--sessions", tmp_path / "s.csv"]


def measured(directory, zone):
    found = [pq.ParquetFile(path).read() for path in sorted(directory.rglob("*.parquet"))]
    table = pa.concat_tables(found).combine_chunks()
    return measure(table.to_batches()[0], zone)


RANGES = {
    (): "all closed sessions",
    ("--closed_from", "2024-10-02"): "closed_from=2024-10-02T00:00:00Z",
    ("--created_until", "2024-10-02T09:30:00.5Z", "--closed_until", "2024-10-03"): (
        "closed_until=2024-10-03T00:00:00Z created_until=2024-10-02T09:30:00.500000Z"
    ),
}


@pytest.mark.parametrize("asked", RANGES)
def test_page_of_a_run_is_that_of_its_summaries(asked, source, tmp_path, capsys):
    words = [*source, "--output", tmp_path / "out", "--output_format", "parquet", *asked]
    words += ["--max_reject_ratio", "0.1", "--bots", "answer", *ZONE]
    beside = ["--session_summary", tmp_path / "sums", "--summary", tmp_path / "counts.json"]
    pages = [tmp_path / "one.html", tmp_path / "other.html"]
    assert call_main(*words, *beside, "--report", pages[0]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == f"the page is {pages[0]}"
    counts = json.loads((tmp_path / "counts.json").read_bytes())
    report = measured(tmp_path / "sums", "Europe/Berlin")
    assert report.sessions == counts["sessions_reported"] > 0
    assert report.policies == {
        "response_from=first_message bots=answer late_messages=include": report.sessions
    }
    page = pages[0].read_text("utf-8")
    settings = (("Range", RANGES[asked]),)
    assert page.encode() == ReportPage("", settings=settings).render(report, counts)
    if not asked:
        rejected = Page(page).table("Rows that could not be used").rows
        assert rejected == [["messages", "sent_at_invalid", "1", "3.8 %"]]
    # Without the summaries, what became of the rows is told without those.
    assert call_main(*words, "--report", pages[1]) == 0
    assert pages[1].read_bytes() == pages[0].read_bytes()


def test_order_and_split_make_no_difference_to_the_page(source, tmp_path):
    head, *rows = (tmp_path / "m.csv").read_text().splitlines()
    for name, some in (("a", rows[::-2]), ("b", rows[-2::-2])):
        (tmp_path / f"{name}-m.csv").write_text("\n".join([head, *some]))
    pages = []
    for messages in (["m.csv"], ["b-m.csv", "a-m.csv"]):
        files = [tmp_path / name for name in messages]
        words = ["--messages", *files, *source[2:], "--output", tmp_path / "out"]
        words += ["--report", tmp_path / "out" / "page.html", "--max_reject_ratio", "0.1"]
        assert call_main(*words) == 0
        pages.append((tmp_path / "out" / "page.html").read_bytes())
    assert pages[0] == pages[1]


def test_a_run_without_sessions_has_a_page(source, tmp_path):
    words = ["--output", tmp_path / "out", "--report", tmp_path / "page.html"]
    words += ["--max_reject_ratio", "0.1", "--closed_from", "2025-01-01"]
    assert call_main(*source, *words) == 0
    assert "There are no sessions." in (tmp_path / "page.html").read_text("utf-8")


def test_a_run_that_fails_leaves_the_earlier_page(source, tmp_path, capsys):
    (tmp_path / "page.html").write_text("earlier")
    words = ["--output", tmp_path / "out", "--report", tmp_path / "page.html"]
    assert call_main(*source, *words) == 1
    assert "1 of 26 messages rejected" in capsys.readouterr().err
    assert (tmp_path / "page.html").read_text() == "earlier"


def test_a_page_that_can_not_be_written_in_the_end_is_told(source, tmp_path, capsys, monkeypatch):
    """Something takes its place while the job runs."""
    words = ["--output", tmp_path / "out", "--report", tmp_path / "page.html"]

    class Taken(ReportPage):
        def render(self, *args):
            (tmp_path / "page.html").mkdir()
            return super().render(*args)

    monkeypatch.setattr(job, "ReportPage", Taken)
    assert call_main(*source, *words, "--max_reject_ratio", "0.1") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"session-metrics: {tmp_path}/page.html: can't be written: Is a directory; "
        f"published already in {tmp_path}/out"
    )


# What is read


def raw(row):
    columns = {name: pa.array([value]) for name, value in row.items()}
    return RawBatch(columns, 1, lambda: pa.array([7]).to_numpy())


ROW = {
    name: batch([summary("s", DAY_US, SECOND_US, SECOND_US)]).column(name)[0].as_py()
    for name in SUMMARIES.names
}


def normalized(**changes):
    return normalize_summaries(raw(ROW | changes), ColumnNames.of("summaries"), "f")


def test_columns_are_those_of_the_schema():
    assert list(aliases("summaries")) == SUMMARIES.names
    schema = arrow_schema("messaging_session_summary")
    assert [schema.field(name) for name in SUMMARIES.names] == list(SUMMARIES)


def test_a_summary():
    found = normalized()
    assert found.batches[0].to_pylist() == [ROW]
    assert (rejects_in(found.rejects), found.counts) == ([], {"summaries_read": 1})


@pytest.mark.parametrize("shown", ["true", "True", "TRUE", True])
def test_booleans(shown):
    assert normalized(ends_unanswered=shown).batches[0].column("ends_unanswered").to_pylist() == [
        True
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"session_id": ""}, "session_id_missing"),
        ({"ended_at": None}, "ended_at_missing"),
        ({"ended_at": "yesterday"}, "ended_at_invalid"),
        ({"agent_messages": "many"}, "agent_messages_invalid"),
        ({"agent_messages": None}, "agent_messages_missing"),
        ({"agent_response_average_us": -1}, "agent_response_average_us_invalid"),
        ({"ends_unanswered": "yes"}, "ends_unanswered_invalid"),
        ({"ends_unanswered": None}, "ends_unanswered_missing"),
    ],
)
def test_values_that_are_wrong(changes, reason):
    found = normalized(**changes)
    assert len(found.batches[0]) == 0
    assert [(reject.row, reject.reason) for reject in rejects_in(found.rejects)] == [(7, reason)]
    assert found.counts == {"summaries_read": 1, f"summaries_rejected_{reason}": 1}


def test_a_run_that_is_left_behind_does_not_write_its_page_over_a_later_one(tmp_path):
    """Its workers go on without the command, and another run takes the page meanwhile."""
    summaries, page = write(tmp_path, "avro"), tmp_path / "page.html"
    args, words = parse_words(
        report.parser(), ["--summaries", summaries, "--output", str(page), RUNNER], []
    )
    left = report_job.make(args, parse_options(words))
    pipeline = beam.Pipeline(options=left.beam_options)
    report_job.build(pipeline, left)
    assert call("--summaries", summaries, "--output", page, *ZONE) == 0
    with pytest.raises(Exception, match="another run has taken it over; nothing was published"):
        pipeline.run().wait_until_finish()
    assert page.read_bytes() == PAGE


def test_a_page_that_no_command_has_prepared(tmp_path, monkeypatch):
    """As in a job that a template describes."""
    monkeypatch.setattr(report_job, "name_run", lambda options: "")
    summaries, page = write(tmp_path, "avro"), tmp_path / "page.html"
    assert call("--summaries", summaries, "--output", page, *ZONE) == 0
    assert page.read_bytes() == PAGE
    assert [path.name for path in tmp_path.glob(".*")] == []
