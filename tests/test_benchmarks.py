"""The load of the benchmarks is as documented. Each run of the benchmarks compares the records."""

import csv
import datetime
import gzip
import json

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from benchmarks import load
from tests.support import cli
from transforms.ids import lengthen


@pytest.fixture
def small_pieces(monkeypatch):
    """Makes even a small log of several chunks, batches and files."""
    monkeypatch.setattr(load, "CHUNK_SESSIONS", 50)
    monkeypatch.setattr(load, "BATCH_MESSAGES", 300)
    monkeypatch.setattr(load, "FILE_MESSAGES", 900)


def test_ids_are_session_ids_and_all_different():
    ids = load.session_ids(np.arange(5000))
    assert pc.count_distinct(ids).as_py() == 5000
    assert pc.all(pc.starts_with(ids, "0Mw")).as_py()
    assert lengthen(pc.utf8_slice_codeunits(ids, 0, 15)).equals(ids)


def test_log_is_whole_and_in_order_of_time(small_pieces, tmp_path):
    load.write(4001, "parquet", tmp_path)
    files = sorted(tmp_path.glob("messages-*"))
    assert len(files) > 3
    messages = pa.concat_tables(pq.read_table(file) for file in files)
    assert messages.num_rows == 4001
    assert pc.count_distinct(messages["MessageIdentifier"]).as_py() == 4001
    assert (np.diff(messages["ServerReceivedTimestamp"].cast(pa.int64())) >= 0).all()
    sessions = pq.read_table(tmp_path / "sessions.parquet")
    assert sessions.num_rows == 4001 // load.MESSAGES_PER_SESSION
    used = set(messages["ConversationId"].to_pylist())
    # Some sessions have no messages.
    assert used < set(sessions["Id"].to_pylist())
    ended = pc.equal(sessions["Status"], "Ended")
    assert ended.equals(pc.is_valid(sessions["EndTime"]))
    assert not pc.all(ended).as_py()


@pytest.mark.slow
def test_log_is_the_same_in_every_format(small_pieces, tmp_path):
    rows = {}
    for load_format in load.FORMATS:
        load.write(2000, load_format, tmp_path / load_format, seed=7)
        files = sorted((tmp_path / load_format).iterdir())
        assert len(files) == 1 + (16 if load_format.endswith(".gz") else 3)
        rows[load_format] = [row for file in files for row in read(file)]
    assert rows["parquet"] == rows["avro"] == rows["jsonl"] == rows["jsonl.gz"]
    assert len(rows["csv.gz"]) == len(rows["csv"])
    # Of CSV every tenth message is longer.
    longer = [row for row in rows["csv"] if row.get("Message", "").endswith('"\nshe wrote')]
    assert len(longer) == 200
    for row in longer:
        row["Message"] = row["Message"].removesuffix('"\nshe wrote').removeprefix('"')
    assert rows["csv"] == rows["parquet"]


def read(path):
    if path.suffix == ".gz":
        plain_path = path.with_suffix("")
        plain_path.write_bytes(gzip.decompress(path.read_bytes()))
        return read(plain_path)
    if path.suffix == ".parquet":
        rows = pq.read_table(path).to_pylist()
    elif path.suffix == ".avro":
        with path.open("rb") as file:
            rows = list(fastavro.reader(file))
    elif path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            rows = [{k: v or None for k, v in row.items()} for row in csv.DictReader(file)]
    else:
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [{name: plain(value) for name, value in row.items()} for row in rows]


def plain(value):
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value


@pytest.mark.parametrize("load_format", load.WRITERS)
def test_same_arguments_same_messages(load_format, tmp_path):
    for output in ("one", "other"):
        load.write(500, load_format, tmp_path / output)
    one, other = (cli.output_bytes(tmp_path / output) for output in ("one", "other"))
    assert one.keys() == other.keys()
    # An Avro file has a random marker between its blocks.
    if load_format != "avro":
        assert one == other
