"""The job on Cloud Storage: what it reads and writes there, what readers see, what a kill leaves."""

import csv
import gzip
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests

from tests.support import cli
from tests.support.cli import ROOT, RUNNER, output_bytes
from tests.support.emulators import EXPIRED, FORBIDDEN, Storage
from tests.support.metrics import make_small
from tests.support.publishing import NEW, NEXT, OLD, USERS, owned
from transforms.errors import OutputError
from transforms.publishing import leases
from transforms.publishing import publish as publishing
from transforms.reading.formats import format_of
from transforms.reading.formats import parts as format_parts

EXPORT = ROOT / "examples" / "export"
SUCCESS = {"_SUCCESS": b""}
OLD_OUTPUT, NEW_OUTPUT = OLD | USERS | SUCCESS, NEW | USERS | SUCCESS
FILE = "metrics-00000-of-00001"
MESSAGES = "session_id,message_id,sent_at,sender_role"
SESSIONS = "session_id,status,ended_at,platform_type"


class Outcome(NamedTuple):
    """How a run ended: exit status, and what it said."""

    status: int
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs the job in this process."""

    def call(*args: str | Path) -> Outcome:
        capfd.readouterr()
        return Outcome(cli.call_main(*args), capfd.readouterr().err)

    return call


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


# Reading.


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


@pytest.mark.parametrize(
    "suffix",
    [".avro", ".parquet", ".csv", ".csv.gz", ".json", ".json.gz", ".jsonl", ".ndjson.gz"],
)
def test_reads_each_format_in_parts(suffix, storage, run, tmp_path, monkeypatch):
    monkeypatch.setattr(format_parts, "PART_BYTES", 4096)
    for name, file in {
        "messages": "conversation_entries",
        "sessions": "messaging_sessions",
    }.items():
        rows = read_rows(EXPORT / f"{file}.csv")
        content = write_as(suffix, rows, tmp_path / f"file{suffix}")
        (tmp_path / f"{name}{suffix}").write_bytes(content)
        storage.put(f"in/deep/{name}{suffix}", content)
    size = (tmp_path / f"messages{suffix}").stat().st_size
    file_format = format_of(suffix)
    with (tmp_path / f"messages{suffix}").open("rb") as file:
        parts = file_format.parts(file, size)
    assert len(parts) > 1 or suffix.endswith(".gz") or suffix == ".json"
    more = ["--max_reject_ratio", "0.05"]
    if suffix == ".avro":
        more += ["--session_columns", "platform_type=MessagingChannel_PlatformType"]
    for source, output in ((tmp_path, tmp_path / "out"), (storage.path("in/*"), storage.path("o"))):
        files = [f"{source}/{name}{suffix}" for name in ("messages", "sessions")]
        words = ["--messages", files[0], "--sessions", files[1], "--output", output, *more]
        assert run(*words).status == 0
    expected = output_bytes(tmp_path / "out")
    found = contents(storage, "o")
    assert records_of(found) == records_of(expected) and len(records_of(found)) == 1
    for name, source in (("rejects", str(tmp_path)), ("rejects", "")):
        assert source in expected[f"{name}/rejects-00000-of-00001.jsonl"].decode()
    local = expected["rejects/rejects-00000-of-00001.jsonl"].decode()
    remote = found["rejects/rejects-00000-of-00001.jsonl"].decode()
    assert local.replace(f"{tmp_path}/", storage.path("in/deep/") + "/") == remote


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".jsonl", ".json", ".parquet", ".avro"])
def test_a_file_that_is_gone_while_it_is_read(suffix, storage, run, tmp_path, monkeypatch):
    """Whenever that is, there is one line: which file, what the store says, what to do."""
    put_days(storage, 1)
    rows = [
        dict(zip(MESSAGES.split(","), ["s1-0", "m", "2024-10-01T12:00:00Z", "Agent"], strict=True))
    ]
    content = write_as(suffix, rows, tmp_path / f"m{suffix}")
    path, sessions = storage.path(f"m{suffix}"), storage.path("in/s.csv")
    words = ["--messages", path, "--sessions", sessions, "--output", storage.path("out")]
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
            status, err = run(*words)
        if left > 0:
            break
        assert status in (1, 2) and err.count("\n") == 1, err
        found.add(err)
    else:
        pytest.fail("too many requests")
    assert status == 0
    said = [
        "can't be listed: Object %s not found",  # so the emulator says
        "no such file",
        "can't be read: the store answers 404",
        "can't be read: reading broke off (the store answers 404); run the same again",
    ]
    assert found == {f"session-metrics: {path}: {text}\n" for text in said}


# Writing.


@pytest.mark.parametrize("partition_by", ["none", "day"])
@pytest.mark.parametrize("output_format", ["avro", "parquet", "csv", "jsonl"])
def test_writes_what_it_writes_to_disk(output_format, partition_by, storage, run, tmp_path):
    source = put_days(storage, 3)
    more = f"--output_format {output_format} --partition_by {partition_by} --max_reject_ratio 0.1"
    beside = f"--summary {tmp_path}/out/counts.json --report {tmp_path}/out/page.html"
    local = run(*job(source, tmp_path / "out", f"{more} {beside}"))
    beside = f"--summary {storage.path('s.json')} --report {storage.path('page.html')}"
    remote = run(*job(source, storage.path("out"), f"{more} {beside}"))
    assert (local.status, remote.status) == (0, 0)
    expected = output_bytes(tmp_path / "out")
    counts, page = expected.pop("counts.json"), expected.pop("page.html")
    assert contents(storage) == expected | SUCCESS
    assert storage.get("s.json") == counts
    assert storage.get("page.html") == page
    assert sorted(storage.list()) == sorted(
        [
            "in/m.csv",
            "in/s.csv",
            "page.html",
            "s.json",
            *(f"out/{name}" for name in expected | SUCCESS),
        ]
    )
    assert remote.err.splitlines()[-2:] == [
        f"published in {storage.path('out')}",
        f"the page is {storage.path('page.html')}",
    ]


def test_rejects_outside(storage, run):
    source = put_days(storage, 1)
    rejects = f"--rejects {storage.path('bad')} --max_reject_ratio 0.1"
    storage.put("bad/rejects-00000-of-00002.jsonl", b"of an earlier run")
    storage.put("bad/notes.txt", b"mine")
    assert run(*job(source, storage.path("out"), rejects)).status == 0
    assert sorted(contents(storage)) == ["_SUCCESS", f"{FILE}.avro"]
    bad = contents(storage, "bad")
    (line,) = bad.pop("rejects-00000-of-00001.jsonl").decode().splitlines()
    assert json.loads(line)["source"] == f"{source}/m.csv"
    assert bad == {"notes.txt": b"mine"} | SUCCESS


@pytest.mark.parametrize("within", ["bad/rows", ""])
def test_rejects_elsewhere_inside(within, storage, run):
    source = put_days(storage, 1)
    rejects = f"--rejects {storage.path(f'out/{within}')}/ --max_reject_ratio 0.1"
    for _ in range(2):
        assert run(*job(source, f"{storage.path('out')}/", rejects)).status == 0
        name = f"{within}/rejects-00000-of-00001.jsonl".lstrip("/")
        assert sorted(contents(storage)) == sorted(["_SUCCESS", f"{FILE}.avro", name])


def test_fewer_files_and_other_peoples(storage, run, monkeypatch):
    make_small(monkeypatch, sessions_per_file=10, sampled=1)
    users = {"notes.txt": b"mine", "deep/mine.csv": b"mine too", f"{FILE}.avro.bak": b"and mine"}
    for name, content in users.items():
        storage.put(f"out/{name}", content)
    more = "--max_reject_ratio 0.1"
    for days, output_format in ((5, "avro"), (2, "avro"), (1, "csv")):
        source = put_days(storage, days)
        words = job(source, storage.path("out"), f"{more} --output_format {output_format}")
        assert run(*words).status == 0
        found = contents(storage)
        names = {f"metrics-0000{i}-of-0000{days}.{output_format}" for i in range(days)}
        rejects = {"rejects/rejects-00000-of-00001.jsonl"}
        assert set(found) == names | rejects | set(users) | set(SUCCESS)
        assert {name: found[name] for name in users} == users


def test_a_range_of_days_leaves_the_others(storage, run):
    source = put_days(storage, 5)
    more = "--partition_by day --max_reject_ratio 0.1"
    assert run(*job(source, storage.path("out"), more)).status == 0
    before = generations(storage)
    put_days(storage, 3)
    days = f"{more} --closed_from 2024-10-03 --closed_until 2024-10-05"
    assert run(*job(source, storage.path("out"), days)).status == 0
    after = generations(storage)
    day = {n: f"out/created_date=2024-10-0{n}/{FILE}.avro" for n in range(1, 6)}
    assert set(before) - set(after) == {day[4]}
    assert {n for n, name in day.items() if before[name] == after.get(name)} == {1, 2, 5}


def test_a_run_that_fails_changes_nothing(storage, run):
    source = put_days(storage, 1)
    assert run(*job(source, storage.path("out"), "--max_reject_ratio 0.1")).status == 0
    put_days(storage, 1, bad_rows=5)
    before = generations(storage)
    status, err = run(*job(source, storage.path("out"), f"--summary {storage.path('s.json')}"))
    assert status == 1 and err.count("\n") == 1 and "5 of 55 messages rejected" in err
    assert generations(storage) == before


# What a reader sees, and a kill leaves.


@pytest.fixture
def output(storage: Storage) -> str:
    """An earlier output, with files of others in it."""
    for name, content in OLD_OUTPUT.items():
        storage.put(f"out/{name}", content)
    return storage.path("out")


def stage(output: str, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        publishing.write_file(f"{publishing.staging_of(output)}/{name}", [content])


def publish(output: str, files: dict[str, bytes]) -> None:
    publishing.publish(output, list(files), owned)


def watch(see: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Has each request of the clients in this process seen before it goes out."""
    send = requests.adapters.HTTPAdapter.send

    def seen(self: Any, request: Any, *args: Any, **named: Any) -> Any:
        see(request)
        return send(self, request, *args, **named)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", seen)


def test_what_readers_see(storage, output, monkeypatch):
    """With `_SUCCESS` the set is whole; each object always is; nothing is seen that is only staged."""
    found: list[tuple[str | None, dict[str, bytes]]] = []

    def look(_: Any) -> None:
        items = storage.list("out/")
        found.append((items.get("out/_SUCCESS", {}).get("generation"), contents(storage)))

    stage(output, NEW)
    before, _ = (look(None), found.pop())[1]
    with monkeypatch.context() as patch:
        watch(look, patch)
        publish(output, NEW)
    look(None)
    after, last = found[-1]
    assert last == NEW_OUTPUT and after not in (None, before)
    whole = {before: OLD_OUTPUT, after: last}
    for generation, files in found:
        if generation is not None:
            assert files == whole[generation]
        for name, content in files.items():
            either = [content, *(state[name] for state in whole.values() if name in state)]
            assert content in either[1:]
    states = [generation for generation, _ in found]
    first, end = states.index(None), len(states) - states[::-1].index(None)
    assert set(states[:first]) == {before} and set(states[end:]) == {after}
    assert set(states[first:end]) == {None}
    assert sorted(storage.list()) == sorted(f"out/{name}" for name in last)


Moment = tuple[str, int]
"""What a request has in its URL or its body, and the how many'th such request it is."""
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

    watch(look, patch)


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


def test_killed_before_any_request(storage, output):
    """A kill leaves the earlier output or no `_SUCCESS`; the next run first ends what was begun."""
    ends = set()
    for number in range(1, 200):
        stage(output, NEW)
        killed = killed_before(("", number), lambda: publish(output, NEW))
        left = contents(storage)
        if "_SUCCESS" in left:
            assert left in (OLD_OUTPUT, NEW_OUTPUT), number
        publishing.prepare(output)
        recovered = contents(storage)
        assert recovered in (OLD_OUTPUT, NEW_OUTPUT), number
        ends.add(("old" if recovered == OLD_OUTPUT else "new", "_SUCCESS" in left))
        publishing.discard(output)
        assert contents(storage, ".out.staging") == {}
        if not killed:
            break
        for name in recovered.keys() - OLD_OUTPUT.keys():
            storage.delete(f"out/{name}")
        for name, content in OLD_OUTPUT.items():
            if recovered.get(name) != content:
                storage.put(f"out/{name}", content)
    else:
        pytest.fail("too many requests")
    assert number > 15
    assert ends == {("old", True), ("new", False), ("new", True)}


def test_the_next_run_is_killed_as_well(storage, output):
    stage(output, NEW)
    assert killed_before(ALL_IS_COPIED, lambda: publish(output, NEW))
    assert "_SUCCESS" not in contents(storage)

    def carry_out() -> None:
        publishing._carry_out(output, publishing.staging_of(output))

    for number in range(1, 100):
        killed = killed_before(("", number), carry_out)
        if not killed or "_plan.json" not in contents(storage, ".out.staging"):
            break  # all is done, whether or not it came to hear of it
    assert contents(storage) == NEW_OUTPUT
    publishing.prepare(output)
    stage(output, NEXT)
    publish(output, NEXT)
    publishing.discard(output)
    assert contents(storage) == NEXT | USERS | SUCCESS
    assert contents(storage, ".out.staging") == {}


def test_publishing_that_is_tried_again(storage, output):
    stage(output, NEW)
    publish(output, NEW)
    before = generations(storage)
    publish(output, NEW)
    assert generations(storage) == before


def test_transforms_alone_after_a_kill(storage, output):
    """A pipeline of one's own prepares nothing: what it publishes is right all the same."""
    stage(output, NEW)
    assert killed_before(ALL_IS_COPIED, lambda: publish(output, NEW))
    stage(output, NEXT)
    publish(output, NEXT)
    assert contents(storage) == NEXT | USERS | SUCCESS
    assert contents(storage, ".out.staging") == {}


def test_what_can_not_be_ended(storage, output):
    stage(output, NEW)
    assert killed_before(NOTHING_HAS_MOVED, lambda: publish(output, NEW))
    staged = sorted(contents(storage, ".out.staging"))
    assert staged[0] == "_plan.json"
    for name in NEW:
        if name in staged:
            storage.delete(f".out.staging/{name}")
    with pytest.raises(
        OutputError, match=r"an earlier run broke off and can.t be ended, .* is gone"
    ):
        publishing.prepare(output)
    assert "_lease" not in contents(storage, ".out.staging")


def test_a_staged_file_is_gone(storage, output):
    stage(output, NEW)
    storage.delete(f".out.staging/{min(NEW)}")
    with pytest.raises(OutputError, match=f"{min(NEW)} is staged no more"):
        publish(output, NEW)
    assert contents(storage) == OLD_OUTPUT


def test_what_goes_wrong_on_the_way_is_told(storage, output, monkeypatch):
    """The earlier output is no more; the line says so, and the next run ends it."""

    def refuse(request: Any) -> None:
        if request.url.endswith("/batch/storage/v1"):
            raise OSError("no network")

    publishing.prepare(output)
    stage(output, NEW)
    with monkeypatch.context() as patch:
        watch(refuse, patch)
        with pytest.raises(OutputError) as told:
            publish(output, NEW)
    assert str(told.value) == (
        f"{output}: publishing broke off (no network); the next run ends it, _SUCCESS is missing "
        "until then"
    )
    publishing.discard(output)
    publishing.prepare(output)
    publishing.discard(output)
    assert contents(storage) == NEW_OUTPUT
    assert contents(storage, ".out.staging") == {}


INTERRUPTED = {
    "before it publishes": (("_plan.json", 1), "nothing was published"),
    "when files are copied": (
        ALL_IS_COPIED,
        "publishing in @ had begun: the next run ends it, _SUCCESS is missing until then",
    ),
    "when all is done": (("prefix=.out.staging", 3), "published already in @"),
}


@pytest.mark.parametrize(("moment", "said"), INTERRUPTED.values(), ids=INTERRUPTED)
def test_interrupted(moment, said, storage, run, monkeypatch):
    """Ctrl-C: what is said is what is there."""
    source, output = put_days(storage, 1), storage.path("out")
    words = job(source, output, "--max_reject_ratio 0.1")
    assert run(*words).status == 0
    put_days(storage, 2)
    old = contents(storage)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        publish = publishing._publish_remote

        def publish_and_see(*args: Any) -> None:
            act_before(moment, interrupt, patch)
            publish(*args)

        patch.setattr(publishing, "_publish_remote", publish_and_see)
        status, err = run(*words)
    assert (status, err) == (1, f"session-metrics: interrupted; {said}\n".replace("@", output))
    left = contents(storage)
    assert (left == old) == (said == "nothing was published")
    assert ("_SUCCESS" in left) == ("_SUCCESS" not in said)
    assert run(*words).status == 0
    assert contents(storage, ".out.staging") == {}


MOMENTS = {
    "before it publishes": ("_plan.json", 1),
    "when files are copied": ALL_IS_COPIED,
    "before the end": ('"_SUCCESS"', 1),
}


def killed_job(env: dict[str, str], argv: list[str], moment: Moment) -> None:
    os.environ.update(env)
    with pytest.MonkeyPatch.context() as patch:
        kill_before(moment, patch)
        sys.exit(cli.call_main(*argv))


@pytest.mark.parametrize("moment", MOMENTS)
def test_job_killed(moment, storage, run, monkeypatch):
    source = put_days(storage, 4)
    more = "--partition_by day --max_reject_ratio 0.1"
    argv = [str(word) for word in job(source, storage.path("out"), more)]
    assert run(*argv).status == 0
    old = contents(storage)
    put_days(storage, 3, sessions_a_day=20)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.support.cli"])
    child = processes.Process(target=killed_job, args=(storage.env, argv, MOMENTS[moment]))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    left = contents(storage)
    assert (left == old) == (moment == "before it publishes")
    assert ("_SUCCESS" in left) == (left == old)

    status, err = run(*argv)
    output = storage.path("out")
    assert (status, err) == (
        2,
        f"session-metrics: {output}: another run is writing it; wait for its end, or 120 s where it "
        "was killed\n",
    )
    monkeypatch.setattr(leases, "LEASE_S", 0)
    # Even a run that fails ends what the one before it began.
    assert run(*argv, "--max_reject_ratio", "0").status == 1
    ended = contents(storage)
    assert "_SUCCESS" in ended
    assert (ended == old) == (moment == "before it publishes")
    assert run(*argv).status == 0
    new = contents(storage)
    assert ended in (old, new) and sorted(new) == sorted(n for n in old if "2024-10-04" not in n)
    assert contents(storage, ".out.staging") == {}


# One run at a time.


def test_one_run_at_a_time(storage, output, run, monkeypatch):
    source = put_days(storage, 1)
    publishing.prepare(output)
    lease = publishing._LEASES.pop(publishing.staging_of(output))
    stage(output, NEW)
    status, err = run(*job(source, output, "--max_reject_ratio 0.1"))
    assert status == 2 and err.count("\n") == 1
    assert f"{output}: another run is writing it; wait for its end" in err
    assert sorted(contents(storage, ".out.staging")) == sorted(["_lease", *NEW])
    # It was out for too long, and another took its place.
    with monkeypatch.context() as patch:
        patch.setattr(leases, "LEASE_S", 0)
        publishing.prepare(output)
    other = publishing._LEASES[publishing.staging_of(output)]
    publishing._LEASES[publishing.staging_of(output)] = lease
    with pytest.raises(OutputError, match="another run has taken it over; nothing was published"):
        publish(output, NEW)
    publishing.discard(output)
    assert contents(storage, ".out.staging").keys() == {"_lease"}
    assert contents(storage) == OLD_OUTPUT
    other.release()
    assert contents(storage, ".out.staging") == {}


def test_a_lease_is_renewed(storage, monkeypatch):
    monkeypatch.setattr(leases, "_RENEWED_EACH_S", 0.01)
    lease = leases.Lease(storage.path("lease"))
    seen = set()
    while len(seen) < 5:
        seen.add(storage.list()["lease"]["generation"])
    with pytest.raises(leases.HeldError):
        leases.Lease(storage.path("lease"))
    lease.release()
    assert storage.list() == {}


def test_of_two_that_take_over_a_lease_one_has_it(storage, monkeypatch):
    """The other comes between the look at the lease that has run out and the write."""
    storage.put("lease", b"of a run that was killed")
    monkeypatch.setattr(leases, "LEASE_S", 0)
    urls: list[str] = []
    waiting = ["the other"]
    taken: list[leases.Lease] = []

    def overtake(request: Any) -> None:
        looked_at = "/o/lease?" in "".join(urls[-1:])
        urls.append(request.url)
        if looked_at and waiting:
            waiting.pop()
            taken.append(leases.Lease(storage.path("lease")))

    with monkeypatch.context() as patch:
        watch(overtake, patch)
        with pytest.raises(leases.HeldError):
            leases.Lease(storage.path("lease"))
    taken[0].renew()
    taken[0].release()
    assert storage.list() == {}


# Errors: one line, status 2, before any work.

DENIED = f"does not have storage.objects access to the bucket {FORBIDDEN}."
BAD = {
    "no bucket in": (
        "--messages gs://nowhere/*.csv",
        "gs://nowhere/*.csv: can't be listed: no such",
    ),
    "no file in": ("--messages @none.csv", "@none.csv: no such file"),
    "no files in": ("--messages @none/*.csv", "@none/*.csv: no such file"),
    "forbidden in": (f"--messages gs://{FORBIDDEN}/*.csv", "can't be listed: permission denied: "),
    "forbidden file": (f"--messages gs://{FORBIDDEN}/m.csv", DENIED),
    "refused in": (f"--sessions gs://{EXPIRED}/*.csv", "no valid credentials; run gcloud auth"),
    "no columns": ("--messages @in/s.csv", "@in/s.csv: no column for message_id, sent_at"),
    "cut short": ("--messages @cut.parquet", "@cut.parquet: can't be read: "),
    "no bucket out": ("--output gs://nowhere/out", "gs://nowhere/out: can't be written: no such"),
    "forbidden out": (
        f"--output gs://{FORBIDDEN}/out",
        f"gs://{FORBIDDEN}/out: can't be written: permission denied: ",
    ),
    "refused out": (f"--output gs://{EXPIRED}/out", "can't be written: no valid credentials; "),
    "a whole bucket": ("--output @", "is a whole bucket; name a directory in it"),
    "forbidden rejects": (f"--rejects gs://{FORBIDDEN}/bad", DENIED),
    "forbidden summary": (f"--summary gs://{FORBIDDEN}/s.json", DENIED),
    "no bucket for the summary": ("--summary gs://nowhere/s.json", "no such bucket"),
    "forbidden report": (f"--report gs://{FORBIDDEN}/page.html", DENIED),
}


@pytest.mark.parametrize(("more", "said"), BAD.values(), ids=BAD)
def test_bad_usage(more, said, storage, run):
    source = put_days(storage, 1)
    storage.put("cut.parquet", b"PAR1 and no more")
    before = generations(storage)
    top = storage.path() + "/"
    status, err = run(*job(source, storage.path("out")), *more.replace("@", top).split())
    assert err.startswith("session-metrics: ") and err.count("\n") == 1, err
    assert said.replace("@", top) in err
    assert status == 2
    assert generations(storage) == before


NO_CREDENTIALS = "no valid credentials; run gcloud auth application-default login, or set GOOGLE_"
LESS = {
    "no credentials": ("", f"can't be listed: {NO_CREDENTIALS}"),
    "no cloud extra": (
        "sys.modules |= dict.fromkeys(['google.auth', 'google.cloud.storage']);",
        "can't be listed: gs:// needs the cloud extra: pip install 'messaging-session-metrics[gcp]'",
    ),
}


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment in which nothing leads to Google's services."""
    names = ("GOOGLE_", "STORAGE_", "BIGQUERY_", "CLOUDSDK_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    yield env | {"HOME": str(tmp_path), "NO_GCE_CHECK": "true", "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize(("before", "said"), LESS.values(), ids=LESS)
@pytest.mark.parametrize("where", ["messages", "output", "summary"])
def test_without(before, said, where, bare, tmp_path):
    if not before:
        pytest.importorskip("google.cloud.storage", reason="not installed: apache-beam[gcp]")
    (tmp_path / "m.csv").write_text(f"{MESSAGES}\n")
    (tmp_path / "s.csv").write_text(f"{SESSIONS}\n")
    path = "gs://bucket/file.csv"
    argv = [*job(tmp_path, tmp_path / "out"), f"--{where}", path, RUNNER]
    if where != "messages":
        said = said.replace("listed", "written")
    code = f"import sys; {before} from pipelines.session_metrics import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, argv)],
        env=bare,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"session-metrics: {path}: {said}")
    assert done.returncode == 2
    assert sorted(os.listdir(tmp_path)) == ["m.csv", "s.csv"]
