"""The job on Cloud Storage: what it reads and writes there, how it ends, what it says of mistakes."""

import gc
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support import cli
from tests.support.cli import ROOT, RUNNER, output_bytes
from tests.support.cloud import (
    ALL_IS_COPIED,
    MESSAGES,
    SESSIONS,
    Moment,
    act_before,
    contents,
    generations,
    job,
    kill_before,
    put_days,
    watch,
)
from tests.support.emulators import EXPIRED, FORBIDDEN, Storage
from tests.support.jobs import replaced
from tests.support.metrics import make_small
from tests.support.publishing import recover
from transforms.publishing import leases
from transforms.publishing.object_stores import ObjectStore

pytestmark = pytest.mark.service

SUCCESS = {"_SUCCESS": b""}
FILE = "metrics-00000-of-00001"


class Outcome(NamedTuple):
    """How a run ended: exit status, and what it wrote to stderr."""

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


@pytest.mark.parametrize(
    ("output_format", "partition_by"),
    [("avro", "day"), ("parquet", "none"), ("csv", "day"), ("jsonl", "none")],
)
def test_writes_what_it_writes_to_disk(output_format, partition_by, storage, run, tmp_path):
    source = put_days(storage, 3)
    more = f"--output_format {output_format} --partition_by {partition_by} --max_reject_ratio 0.1"
    assert run(*job(source, tmp_path / "out", more)).status == 0
    remote = run(*job(source, storage.path("out"), more))
    # Of three days of sessions only the first has messages, as the last line says.
    assert (remote.status, remote.err.splitlines()[-2]) == (
        0,
        f"published in {storage.path('out')}",
    )
    expected = {f"out/{name}" for name in output_bytes(tmp_path / "out") | SUCCESS}
    assert contents(storage) == output_bytes(tmp_path / "out") | SUCCESS
    assert set(storage.list()) == {"in/m.csv", "in/s.csv", *expected}


def test_files_beside_the_output(storage, run, tmp_path):
    source = put_days(storage, 1)
    more = "--max_reject_ratio 0.1 --summary @counts.json --report @page.html"
    local = run(*job(source, tmp_path / "out", more.replace("@", f"{tmp_path}/")))
    remote = run(*job(source, storage.path("out"), more.replace("@", storage.path() + "/")))
    assert (local.status, remote.status) == (0, 0)
    for name in ("counts.json", "page.html"):
        assert storage.get(name) == (tmp_path / name).read_bytes()
    assert remote.err.splitlines()[-2:] == [
        f"published in {storage.path('out')}",
        f"the page is {storage.path('page.html')}",
    ]


def test_an_input_that_is_gone_while_it_is_read(storage, run, monkeypatch):
    """Before its first request, its last, and one between; the earlier output stays."""
    source = put_days(storage, 1)
    words = job(source, storage.path("out"), "--max_reject_ratio 0.1")
    content = storage.get("in/m.csv")
    requests: list[str] = []

    def look(request: Any) -> None:
        if "m.csv" in request.url:
            requests.append(request.url)
            if len(requests) == gone_before:
                storage.delete("in/m.csv")

    gone_before = 0
    with monkeypatch.context() as patch:
        watch(look, patch)
        assert run(*words).status == 0
        before = contents(storage)
        last = len(requests)
        for number, said in (
            (1, "no such file"),
            (last // 2, "can't be read: "),
            (last, "can't be read: "),
        ):
            gone_before = number
            requests.clear()
            storage.put("in/m.csv", content)
            status, err = run(*words)
            assert status in (1, 2)
            assert err.startswith(f"session-metrics: {source}/m.csv: {said}"), err
            assert err.count("\n") == 1
            assert contents(storage) == before


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
    days = f"{more} --allow_no_messages --closed_from 2024-10-03 --closed_until 2024-10-05"
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


# Interrupted and killed.

OLD = {
    f"created_date=2024-10-0{day}/{FILE}.avro": f"old {day}".encode() for day in range(1, 5)
} | SUCCESS
"""An earlier output, by day."""


def put_old(storage: Storage) -> None:
    for name, content in OLD.items():
        storage.put(f"out/{name}", content)


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
    source, output = put_days(storage, 2), storage.path("out")
    put_old(storage)
    words = job(source, output, "--max_reject_ratio 0.1")

    def interrupt() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        publish = ObjectStore.publish

        def publish_and_see(*args: Any) -> None:
            act_before(moment, interrupt, patch)
            publish(*args)

        patch.setattr(ObjectStore, "publish", publish_and_see)
        status, err = run(*words)
    assert (status, err) == (1, f"session-metrics: interrupted; {said}\n".replace("@", output))
    # A file that was being written does not appear when Python collects it.
    gc.collect()
    left = contents(storage)
    assert (left == OLD) == (said == "nothing was published")
    assert ("_SUCCESS" in left) == ("_SUCCESS" not in said)
    assert ("_plan.json" in contents(storage, ".out.staging")) == ("_SUCCESS" in said)
    recover(output)
    assert contents(storage, ".out.staging") == {}
    assert "_SUCCESS" in contents(storage)


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
    source = put_days(storage, 3)
    more = "--partition_by day --max_reject_ratio 0.1"
    argv = [str(word) for word in job(source, storage.path("out"), more)]
    put_old(storage)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.support.cli"])
    child = processes.Process(target=killed_job, args=(storage.env, argv, MOMENTS[moment]))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    left = contents(storage)
    assert (left == OLD) == (moment == "before it publishes")
    assert ("_SUCCESS" in left) == (left == OLD)

    status, err = run(*argv)
    output = storage.path("out")
    assert (status, err) == (
        2,
        f"session-metrics: {output}: another run is writing it; wait for its end, or 120 s where it "
        "was killed\n",
    )
    monkeypatch.setattr(leases, "LEASE_S", 0)
    # Even a run that fails ends what the one before it began.
    assert run(*replaced(argv, ["--max_reject_ratio", "0"])).status == 1
    ended = contents(storage)
    assert "_SUCCESS" in ended
    assert (ended == OLD) == (moment == "before it publishes")
    assert run(*argv).status == 0
    new = contents(storage)
    assert ended in (OLD, new)
    kept = {name for name in OLD if "2024-10-04" not in name}
    assert set(new) == {*kept, "rejects/rejects-00000-of-00001.jsonl"}
    assert contents(storage, ".out.staging") == {}


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
    words = replaced(job(source, storage.path("out")), more.replace("@", top).split())
    status, err = run(*words)
    assert err.startswith("session-metrics: ") and err.count("\n") == 1, err
    assert said.replace("@", top) in err
    assert status == 2
    assert generations(storage) == before


NO_CREDENTIALS = "no valid credentials; run gcloud auth application-default login, or set GOOGLE_"
LESS = {
    "no credentials": ("", f"can't be @: {NO_CREDENTIALS}"),
    "no cloud extra": (
        "sys.modules |= dict.fromkeys(['google.auth', 'google.cloud.storage']);",
        "can't be @: gs:// needs the cloud extra: pip install 'messaging-session-metrics[gcp]'",
    ),
}
RUN_EACH = """
from pipelines.session_metrics import main
for line in sys.stdin:
    print(main(line.split()))
"""


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing leads to Google's services."""
    names = ("GOOGLE_", "STORAGE_", "BIGQUERY_", "CLOUDSDK_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    return env | {"HOME": str(tmp_path), "NO_GCE_CHECK": "true", "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize(("before", "said"), LESS.values(), ids=LESS)
def test_without(before, said, bare, tmp_path):
    if not before:
        pytest.importorskip("google.cloud.storage", reason="not installed: apache-beam[gcp]")
    (tmp_path / "m.csv").write_text(f"{MESSAGES}\n")
    (tmp_path / "s.csv").write_text(f"{SESSIONS}\n")
    path = "gs://bucket/file.csv"
    options = {"messages": "listed", "output": "written", "summary": "written"}
    lines = []
    for option in options:
        argv = replaced(job(tmp_path, tmp_path / "out"), [f"--{option}", path, RUNNER])
        lines.append(" ".join(argv) + "\n")
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {before}{RUN_EACH}"],
        input="".join(lines),
        env=bare,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line for line in done.stderr.splitlines() if line.startswith("session-metrics: ")]
    assert done.stdout.split() == ["2"] * 3, done.stderr
    for line, done_to_it in zip(found, options.values(), strict=True):
        assert line.startswith(f"session-metrics: {path}: {said.replace('@', done_to_it)}")
    assert sorted(os.listdir(tmp_path)) == ["m.csv", "s.csv"]
