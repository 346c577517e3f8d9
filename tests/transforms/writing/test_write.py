"""Whole runs of `WriteMetrics`: the files that are there after it, and what is in them."""

import io
import json

import apache_beam as beam
import fastavro
import pyarrow as pa
import pytest
from apache_beam.testing.test_pipeline import TestPipeline as Pipeline

from tests.support.batches import rejects as rejects_of
from tests.support.cli import output_bytes
from tests.support.metrics import IDS, make_small, metrics, samples, split, write
from transforms import Metrics, WriteMetrics
from transforms.instants import DAY_US
from transforms.rejects import Reject
from transforms.writing.encoders import ENCODERS
from transforms.writing.records import RECORDS_OUTPUT


@pytest.fixture
def small_files(monkeypatch):
    make_small(monkeypatch, sessions_per_file=20, sampled=4)


@pytest.mark.slow
def test_files_are_cut_by_session_id(small_files, tmp_path):
    """Any number of shards gives the same files, sorted throughout in the order of their names."""
    outputs = [
        write(
            split(IDS, shards, seed),
            WriteMetrics(str(tmp_path / f"{shards}-{seed}"), output_format="jsonl"),
        )
        for shards, seed in ((1, 0), (7, 1), (40, 2))
    ]
    assert all(output == outputs[0] for output in outputs)
    # One in four is looked at: 76 of these 306, which stand for 304, 20 to a file.
    names = [f"metrics-{i:05d}-of-00016.jsonl" for i in range(16)]
    assert sorted(outputs[0]) == names
    rows = [json.loads(line) for n in names for line in outputs[0][n].decode().splitlines()]
    ids = [row["MessagingSessionId"] for row in rows]
    assert ids == [i for i in sorted(IDS) for _ in range(6)]
    assert rows[:6] == [json.loads(x) for x in jsonl(metrics([min(IDS)])).splitlines()]


def jsonl(batch: pa.RecordBatch) -> str:
    return b"".join(ENCODERS["jsonl"](RECORDS_OUTPUT, batch)).decode()


def test_files_that_no_session_falls_into_are_there_all_the_same(small_files, tmp_path):
    """Cuts are known before it is, whether a newer row takes a session out again."""
    batch = metrics(sorted(IDS)[:3])
    with Pipeline(runner="FnApiRunner") as pipeline:
        found = Metrics(
            pipeline | "Batches" >> beam.Create([batch]).with_output_types(pa.RecordBatch),
            pipeline | "Rejects" >> beam.Create([]),
            pipeline | "Counts" >> beam.Create([{}]),
            pipeline | "Samples" >> beam.Create(samples([metrics(sorted(IDS))])),
        )
        _ = found | WriteMetrics(str(tmp_path / "out"), output_format="csv")
    files = output_bytes(tmp_path / "out")
    assert list(files) == [f"metrics-{i:05d}-of-00016.csv" for i in range(16)]
    assert [content.count(b"\n") for content in files.values()] == [19, *[1] * 15]


@pytest.mark.slow
def test_a_run_without_sessions_writes_a_header_alone(tmp_path):
    files = write([], WriteMetrics(str(tmp_path / "out")))
    assert list(files) == ["metrics-00000-of-00001.avro"]
    reader = fastavro.reader(io.BytesIO(files["metrics-00000-of-00001.avro"]))
    assert reader.writer_schema["name"].endswith("MessagingSessionMetrics")
    assert list(reader) == []
    files = write([], WriteMetrics(str(tmp_path / "csv"), output_format="csv"))
    assert files["metrics-00000-of-00001.csv"].count(b"\n") == 1


def test_partitions_by_the_day_of_the_end_in_utc(tmp_path):
    ends = [0, DAY_US - 1, DAY_US, -1]
    batch = metrics(["a", "b", "c", "d"], ends)
    files = write(
        [batch], WriteMetrics(str(tmp_path / "out"), output_format="jsonl", partition_by="day")
    )
    rows = [
        ("1969-12-31", metrics(["d"], ends[3:])),
        ("1970-01-01", metrics(["a", "b"], ends[:2])),
        ("1970-01-02", metrics(["c"], ends[2:3])),
    ]
    expected = {
        f"created_date={d}/metrics-00000-of-00001.jsonl": jsonl(b).encode() for d, b in rows
    }
    assert files == expected


def test_partitions_are_cut_each_by_itself(small_files, tmp_path):
    ids = sorted(IDS)
    batch = metrics(ids, [DAY_US * (i == ids[0]) for i in ids])
    files = write(
        [batch], WriteMetrics(str(tmp_path / "out"), output_format="csv", partition_by="day")
    )
    first = [n for n in files if n.startswith("created_date=1970-01-01/")]
    assert len(first) == 15
    assert set(files) - set(first) == {"created_date=1970-01-02/metrics-00000-of-00001.csv"}


REJECTS = (
    Reject("b.csv", 10, "sent_at_invalid", "soon", "s", "m"),
    Reject("b.csv", 9, "sent_at_invalid", "soon", "s", "m"),
    Reject("a-much-longer-name-than-the-others.csv", 2, "malformed_row", "é", None, None),
)
LINES = (
    '{"source": "a-much-longer-name-than-the-others.csv", "row": 2, "reason": "malformed_row", '
    '"detail": "é", "session_id": null, "message_id": null}\n'
    '{"source": "b.csv", "row": 9, "reason": "sent_at_invalid", "detail": "soon", '
    '"session_id": "s", "message_id": "m"}\n'
    '{"source": "b.csv", "row": 10, "reason": "sent_at_invalid", "detail": "soon", '
    '"session_id": "s", "message_id": "m"}\n'
).encode()
FILE = "metrics-00000-of-00001.csv"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rejects", "where"),
    [("out/a/b", "out/a/b"), ("out", "out"), ("beside", "beside"), (None, "out/rejects")],
)
def test_rejects_lie_where_they_are_asked_for(rejects, where, tmp_path):
    """Also through a link. A run without rejects leaves none; the user's own files stay."""
    (tmp_path / where).mkdir(parents=True)
    (tmp_path / where / "notes.txt").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "out")
    (tmp_path / "out").mkdir(exist_ok=True)
    kept, rejected = {f"out/{FILE}", f"{where}/notes.txt"}, f"{where}/rejects-00000-of-00001.jsonl"
    for output, order, expected in (
        ("out", REJECTS, {*kept, rejected}),
        ("link", REJECTS[::-1], {*kept, rejected}),
        ("link", (), kept),
    ):
        to = WriteMetrics(
            str(tmp_path / output),
            output_format="csv",
            rejects=rejects and str(tmp_path / rejects),
            max_reject_ratio=1,
        )
        write([metrics(["a"])], to, [rejects_of("messages", *order)] if order else ())
        found = output_bytes(tmp_path)
        assert set(found) == expected
        assert found.get(rejected, LINES) == LINES
        assert (tmp_path / "link").is_symlink()


@pytest.mark.slow
def test_summary_in_the_output_stays_there(tmp_path):
    to = WriteMetrics(
        str(tmp_path / "out"),
        output_format="csv",
        counts_file=str(tmp_path / "out" / "summary.json"),
    )
    for read in (3, 4):
        files = write([metrics(["a"])], to, counts=({"messages_read": read},))
        assert set(files) == {FILE, "summary.json"}
        assert json.loads(files["summary.json"]) == {"messages_read": read, "records_written": 6}
