"""Cloud Storage as the tests use it: exports put there, requests watched, processes killed before one."""

import csv
import gzip
import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests

from tests.support.emulators import Storage

MESSAGES = "session_id,message_id,sent_at,sender_role"
SESSIONS = "session_id,status,ended_at,platform_type"


def job(source: str | Path, output: str | Path, more: str = "") -> list[str | Path]:
    """The command line for `m.csv` and `s.csv` of a directory."""
    words = ["--messages", f"{source}/m.csv", "--sessions", f"{source}/s.csv"]
    return [*words, "--output", output, *more.split()]


def put_days(storage: Storage, days: int, sessions_a_day: int = 10, bad_rows: int = 1) -> str:
    """Puts `m.csv` and `s.csv` with some sessions on each day; gives their directory."""
    sessions = [
        f"s{day}-{i},Ended,2024-10-0{day}T13:00:00Z,Enhanced"
        for day in range(1, days + 1)
        for i in range(sessions_a_day)
    ]
    messages = [f"s1-{i},m,2024-10-01T12:00:00Z,Agent" for i in range(50)]
    messages += [f"s1-{i},w,2024-10-01T12:00:00Z,Wizard" for i in range(bad_rows)]
    storage.put("in/m.csv", "\n".join([MESSAGES, *messages]).encode())
    storage.put("in/s.csv", "\n".join([SESSIONS, *sessions]).encode())
    return storage.path("in")


def contents(storage: Storage, directory: str = "out") -> dict[str, bytes]:
    found = storage.contents(f"{directory}/")
    return {name.removeprefix(f"{directory}/"): content for name, content in found.items()}


def generations(storage: Storage) -> dict[str, str]:
    return {name: item["generation"] for name, item in storage.list().items()}


def records_of(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if "metrics-" in name}


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


def watch(
    see: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch, *, all_of_them: bool = True
) -> None:
    """Has the requests of the clients in this process seen before they go out.

    Args:
      see: is called with each request.
      monkeypatch: ends it.
      all_of_them: False: only those that change something.
    """
    send = requests.adapters.HTTPAdapter.send

    def seen(self: Any, request: Any, *args: Any, **named: Any) -> Any:
        # The client asks for the bucket itself in a thread of its own, at any time.
        is_of_bucket = re.search(r"/b/[^/?]+(\?|$)", request.url)
        if not is_of_bucket and (all_of_them or request.method != "GET"):
            see(request)
        return send(self, request, *args, **named)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", seen)


Moment = tuple[str, int]
"""A text that a request has in its URL or its body, and which such request it is, from 1.

An empty text stands for the requests that change something: between two of these the store stays as it
is, so that a kill before any request between them leaves the same.
"""
NOTHING_HAS_MOVED, ALL_IS_COPIED = ("/batch/", 2), ("/batch/", 3)


def kill_before(moment: Moment, patch: pytest.MonkeyPatch) -> None:
    """Has this process killed before a request goes out."""
    act_before(moment, lambda: os.kill(os.getpid(), signal.SIGKILL), patch)


def act_before(moment: Moment, act: Callable[[], None], patch: pytest.MonkeyPatch) -> None:
    """Has something done before a request goes out."""
    said, left = moment

    def look(request: Any) -> None:
        nonlocal left
        body = request.body if isinstance(request.body, bytes) else str(request.body).encode()
        if said.encode() in request.url.encode() + body.replace(b"out/", b""):
            left -= 1
            if not left:
                act()

    watch(look, patch, all_of_them=bool(said))


def killed_before(moment: Moment, action: Callable[[], None]) -> bool:
    """Runs an action in a process that is killed at a moment; False if it does not come to that.

    One that fails, because the emulator hung up on it, has broken off as well; it says so on stderr.
    """
    child = os.fork()
    if child:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, 1, -signal.SIGKILL), status
        return status != 0
    status = 1
    try:
        with pytest.MonkeyPatch.context() as patch:
            kill_before(moment, patch)
            action()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)
