"""An output that is one file: a run that was left behind does not write it over a later run's."""

import os

import pytest

from transforms.errors import OutputError
from transforms.publishing import leases
from transforms.publishing.files import LocalFile, StoredFile
from transforms.publishing.publish import PreparedOutputs, publish_file

TAKEN_OVER = "another run has taken it over; nothing was published"


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.html"
    path.write_bytes(b"earlier")
    return path


def left_behind(path, run):
    """A run whose command is killed."""
    child = os.fork()
    if not child:
        PreparedOutputs([], run, [str(path)]).__enter__()
        os._exit(0)
    os.waitpid(child, 0)


def test_a_file_is_published(page):
    with PreparedOutputs([], "one", [str(page)]) as prepared:
        assert page.read_bytes() == b"earlier"
        for _ in range(2):  # a bundle may be tried again
            publish_file(str(page), b"new", "one")
    assert prepared.fates == {str(page): "published"}
    assert page.read_bytes() == b"new"
    assert os.listdir(page.parent) == ["page.html"]


def test_a_run_that_fails_leaves_the_file(page):
    with PreparedOutputs([], "one", [str(page)]) as prepared:
        pass
    assert prepared.fates == {str(page): "as it was"}
    assert page.read_bytes() == b"earlier"
    assert os.listdir(page.parent) == ["page.html"]


def test_a_job_without_its_command_writes_the_file(page):
    left_behind(page, "one")
    publish_file(str(page), b"new", "one")
    assert page.read_bytes() == b"new"


def test_a_run_that_is_left_behind_is_late(page):
    left_behind(page, "one")
    with PreparedOutputs([], "two", [str(page)]):
        with pytest.raises(OutputError, match=TAKEN_OVER):
            publish_file(str(page), b"of one", "one")
        publish_file(str(page), b"of two", "two")
    with pytest.raises(OutputError, match=TAKEN_OVER):
        publish_file(str(page), b"of one", "one")
    assert page.read_bytes() == b"of two"
    assert os.listdir(page.parent) == ["page.html"]


def test_a_second_run_at_the_same_time_is_refused(page):
    with (
        PreparedOutputs([], "one", [str(page)]),
        pytest.raises(OutputError, match="another run is writing it; wait for its end"),
        PreparedOutputs([], "two", [str(page)]),
    ):
        pytest.fail("two runs have it")


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(OutputError, match="is a directory; name a file"):
        LocalFile(str(tmp_path), "one").prepare()
    assert os.listdir(tmp_path) == []


def test_a_file_that_no_command_has_prepared(page):
    """The later of two runs writes it."""
    one, two = (LocalFile(str(page), name) for name in ("one", "two"))
    one.take()
    two.take()
    publish_file(str(page), b"of two", "two")
    with pytest.raises(OutputError, match=TAKEN_OVER):
        publish_file(str(page), b"of one", "one")
    two.release()
    assert page.read_bytes() == b"of two"
    assert os.listdir(page.parent) == [page.name]


@pytest.mark.service
def test_in_a_store(storage, monkeypatch):
    path = storage.path("page.html")
    one = StoredFile(path, "one")
    one.prepare()
    monkeypatch.setattr(leases, "LEASE_S", 0)
    with PreparedOutputs([], "two", [path]) as prepared:
        with pytest.raises(OutputError, match=TAKEN_OVER):
            publish_file(path, b"of one", "one")
        publish_file(path, b"of two", "two")
    assert prepared.fates == {path: "published"}
    with pytest.raises(OutputError, match=TAKEN_OVER):
        publish_file(path, b"of one", "one")
    assert list(storage.list()) == ["page.html"]
    one.discard()
