"""Outputs that a run keeps to itself: what is prepared, published and discarded, in which process."""

import os
from pathlib import Path

import pytest

from tests.support.cli import output_bytes
from tests.support.publishing import NEW, OLD, RUN, USERS, publish_files, put, run, stage
from transforms.errors import OutputError
from transforms.publishing import directories
from transforms.publishing import publish as publish_module
from transforms.publishing.directories import LocalDirectory
from transforms.publishing.object_stores import ObjectStore
from transforms.publishing.publish import PreparedOutputs, store_of


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """An earlier output, with files of others in it."""
    put(tmp_path / "out", OLD | USERS)
    return tmp_path / "out"


def test_the_store_is_chosen_by_the_path(tmp_path):
    for path in ("out", str(tmp_path), "/out/"):
        assert isinstance(store_of(path, RUN), LocalDirectory)
    for path in ("gs://bucket/out", "s3://bucket/out"):
        assert isinstance(store_of(path, RUN), ObjectStore)


def test_fates_of_outputs(output, tmp_path):
    one, other = str(output), str(tmp_path / "other")
    prepared = PreparedOutputs([one, other], RUN)
    assert prepared.fates == {}
    with prepared as entered:
        assert entered is prepared
        stage(one, NEW)
        stage(other, NEW)
        publish_files(other, NEW)
        assert prepared.fates == {}
    assert prepared.fates == {one: "as it was", other: "published"}
    assert output_bytes(output) == OLD | USERS
    assert output_bytes(tmp_path / "other") == NEW
    assert sorted(os.listdir(tmp_path)) == ["other", "out"]


def test_fates_after_an_error(output):
    prepared = PreparedOutputs([str(output)], RUN)
    with pytest.raises(KeyboardInterrupt), prepared:
        stage(output, NEW)
        publish_files(output, NEW)
        raise KeyboardInterrupt
    assert prepared.fates == {str(output): "published"}


def test_an_output_that_is_named_twice(output):
    with PreparedOutputs([str(output), str(output)], RUN) as prepared:
        pass
    assert prepared.fates == {str(output): "as it was"}


def test_outputs_that_are_left_to_a_job(output, tmp_path):
    """Its files stay staged, and no other run may begin until this process ends."""
    child = os.fork()
    if not child:
        try:
            with PreparedOutputs([str(output)], RUN) as prepared:
                stage(output, NEW)
                prepared.leave()
            with pytest.raises(OutputError, match="another run is writing it"), prepared:
                pass
            os._exit(0 if prepared.fates == {} else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert output_bytes(tmp_path / ".out.staging" / RUN) == NEW
    publish_files(output, NEW)
    assert output_bytes(output) == NEW | USERS


def test_those_that_are_prepared_are_discarded_if_one_can_not_be(output, tmp_path):
    (tmp_path / "file").touch()
    prepared = PreparedOutputs([str(output), str(tmp_path / "file")], RUN)
    with pytest.raises(OutputError, match="file: is a file; name a directory"), prepared:
        pytest.fail("was prepared")
    assert prepared.fates == {str(output): "as it was"}
    assert sorted(os.listdir(tmp_path)) == ["file", "out"]
    run(output, NEW)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(
    ("module", "function"),
    [
        (directories, "try_lock"),
        (directories, "recover"),
        (directories, "take"),
        (publish_module, "staging_of"),
    ],
)
def test_interrupted_while_outputs_are_prepared(
    module, function, number, output, tmp_path, monkeypatch
):
    """After a step of the first time or the second: an output may be locked, taken, or all prepared."""
    left, before = number, getattr(module, function)

    def interrupted(*args: object) -> object:
        nonlocal left
        done = before(*args)
        left -= 1
        if not left:
            raise KeyboardInterrupt
        return done

    prepared = PreparedOutputs([str(output), str(tmp_path / "other")], RUN)
    with monkeypatch.context() as patch:
        patch.setattr(module, function, interrupted)
        with pytest.raises(KeyboardInterrupt), prepared:
            pytest.fail("was prepared")
    assert os.listdir(tmp_path) == ["out"]
    run(output, NEW)
    assert output_bytes(output) == NEW | USERS


def test_a_worker_in_another_process(output, tmp_path):
    """It has not prepared the output; the process that has finds out what became of it."""
    with PreparedOutputs([str(output)], RUN) as prepared:
        stage(output, NEW)
        child = os.fork()
        if not child:
            try:
                PreparedOutputs._of_this_process.clear()
                publish_files(output, NEW)
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert os.listdir(tmp_path) == ["out"]
    assert prepared.fates == {str(output): "published"}
    assert output_bytes(output) == NEW | USERS


def test_the_staging_directory_stays_until_the_end(output, tmp_path):
    """The process that has prepared the output keeps the lock on it."""
    with PreparedOutputs([str(output)], RUN):
        stage(output, NEW)
        publish_files(output, NEW)
        assert sorted(os.listdir(tmp_path)) == [".out.staging", "out"]
        with pytest.raises(OutputError, match="another run is writing it"):
            run(output, NEW)
    assert os.listdir(tmp_path) == ["out"]
