"""Pipelines whose outputs no command has prepared: two of them into one output, and what is left."""

import os
import re
from pathlib import Path

import pytest
from apache_beam.testing.test_pipeline import TestPipeline as Pipeline

from tests.support.cli import output_bytes, read_records
from tests.support.emulators import FORBIDDEN
from tests.support.metrics import metrics, write
from transforms import WriteMetrics
from transforms.errors import OutputError
from transforms.publishing.publish import PreparedOutputs, store_of
from transforms.publishing.take import Outputs, run_of
from transforms.writing import write as writing

ONE, OTHER = [metrics(["a", "b"])], [metrics(["c"])]


def test_nothing_is_left_beside_the_output(tmp_path):
    files = write(ONE, WriteMetrics(str(tmp_path / "out"), rejects=str(tmp_path / "rejects")))
    assert list(files) == ["metrics-00000-of-00001.avro"]
    assert sorted(os.listdir(tmp_path)) == ["out", "rejects"]
    assert write(ONE, WriteMetrics(str(tmp_path / "out"))) == files


@pytest.mark.parametrize("moment", ["check_taken", "publish"])
def test_of_two_runs_at_once_the_later_one_publishes(moment, tmp_path, monkeypatch):
    """The one has staged its files when the other begins; the other is done when the one goes on."""
    to = WriteMetrics(str(tmp_path / "out"))
    expected = write(OTHER, WriteMetrics(str(tmp_path / "alone")))
    go_on = getattr(writing, moment)

    def overtaken(*args):
        monkeypatch.undo()
        found = write(OTHER, to)
        # First, for where the bytes differ, these say what does.
        assert read_records(tmp_path / "out") == read_records(tmp_path / "alone")
        assert found == expected
        go_on(*args)

    monkeypatch.setattr(writing, moment, overtaken)
    with pytest.raises(OutputError, match="another run has taken it over; nothing was published"):
        write(ONE, to)
    assert output_bytes(tmp_path / "out") == expected
    assert sorted(os.listdir(tmp_path)) == ["alone", "out"]


def test_a_run_of_a_command_is_not_disturbed(tmp_path):
    """It keeps others off the output; and what it has prepared is not taken from it."""
    output = str(tmp_path / "out")
    with PreparedOutputs([output], "one"):
        with pytest.raises(OutputError, match="another run is writing it; wait for its end"):
            write(OTHER, WriteMetrics(output))
        files = write(ONE, WriteMetrics(output, run="one"))
        assert sorted(os.listdir(tmp_path / ".out.staging")) == ["_run", "one"]
    assert output_bytes(Path(output)) == files
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("file", "file: is a file; name a directory"),
        ("file/out", "file/out: can't be written: Not a directory"),
        (".", "is the working directory, which can't be replaced; name a directory in it"),
        ("gs://bucket", "gs://bucket: is a whole bucket; name a directory in it"),
        ("s4://x/out", "s4://x/out: can't be written: no such filesystem here"),
    ],
)
def test_an_output_that_can_not_be_written(output, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=f"{re.escape(said)}$"):
        store_of(output, "one").take()
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.service
def test_a_store_that_may_not_be_written(storage):
    with pytest.raises(OutputError, match="/out: can't be written: permission denied: "):
        store_of(f"gs://{FORBIDDEN}/out", "one").take()


def test_a_run_that_fails_leaves_its_files_to_the_next(tmp_path, monkeypatch):
    to = WriteMetrics(str(tmp_path / "out"))
    names = set()
    with monkeypatch.context() as patch:
        patch.setattr(writing, "publish", refuse)
        for _ in range(2):
            with pytest.raises(OutputError, match="no space left"):
                write(ONE, to)
            name = (tmp_path / ".out.staging" / "_run").read_text()
            names.add(name)
            staged = output_bytes(tmp_path / ".out.staging")
            assert staged.keys() == {"_run", f"{name}/metrics-00000-of-00001.avro"}
    assert len(names) == 2
    write(ONE, to)
    assert os.listdir(tmp_path) == ["out"]


def refuse(*_):
    raise OutputError("no space left")


def test_a_command_names_its_run_when_the_pipeline_is_made():
    pipeline = Pipeline(runner="FnApiRunner")
    assert run_of("one", pipeline, Outputs()) == "one"
    assert not pipeline.transforms_stack[-1].parts
    run_of("", pipeline, Outputs())
    assert [part.full_label for part in pipeline.transforms_stack[-1].parts] == ["TakeOutputs"]
