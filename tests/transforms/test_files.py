"""Files of any filesystem: what is listed, read, written, moved and deleted."""

import datetime
import os
from pathlib import Path

import pytest
from apache_beam.io.filesystem import BeamIOError

from transforms import files


@pytest.fixture(params=["local", "gs://"])
def top(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A directory that does not exist, of this machine and of Cloud Storage."""
    if request.param == "local":
        return str(tmp_path / "top")
    return request.getfixturevalue("storage").path("top")


def write(path: str, content: bytes) -> None:
    with files.create(path) as file:
        file.write(content)


def test_names_in(top):
    assert files.names_in(top) == set()
    for name in ("a.csv", "deep/er/a.csv", ".hidden"):
        write(f"{top}/{name}", b"1")
    write(f"{top}-other/b.csv", b"2")
    assert files.names_in(top) == {"a.csv", "deep/er/a.csv", ".hidden"}


def test_what_is_written_is_read(top):
    write(f"{top}/a", b"one")
    write(f"{top}/a", b"two")
    assert files.read(f"{top}/a") == b"two"


def test_rename_replaces(top):
    for name in ("old/a", "old/b", "new/b", "new/c"):
        write(f"{top}/{name}", name.encode())
    files.rename([f"{top}/old/{name}" for name in "ab"], [f"{top}/new/{name}" for name in "ab"])
    assert files.names_in(top) == {"new/a", "new/b", "new/c"}
    assert files.read(f"{top}/new/b") == b"old/b"


def test_delete(top):
    files.delete([])
    for number in range(3):
        write(f"{top}/{number}", b"")
    files.delete(f"{top}/{number}" for number in range(2))
    assert files.names_in(top) == {"2"}


def test_deleting_what_is_gone_is_no_error_on_cloud_storage(storage):
    files.delete([storage.path("gone")])


def test_files_that_can_not_be_deleted(storage, monkeypatch):
    from apache_beam.io.gcp.gcsio import GcsIO

    paths = [storage.path("a"), storage.path("b")]
    answers = list(zip(paths, (None, 403), strict=True))
    monkeypatch.setattr(GcsIO, "delete_batch", lambda self, deleted: answers)
    with pytest.raises(BeamIOError) as caught:
        files.delete(paths)
    assert caught.value.exception_details == {paths[1]: 403}
    assert files.reason(caught.value) == "the store answers 403"


def test_last_updated_on_this_machine(tmp_path):
    path = tmp_path / "a"
    assert files.last_updated(str(path)) is None
    path.touch()
    os.utime(path, (1, 1_727_870_400))
    assert files.last_updated(str(path)) == 1_727_870_400


def test_last_updated_on_cloud_storage(storage):
    assert files.last_updated(storage.path("a")) is None
    path = storage.put("a", b"")
    written = datetime.datetime.fromisoformat(storage.list()["a"]["updated"].replace("Z", "+00:00"))
    found = files.last_updated(path)
    assert found is not None and int(found) == int(written.timestamp())


def test_check_filesystem(tmp_path):
    files.check_filesystem(str(tmp_path))
    with pytest.raises(ValueError) as caught:
        files.check_filesystem("nowhere://a/b")
    assert files.reason(caught.value) == "no such filesystem here"
