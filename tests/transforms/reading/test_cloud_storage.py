"""Files of Cloud Storage as inputs: what is read of them, and what is said of one that is gone."""

import csv
import gzip
import http.client
import json
import socket
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
import urllib3

from tests.support.cli import ROOT
from tests.support.cloud import MESSAGES, watch
from transforms.errors import InputError
from transforms.files import match, open_input, reason
from transforms.reading.columns import ColumnNames
from transforms.reading.formats import UNREADABLE, explain, format_of
from transforms.reading.formats import parts as format_parts
from transforms.reading.inputs import check_inputs

EXPORT = ROOT / "examples" / "export"

service = pytest.mark.service


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV, without the line ends inside of fields, with which it is no file of parts."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: value.replace("\n", " ") for name, value in row.items()} for row in rows]


def write_as(suffix: str, rows: list[dict[str, str]], path: Path) -> bytes:
    """The rows in a format, several parts of it where it can be read in parts."""
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=50)
        return path.read_bytes()
    if suffix == ".avro":
        # No name of a record field has a dot.
        rows = [{name.replace(".", "_"): value for name, value in row.items()} for row in rows]
        fields = [{"name": name, "type": "string"} for name in rows[0]]
        schema = {"type": "record", "name": "row", "fields": fields}
        with path.open("wb") as file:
            fastavro.writer(file, schema, rows, sync_interval=2000)
        return path.read_bytes()
    if suffix.startswith(".csv"):
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        content = path.read_bytes()
    elif suffix.startswith(".json") and "l" not in suffix:
        content = json.dumps(rows).encode()
    else:
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    return gzip.compress(content) if suffix.endswith(".gz") else content


def read(path: str) -> list[tuple[str, int, dict[str, list]]]:
    """The path of each piece of a file of messages, the number of its rows, and its columns."""
    names = ColumnNames.of("messages")
    check_inputs([path], names)
    found = []
    for matched, size in match(path):
        file_format = format_of(matched)
        try:
            with open_input(matched) as file:
                parts = file_format.parts(file, size)
            for part in parts:
                for decode in file_format.read(lambda: open_input(matched), part, names.all()):  # noqa: B023
                    raw = decode()
                    columns = {name: column.to_pylist() for name, column in raw.columns.items()}
                    found.append((matched, raw.num_rows, columns))
        except UNREADABLE as error:
            raise explain(matched, error) from error
    return found


@service
@pytest.mark.parametrize(
    "suffix",
    [".avro", ".parquet", ".csv", ".csv.gz", ".json", ".json.gz", ".jsonl", ".ndjson.gz"],
)
def test_reads_each_format_in_parts(suffix, storage, tmp_path, monkeypatch):
    monkeypatch.setattr(format_parts, "PART_BYTES", 4096)
    path = tmp_path / f"messages{suffix}"
    rows = read_rows(EXPORT / "conversation_entries.csv")
    content = write_as(suffix, rows, path)
    path.write_bytes(content)
    storage.put(f"in/deep/messages{suffix}", content)
    local, remote = read(str(path)), read(storage.path(f"in/*/messages{suffix}"))
    assert len(local) > 1 or suffix.endswith(".gz") or suffix == ".json"
    assert {one[0] for one in remote} == {storage.path(f"in/deep/messages{suffix}")}
    assert [one[1:] for one in remote] == [one[1:] for one in local]
    assert sum(num_rows for _, num_rows, _ in local) == len(rows)


@service
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


@service
@pytest.mark.parametrize("attempts", [1, 2])
def test_a_store_that_does_not_answer(attempts, storage, monkeypatch):
    """What the client says of its tries, of hosts and of objects in memory is left out."""
    from google.api_core.retry import Retry

    path = storage.put("m.csv", b"")
    with open_input(path) as file:
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
    assert reason(error) == "IncompleteRead(13 bytes read, 9 more expected)"
