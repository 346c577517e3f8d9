"""Files on their way into an output: whole or not at all, also where two attempts are made at one."""

import gc
import os
from pathlib import Path

import pytest

from tests.support.cli import output_bytes
from tests.support.cloud import act_before
from tests.support.emulators import FORBIDDEN
from tests.support.publishing import NEW, RUN, publish_files, stage, take
from transforms.errors import OutputError
from transforms.publishing.staging import check_file, hidden_of, staging_of, write_file


@pytest.fixture
def output(tmp_path):
    return tmp_path / "parent" / "out"


def test_files_are_staged_beside_the_output(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "there" / "out")
    for output in (tmp_path / "there" / "out", tmp_path / "link", f"{tmp_path}/there/out/"):
        assert hidden_of(str(output)) == str(tmp_path / "there" / ".out.staging")
        assert staging_of(str(output), "one") == str(tmp_path / "there" / ".out.staging" / "one")
    for output in ("gs://bucket/deep/out", "gs://bucket/deep/out/"):
        assert hidden_of(output) == "gs://bucket/deep/.out.staging"
        assert staging_of(output, "one") == "gs://bucket/deep/.out.staging/one"


def test_two_attempts_at_one_file(output, monkeypatch):
    """The second begins and ends while the first has written its file, but not yet under its name."""
    staged = os.path.join(staging_of(str(output), RUN), min(NEW))
    replace = os.replace

    def overtaken(part: str, path: str) -> None:
        monkeypatch.setattr(os, "replace", replace)
        write_file(path, [NEW[min(NEW)]])
        os.replace(part, path)

    take(output)
    monkeypatch.setattr(os, "replace", overtaken)
    stage(output, NEW)
    assert Path(staged).read_bytes() == NEW[min(NEW)]
    publish_files(output, NEW)
    assert output_bytes(output) == NEW


def test_an_attempt_that_fails_leaves_nothing(tmp_path):
    (tmp_path / "summary").mkdir()
    with pytest.raises(OutputError, match=r"summary: can't be written: Is a directory$"):
        write_file(str(tmp_path / "summary"), [b"{}"])
    assert os.listdir(tmp_path) == ["summary"]


def test_an_error_in_making_the_content_is_no_fault_of_the_file(tmp_path):
    def pieces():
        yield b"one"
        raise ValueError("of the content")

    with pytest.raises(ValueError, match=r"^of the content$"):
        write_file(str(tmp_path / "file"), pieces())
    assert os.listdir(tmp_path) == []


def test_a_file_is_written_piece_by_piece(tmp_path):
    assert write_file(str(tmp_path / "new" / "file"), [b"one", b"", b" two"]) == 7
    assert (tmp_path / "new" / "file").read_bytes() == b"one two"


def test_output_that_can_not_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"/x: can't be written: File exists$"):
        write_file(str(tmp_path / "file" / "x"), [])


@pytest.mark.service
def test_a_file_of_a_store_that_can_be_written_stays_as_it_is(storage):
    storage.put("counts.json", b"earlier")
    check_file(storage.path("counts.json"))
    assert storage.contents() == {"counts.json": b"earlier"}
    with pytest.raises(OutputError, match=r"counts.json: can't be written: permission denied: "):
        check_file(f"gs://{FORBIDDEN}/counts.json")


def test_a_local_file_is_not_checked(tmp_path):
    check_file(str(tmp_path / "none" / "counts.json"))
    assert os.listdir(tmp_path) == []


def test_a_file_of_a_store_whose_writing_is_interrupted_is_not_written_later(storage, monkeypatch):
    """Not by the destructor of its writer either, which would close it once more."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        act_before(("plan.json", 1), interrupt, patch)
        with pytest.raises(KeyboardInterrupt):
            write_file(storage.path("plan.json"), [b"{}"])
    gc.collect()
    assert storage.contents() == {}
