"""Files of any filesystem: what is listed, read, written, moved and deleted."""

import datetime
import functools
import http.client
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from apache_beam.io.filesystem import BeamIOError

from tests.support.cli import ROOT
from tests.support.cloud import MESSAGES, read_rows, watch, write_as
from transforms import files
from transforms.errors import InputError
from transforms.reading.formats import UNREADABLE, explain, format_of
from transforms.reading.formats import parts as format_parts
from transforms.reading.inputs import check_inputs
from transforms.reading.names import ColumnNames


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


def test_a_pattern_may_have_no_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("x")
    assert files.match("*.csv") == files.match("a.csv") == [("a.csv", 1)]


def test_a_relative_pattern_is_shown_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        files.match("no*.csv")
    assert str(caught.value) == f"no*.csv: no such file; {tmp_path}/no*.csv"


def test_a_relative_path_begins_in_a_directory(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("x")
    monkeypatch.chdir("/")
    assert files.match("*.csv", str(tmp_path)) == [("a.csv", 1)]
    for path in ("a.csv", f"{tmp_path}/a.csv"):
        with files.open_input(path, str(tmp_path)) as file:
            assert file.read() == b"x"
    with pytest.raises(InputError, match=f"b.csv: no such file; {tmp_path}/b.csv"):
        files.match("b.csv", str(tmp_path))
    assert files.absolute("a/../b") == "/b"
    assert files.absolute("gs://b/a") == "gs://b/a"


def test_files_of_a_pattern_are_sorted_and_have_their_size(tmp_path):
    for name in ("b.csv", "a.csv"):
        (tmp_path / name).write_bytes(name.encode() * 2)
    (tmp_path / "c.csv").mkdir()
    assert files.match(f"{tmp_path}/*.csv") == [
        (f"{tmp_path}/a.csv", 10),
        (f"{tmp_path}/b.csv", 10),
    ]
    with files.open_input(f"{tmp_path}/a.csv") as file:
        assert file.read() == b"a.csva.csv"


def test_a_filesystem_that_is_not_known():
    assert files.is_local("a/b") and not files.is_local("gs://a/b")
    with pytest.raises(InputError) as caught:
        files.match("nowhere://bucket/*.csv")
    assert str(caught.value).startswith("nowhere://bucket/*.csv: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_store_that_does_not_answer(attempts, storage, monkeypatch):
    """What the client says of its tries, of hosts and of objects in memory is left out."""
    from google.api_core.retry import Retry

    path = storage.put("m.csv", b"")
    with files.open_input(path) as file:
        with socket.create_server(("127.0.0.1", 0)) as free:
            nowhere = f"http://127.0.0.1:{free.getsockname()[1]}/"

        def go_astray(*_: Any, **__: Any) -> bytes:
            return requests.get(nowhere).content

        call = Retry(lambda error: True, timeout=0)(go_astray) if attempts > 1 else go_astray
        monkeypatch.setattr(file._file._blob, "download_as_bytes", call)
        with pytest.raises(OSError) as told:
            file.read()
    assert str(told.value) == (
        "reading broke off (Failed to establish a new connection: [Errno 111] Connection refused); "
        "run the same again"
    )


def test_bytes_of_a_file_are_in_no_error():
    inner = http.client.IncompleteRead(b"private words", 9)
    outer = urllib3.exceptions.ProtocolError("Connection broken", inner)
    error = requests.exceptions.ChunkedEncodingError(outer)
    assert files.reason(error) == "IncompleteRead(13 bytes read, 9 more expected)"


class AnswerError(Exception):
    """As Google's clients raise it: with a status."""

    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.code, self.message = code, message


class RefreshError(Exception):
    """By the name that google.auth gives it."""


LOGIN = (
    "no valid credentials; run gcloud auth application-default login, or set "
    "GOOGLE_APPLICATION_CREDENTIALS: "
)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (BeamIOError("failed", {"gs://b/a": 503, "gs://b/b": 500}), "the store answers 503"),
        (
            BeamIOError("failed", {"gs://b/a": BeamIOError("f", {"a": OSError(28, "full")})}),
            "full",
        ),
        (BeamIOError("Unable to parse"), "Unable to parse with exceptions None"),
        (
            ValueError("Unable to get filesystem from specified path, gs://b/a"),
            "gs:// needs the cloud extra: pip install 'messaging-session-metrics[gcp]'",
        ),
        (ValueError("Unable to get filesystem for x://"), "no such filesystem here"),
        (RefreshError("expired", {"error": "x"}), f"{LOGIN}expired"),
        (AnswerError(401, "who is it?"), f"{LOGIN}who is it?"),
        (AnswerError(403, "POST https://host/b?a=1: not you"), "permission denied: not you"),
        (AnswerError(404, "The specified bucket does not exist."), "no such bucket"),
        (AnswerError(404, "No such object"), "No such object"),
        (AnswerError(500, "unknown error"), "the store answers 500"),
        (PermissionError(13, "Permission denied", "/a"), "Permission denied"),
        (OSError("one\ntwo"), "one"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_one_line_for_an_error(error, line):
    assert files.reason(error) == line


# What formats get of a file of Cloud Storage.


def read(path: str) -> list[tuple[str, int, dict[str, list]]]:
    """The path of each piece of a file of messages, the number of its rows, and its columns."""
    names = ColumnNames.of("messages")
    check_inputs([path], names)
    found = []
    for matched, size in files.match(path):
        file_format, open_file = format_of(matched), functools.partial(files.open_input, matched)
        try:
            with open_file() as file:
                parts = file_format.parts(file, size)
            for part in parts:
                for decode in file_format.read(open_file, part, names.all()):
                    raw = decode()
                    columns = {name: column.to_pylist() for name, column in raw.columns.items()}
                    found.append((matched, raw.num_rows, columns))
        except UNREADABLE as error:
            raise explain(matched, error) from error
    return found


@pytest.mark.service
@pytest.mark.parametrize(
    "suffix",
    [".avro", ".parquet", ".csv", ".csv.gz", ".json", ".json.gz", ".jsonl", ".ndjson.gz"],
)
def test_reads_each_format_in_parts(suffix, storage, tmp_path, monkeypatch):
    monkeypatch.setattr(format_parts, "PART_BYTES", 4096)
    path = tmp_path / f"messages{suffix}"
    rows = read_rows(ROOT / "examples" / "export" / "conversation_entries.csv")
    content = write_as(suffix, rows, path)
    path.write_bytes(content)
    storage.put(f"in/deep/messages{suffix}", content)
    local, remote = read(str(path)), read(storage.path(f"in/*/messages{suffix}"))
    assert len(local) > 1 or suffix.endswith(".gz") or suffix == ".json"
    assert {one[0] for one in remote} == {storage.path(f"in/deep/messages{suffix}")}
    assert [one[1:] for one in remote] == [one[1:] for one in local]
    assert sum(num_rows for _, num_rows, _ in local) == len(rows)


@pytest.mark.service
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".jsonl", ".json", ".parquet", ".avro"])
def test_a_file_that_is_gone_while_it_is_read(suffix, storage, tmp_path, monkeypatch):
    """Whenever that is, there is one line: which file, what the store says, what to do."""
    rows = [
        dict(zip(MESSAGES.split(","), ["s1-0", "m", "2024-10-01T12:00:00Z", "Agent"], strict=True))
    ]
    content = write_as(suffix, rows, tmp_path / f"m{suffix}")
    path = storage.path(f"m{suffix}")
    found = set()
    for number in range(1, 50):
        storage.put(f"m{suffix}", content)
        left = number

        def look(request: Any) -> None:
            nonlocal left
            if f"m{suffix}" in request.url:
                left -= 1
                if not left:
                    storage.delete(f"m{suffix}")

        with monkeypatch.context() as patch:
            watch(look, patch)
            try:
                read(path)
            except InputError as error:
                assert left <= 0
                found.add(str(error))
            else:
                assert left > 0
                break
    else:
        pytest.fail("too many requests")
    said = [
        "can't be listed: Object %s not found",  # so the emulator says
        "no such file",
        "can't be read: the store answers 404",
        "can't be read: reading broke off (the store answers 404); run the same again",
    ]
    assert found == {f"{path}: {text}" for text in said}
