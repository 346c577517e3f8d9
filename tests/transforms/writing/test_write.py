"""Where files are cut, what is an earlier run's, and how many rejects are too many."""

import datetime
import io
import json
import random

import apache_beam as beam
import fastavro
import pyarrow as pa
import pytest
from apache_beam.testing.test_pipeline import TestPipeline as Pipeline
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.batches import sessions
from tests.support.cli import output_bytes
from tests.support.metrics import METRICS, make_small, metrics, samples, write
from transforms import (
    Metrics,
    WriteMetrics,
)
from transforms.batches import Reject
from transforms.errors import OutputError, TooManyRejectsError
from transforms.folding.sessions import sample_sessions
from transforms.policy import Policy
from transforms.writing.encoders import encode
from transforms.writing.file_ranges import Merged, cut, split_by_file
from transforms.writing.records import RECORDS_OUTPUT
from transforms.writing.rejects import check_rejects
from transforms.writing.write import publishing

DAY_US = 86_400_000_000


def split(ids: list[str], batches: int, seed: int) -> list[pa.RecordBatch]:
    """Sessions in so many batches, each sorted as a shard's is; the batches in any order."""
    rng = random.Random(seed)
    shards: list[list[str]] = [[] for _ in range(batches)]
    for session_id in ids:
        rng.choice(shards).append(session_id)
    return [metrics(sorted(shard)) for shard in shards if shard]


@pytest.fixture
def small_files(monkeypatch):
    make_small(monkeypatch, sessions_per_file=20, sampled=4)


IDS = [f"0Mwbb{i:010d}CAW" for i in range(300)] + ["Zoë", "会話", "😀", "\uffff", "~", "é"]


def test_files_are_cut_by_session_id(small_files, tmp_path):
    """Any number of shards gives the same files, sorted throughout in the order of their names."""
    outputs = [
        write(split(IDS, shards, seed), WriteMetrics(str(tmp_path / f"{shards}-{seed}"), "jsonl"))
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
    return b"".join(encode(RECORDS_OUTPUT, batch, "jsonl")).decode()


@settings(max_examples=50, deadline=None)
@given(st.sets(st.text(min_size=1), max_size=80), st.integers(1, 9), st.integers(0, 99))
def test_pieces_of_files_hold_each_session_once_in_order(ids, shards, seed):
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch, sessions_per_file=5, sampled=3)
        batches = split(sorted(ids), shards, seed)
        starts = cut([session_id for _, session_id in samples(batches)])
        pieces: dict[tuple, list[str]] = {}
        for batch in batches:
            for key, piece in split_by_file(batch, False, {"": starts}):
                pieces.setdefault(key, []).extend(piece.column(0).to_pylist())
    files = len(starts) + 1
    assert starts == sorted(set(starts))
    assert sorted(pieces) == [("", i, files) for i in range(files)] or not ids
    assert [i for key in sorted(pieces) for i in sorted(pieces[key])] == sorted(ids)
    assert [min(pieces["", i, files]) for i in range(1, files)] == starts


def test_samples_are_of_the_sessions_alone(small_files):
    """Not of how often and in which order they are there, nor of those that get no records."""
    rows = [{"session_id": i, "ended_at_us": n * DAY_US // 9} for n, i in enumerate(IDS)]
    found = set(sample_sessions(sessions(*rows), Policy()))
    assert len(found) == 76
    for day, session_id in found:
        ended = datetime.date(1970, 1, 1) + datetime.timedelta(IDS.index(session_id) // 9)
        assert day == ended.isoformat()
    assert set(sample_sessions(sessions(*rows[::-1], *rows[:50]), Policy())) == found
    others = (
        {"status": "Active"},
        {"ended_at_us": None},
        {"platform_type": "Standard"},
        {"ended_at_us": 34 * DAY_US},
    )
    left_out = [row | {**other} for other in others for row in rows]
    policy = Policy(closed_until_us=34 * DAY_US)
    assert set(sample_sessions(sessions(*left_out), policy)) == set()
    starts = cut([i for _, i in found])
    assert cut([i for _, i in sorted(found, key=lambda one: one[1])] * 2) == starts


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
        _ = found | WriteMetrics(str(tmp_path / "out"), "csv")
    files = output_bytes(tmp_path / "out")
    assert list(files) == [f"metrics-{i:05d}-of-00016.csv" for i in range(16)]
    assert [content.count(b"\n") for content in files.values()] == [19, *[1] * 15]


@given(st.lists(st.sets(st.text("abé😀", max_size=3)), min_size=1), st.integers(1, 9))
def test_batches_are_merged_piece_by_piece(shards, size):
    ids = sorted({i for shard in shards for i in shard})
    owner = {i: number for number, shard in enumerate(shards) for i in shard}
    batches = [metrics([i for i in ids if owner[i] == n]) for n in range(len(shards))]
    merged = Merged(batches)
    pieces = [merged.slice(start, size) for start in range(0, len(merged), size)]
    assert len(merged) == len(ids)
    assert [len(piece) for piece in pieces[:-1]] == [size] * (len(pieces) - 1)
    whole = pa.Table.from_batches(pieces, METRICS).combine_chunks()
    assert whole.equals(pa.Table.from_batches([metrics(ids)]))
    assert len(merged.slice(len(ids), size)) == 0


def test_a_run_without_sessions_writes_a_header_alone(tmp_path):
    files = write([], WriteMetrics(str(tmp_path / "out")))
    assert list(files) == ["metrics-00000-of-00001.avro"]
    reader = fastavro.reader(io.BytesIO(files["metrics-00000-of-00001.avro"]))
    assert reader.writer_schema["name"].endswith("MessagingSessionMetrics")
    assert list(reader) == []
    files = write([], WriteMetrics(str(tmp_path / "csv"), "csv"))
    assert files["metrics-00000-of-00001.csv"].count(b"\n") == 1


def test_partitions_by_the_day_of_the_end_in_utc(tmp_path):
    ends = [0, DAY_US - 1, DAY_US, -1]
    batch = metrics(["a", "b", "c", "d"], ends)
    files = write([batch], WriteMetrics(str(tmp_path / "out"), "jsonl", "day"))
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
    files = write([batch], WriteMetrics(str(tmp_path / "out"), "csv", "day"))
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
            "csv",
            rejects=rejects and str(tmp_path / rejects),
            max_reject_ratio=1,
        )
        write([metrics(["a"])], to, order)
        found = output_bytes(tmp_path)
        assert set(found) == expected
        assert found.get(rejected, LINES) == LINES
        assert (tmp_path / "link").is_symlink()


def test_summary_in_the_output_stays_there(tmp_path):
    to = WriteMetrics(str(tmp_path / "out"), "csv", summary=str(tmp_path / "out" / "summary.json"))
    for read in (3, 4):
        files = write([metrics(["a"])], to, counts=({"messages_read": read},))
        assert set(files) == {FILE, "summary.json"}
        assert json.loads(files["summary.json"]) == {"messages_read": read, "records_written": 6}


@pytest.mark.parametrize(
    ("rejected", "read", "ratio", "passes"),
    [
        (1, 100, 0.01, True),
        (2, 100, 0.01, False),
        (29, 100, 0.29, True),  # 0.29 * 100 is less than 29 in binary
        (7, 100, 0.07, True),
        (1, 10**9, 0, False),
        (0, 0, 0, True),
        (5, 5, 1, True),
    ],
)
def test_reject_ratio(rejected, read, ratio, passes):
    counts = {"sessions_read": read, "sessions_rejected_x": rejected, "messages_read": 10**12}
    if passes:
        check_rejects(counts, ratio)
    else:
        with pytest.raises(TooManyRejectsError, match=rf"^{rejected} of {read:,} sessions .*\(x "):
            check_rejects(counts, ratio)


def test_reject_ratio_is_of_each_input():
    counts = {"messages_read": 1000, "sessions_read": 10, "sessions_rejected_platform_unknown": 1}
    with pytest.raises(TooManyRejectsError, match="--assume_platform"):
        check_rejects(counts, 0.05)


def test_output_that_can_not_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file/out: can't be written: Not a directory"):
        publishing.prepare(str(tmp_path / "file" / "out"))
    with pytest.raises(OutputError, match="/x: can't be written"):
        publishing.write_file(str(tmp_path / "file" / "x"), [])
