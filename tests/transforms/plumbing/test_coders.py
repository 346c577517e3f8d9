"""How batches travel: in the stream, or in a file without a name."""

import os
import pickle
import subprocess
import sys

import pyarrow as pa
import pytest

from transforms.errors import JobError
from transforms.plumbing import coders
from transforms.plumbing.coders import (
    _SPILL,
    RecordBatchCoder,
    SpillingCoder,
    batch_coder,
    spilling,
    tempfile,
)

SMALL = pa.record_batch({"a": pa.array(["x", None]).dictionary_encode(), "b": [1, 2]})
LARGE = pa.record_batch({"a": [f"value {i}" for i in range(5000)]})


@pytest.fixture
def spilled(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with spilling():
        yield tmp_path


@pytest.mark.parametrize("batch", [SMALL, LARGE, SMALL[:0], LARGE[10:20]], ids=len)
def test_a_batch_comes_back(batch):
    coder = RecordBatchCoder()
    assert coder.decode(coder.encode(batch)).equals(batch)
    assert len(coder.encode(LARGE)) > LARGE.nbytes


def test_of_a_large_batch_only_the_place_travels(spilled):
    coder = batch_coder()
    batches = (SMALL, LARGE, LARGE[1:], LARGE[:200])
    encoded = [coder.encode(batch) for batch in batches]
    # A piece of some KB is none to keep in memory: there is one of each batch in each shard.
    assert 1 << 10 < LARGE[:200].nbytes < 1 << 12
    assert [len(e) < 50 for e in encoded] == [False, True, True, True]
    for batch, there in zip(batches, encoded, strict=True):
        assert coder.decode(there).equals(batch)
        assert coder.decode(there).equals(batch)  # as often as a runner likes


def test_the_file_has_no_name(spilled):
    batch_coder().encode(LARGE)
    assert os.listdir(spilled) == []


def test_a_coder_that_has_travelled_spills_still(spilled):
    here = pickle.loads(pickle.dumps(batch_coder()))
    assert len(here.encode(LARGE)) < 50


@pytest.mark.parametrize("reader", [RecordBatchCoder, SpillingCoder])
def test_either_coder_reads_what_the_other_has_written(spilled, reader):
    for writer in (RecordBatchCoder, SpillingCoder):
        assert reader().decode(writer().encode(LARGE)).equals(LARGE)


def test_outside_of_the_context_nothing_is_spilled(tmp_path):
    with spilling():
        batch_coder().encode(LARGE)
        assert _SPILL._file is not None
    assert _SPILL._file is None
    assert len(batch_coder().encode(LARGE)) > LARGE.nbytes


@pytest.mark.slow
def test_another_process_finds_the_batch(spilled):
    coder = batch_coder()
    code = """
import pickle, sys
coder, encoded, batch = pickle.load(sys.stdin.buffer)
assert coder.decode(encoded).equals(batch)
"""
    sent = pickle.dumps((coder, coder.encode(LARGE), LARGE))
    subprocess.run([sys.executable, "-c", code], input=sent, check=True)


@pytest.mark.slow
def test_a_full_disc_is_one_line():
    code = """
import resource, signal, pyarrow
from transforms.errors import JobError
from transforms.plumbing import coders
from transforms.plumbing import coders
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
with coders.spilling():
    try:
        coders.batch_coder().encode(pyarrow.record_batch({"a": range(50_000)}))
    except JobError as error:
        print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "can't hold the batches that are grouped: File too large; set TMPDIR" in run.stdout


def test_a_file_that_is_cut_off_is_one_line(spilled):
    coder = batch_coder()
    encoded = coder.encode(LARGE)
    os.truncate(_SPILL._file, LARGE.nbytes // 2)
    with pytest.raises(
        JobError, match=rf"^{spilled}: the batches .* can't be read back whole; set"
    ):
        coder.decode(encoded)


def test_an_encoded_batch_is_no_key():
    """The same batch, twice in the file, is at two places."""
    assert not SpillingCoder().is_deterministic()


def test_what_travels_is_cut_to_pieces(monkeypatch):
    monkeypatch.setattr(coders, "WIRE_BYTES", 10_000)
    coder = RecordBatchCoder()
    batch = pa.record_batch(
        {
            "session": pa.array([f"session {i // 10}" for i in range(5000)]).dictionary_encode(),
            "number": pa.array(range(5000)),
        }
    )
    encoded = list(coder.encode_pieces(batch))
    pieces = [coder.decode(one) for one in encoded]
    assert len(pieces) == -(-batch.nbytes // 10_000) > 3
    assert max(map(len, encoded)) < 11_000
    assert [row for piece in pieces for row in piece.to_pylist()] == batch.to_pylist()
    assert all(piece.schema.equals(batch.schema) for piece in pieces)
    # Each has the ids of its own rows.
    ids = [len(piece.column("session").dictionary) for piece in pieces]
    assert max(ids) <= len(pieces[0]) // 10 + 2
    long_text = pa.record_batch({"a": ["x" * 50_000]})
    for small in (SMALL, SMALL[:0], long_text):
        assert list(coder.encode_pieces(small)) == [coder.encode(small)]


def test_on_one_machine_a_batch_is_one_piece(spilled, monkeypatch):
    monkeypatch.setattr(coders, "WIRE_BYTES", 100)
    assert len(list(batch_coder().encode_pieces(LARGE))) == 1
