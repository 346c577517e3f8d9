"""All or nothing: killed anywhere, the output is the earlier one or the new one, whole."""

import glob
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import cli
from tests.support.cli import output_bytes
from tests.support.publishing import NEW, NEXT, OLD, USERS, owned
from transforms.errors import OutputError
from transforms.publishing import publish as publishing


def put(top: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)


def stage(output: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        publishing.write_file(f"{publishing.staging_of(str(output))}/{name}", [content])


def publish(output: Path, files: dict[str, bytes]) -> None:
    publishing.publish(str(output), list(files), owned)


def run(output: Path, files: dict[str, bytes]) -> None:
    publishing.prepare(str(output))
    stage(output, files)
    publish(output, files)
    publishing.discard(str(output))


STEPS = ["rename", "replace", "remove", "unlink", "rmdir", "link", "mkdir", "chmod"]


def killed_before(step: int, action: Callable[[], None], exchange: bool = True) -> bool:
    """Runs an action in a process that is killed before its so many'th step; False if it has fewer."""
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        assert status in (0, signal.SIGKILL), status
        return status != 0
    status = 1
    try:
        left = step

        def counted(function: Callable) -> Callable:
            def call(*args, **named):
                nonlocal left
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **named)

            return call

        for name in STEPS:
            setattr(os, name, counted(getattr(os, name)))
        publishing._exchange = counted(publishing._exchange if exchange else lambda *_: False)
        action()
        status = 0
    finally:
        os._exit(status)


@pytest.fixture
def output(tmp_path):
    return tmp_path / "parent" / "out"


def start_over(output: Path) -> None:
    shutil.rmtree(output.parent, ignore_errors=True)
    put(output, OLD | USERS)


def test_publishes_over_an_earlier_output(output):
    start_over(output)
    (output / "empty").mkdir()
    (output / "link").symlink_to("sub")
    (output / "sub").chmod(0o700)
    output.chmod(0o750)
    run(output, NEW)
    assert output_bytes(output) == NEW | USERS
    assert os.listdir(output.parent) == ["out"]
    assert (output / "empty").is_dir() and os.readlink(output / "link") == "sub"
    assert not (output / "created_date=2024-10-01").exists()
    assert [oct(p.stat().st_mode)[-3:] for p in (output, output / "sub")] == ["750", "700"]


def test_publishes_where_nothing_was(output):
    run(output, NEW)
    assert output_bytes(output) == NEW
    assert os.listdir(output.parent) == ["out"]


def test_publishes_through_a_link(output, tmp_path):
    start_over(output)
    (tmp_path / "link").symlink_to(output)
    run(tmp_path / "link", NEW)
    assert output_bytes(output) == NEW | USERS
    assert (tmp_path / "link").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link", "parent"]


@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "renames"])
def test_killed_at_any_step(exchange, output):
    """With the exchange whoever looks after the kill finds a whole output; without, the next run."""
    found = set()
    for step in range(1, 200):
        start_over(output)
        stage(output, NEW)
        killed = killed_before(step, lambda: publish(output, NEW), exchange)
        if not exchange:
            publishing.prepare(str(output))
        left = output_bytes(output)
        assert left in (OLD | USERS, NEW | USERS), step
        found.add("old" if left == OLD | USERS else "new")
        run(output, NEXT)
        assert output_bytes(output) == NEXT | USERS, step
        assert os.listdir(output.parent) == ["out"], step
        if not killed:
            break
    else:
        pytest.fail("too many steps")
    assert step > 20
    assert found == {"old", "new"}


@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "renames"])
def test_the_next_run_is_killed_as_well(exchange, output):
    """Also a run that puts right what the kill before it left is killed, at any step."""
    for first in range(12, 40, 5):
        for second in range(1, 400, 9):
            start_over(output)
            stage(output, NEW)
            killed_before(first, lambda: publish(output, NEW), exchange)
            killed = killed_before(second, lambda: run(output, NEXT), exchange)
            publishing.prepare(str(output))
            assert output_bytes(output) in [files | USERS for files in (OLD, NEW, NEXT)], (
                first,
                second,
            )
            publishing.discard(str(output))
            assert os.listdir(output.parent) == ["out"], (first, second)
            if not killed:
                break


def test_never_writes_through_a_link_to_the_live_output(output):
    """A run was killed when it had linked the other days; the next one stages one of these."""
    day = "created_date=2024-10-01/metrics-00000-of-00001.avro"
    put(output, {day: b"old day"})
    stage(output, NEW)

    def kill(*_: str) -> bool:
        os.kill(os.getpid(), signal.SIGKILL)
        return False

    child = os.fork()
    if not child:
        publishing._exchange = kill
        publishing.publish(str(output), list(NEW), lambda name: False)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    staging = Path(publishing.staging_of(str(output)))
    assert (staging / f"instead-of-{output.stat().st_ino}" / "new" / day).samefile(output / day)
    publishing.write_file(str(staging / day), [b"new day"])
    assert output_bytes(output) == {day: b"old day"}
    publishing.publish(str(output), [day], owned)
    assert output_bytes(output) == {day: b"new day"}


@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "renames"])
@pytest.mark.parametrize(
    ("earlier", "new"),
    [(OLD | USERS, NEW), (OLD | USERS, dict.fromkeys(OLD, b"new")), ({}, NEW)],
    ids=["other names", "same names", "none before"],
)
def test_killed_at_any_step_and_tried_again(earlier, new, exchange, output):
    """The same bundle twice more, in which nothing is staged anew; the first of these dies as well."""
    for step in range(1, 200):
        shutil.rmtree(output.parent, ignore_errors=True)
        put(output, earlier)
        stage(output, new)
        killed = killed_before(step, lambda: publish(output, new), exchange)
        again = killed_before(step, lambda: publish(output, new), exchange)
        for _ in range(2):
            publish(output, new)
            assert output_bytes(output) == new | (USERS if earlier else {}), step
        publishing.prepare(str(output))
        publishing.discard(str(output))
        assert os.listdir(output.parent) == ["out"], step
        if not killed and not again:
            break
    else:
        pytest.fail("too many steps")
    assert step > 10


def test_two_attempts_at_one_file(output, monkeypatch):
    """The second begins and ends while the first has written its file, but not yet under its name."""
    staged = os.path.join(publishing.staging_of(str(output)), min(NEW))
    replace = os.replace

    def overtaken(part: str, path: str) -> None:
        monkeypatch.setattr(os, "replace", replace)
        publishing.write_file(path, [NEW[min(NEW)]])
        os.replace(part, path)

    monkeypatch.setattr(os, "replace", overtaken)
    stage(output, NEW)
    assert Path(staged).read_bytes() == NEW[min(NEW)]
    publish(output, NEW)
    assert output_bytes(output) == NEW
    assert os.listdir(output.parent) == ["out"]


def test_what_a_killed_attempt_has_begun_is_dropped(output):
    path = os.path.join(publishing.staging_of(str(output)), "metrics-00007-of-00009.avro")
    stage(output, NEW)
    before = os.listdir(os.path.dirname(path))
    assert killed_before(2, lambda: publishing.write_file(path, [b"of an attempt that was killed"]))
    assert len(os.listdir(os.path.dirname(path))) == len(before) + 1
    publish(output, NEW)
    assert output_bytes(output) == NEW
    assert os.listdir(output.parent) == ["out"]


def test_an_attempt_that_fails_leaves_nothing(tmp_path):
    (tmp_path / "summary").mkdir()
    with pytest.raises(OutputError, match=r"summary: can't be written: Is a directory$"):
        publishing.write_file(str(tmp_path / "summary"), [b"{}"])
    assert os.listdir(tmp_path) == ["summary"]


def test_an_error_in_making_the_content_is_no_fault_of_the_file(tmp_path):
    def pieces():
        yield b"one"
        raise ValueError("of the content")

    with pytest.raises(ValueError, match=r"^of the content$"):
        publishing.write_file(str(tmp_path / "file"), pieces())
    assert os.listdir(tmp_path) == []


def test_a_file_is_written_piece_by_piece(tmp_path):
    assert publishing.write_file(str(tmp_path / "new" / "file"), [b"one", b"", b" two"]) == 7
    assert (tmp_path / "new" / "file").read_bytes() == b"one two"


def test_a_publish_that_is_tried_again_changes_nothing(output):
    start_over(output)
    stage(output, NEW)
    publish(output, NEW)
    publish(output, NEW)
    assert output_bytes(output) == NEW | USERS
    assert os.listdir(output.parent) == ["out"]


def test_nothing_is_published_where_a_staged_file_is_gone(output):
    start_over(output)
    stage(output, NEW)
    os.remove(os.path.join(publishing.staging_of(str(output)), min(NEW)))
    with pytest.raises(OutputError, match=f"{min(NEW)} is staged no more"):
        publish(output, NEW)
    assert output_bytes(output) == OLD | USERS


def test_nothing_is_published_where_all_that_was_staged_is_gone(output):
    """Files of the same names, of an earlier run, are not taken for those of this one."""
    start_over(output)
    publishing.prepare(str(output))
    with pytest.raises(OutputError, match="is staged no more"):
        publish(output, dict.fromkeys(OLD, b"new"))
    assert output_bytes(output) == OLD | USERS
    publishing.discard(str(output))


def test_what_a_failed_attempt_staged_is_dropped(output):
    stage(output, NEW | {"metrics-00007-of-00009.avro": b"of an attempt that failed"})
    publish(output, NEW)
    assert output_bytes(output) == NEW


def test_one_run_at_a_time(output):
    start_over(output)
    publishing.prepare(str(output))
    publishing.prepare(str(output))
    child = os.fork()
    if not child:
        try:
            publishing._HELD.clear()
            publishing.prepare(str(output))
        except OutputError as error:
            os._exit(7 if str(error).endswith("another run is writing it; wait for its end") else 1)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    stage(output, NEW)
    publish(output, NEW)
    publishing.discard(str(output))
    assert output_bytes(output) == NEW | USERS
    run(output, NEXT)
    assert output_bytes(output) == NEXT | USERS


def test_places_that_can_not_be_replaced(tmp_path, monkeypatch):
    inside = tmp_path / "here" / "inside"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    for path in (".", "..", str(tmp_path)):
        with pytest.raises(OutputError, match="is the working directory, which can't be replaced"):
            publishing.prepare(path)
    with pytest.raises(OutputError, match="/proc: is a mount point"):
        publishing.prepare("/proc")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file: is a file; name a directory"):
        publishing.prepare(str(tmp_path / "file"))
    with pytest.raises(OutputError, match="file/out: can't be written: Not a directory"):
        publishing.prepare(str(tmp_path / "file" / "out"))
    assert sorted(os.listdir(tmp_path)) == ["file", "here"]


# What is done on an object store, done to local directories; test_cloud_storage.py does it there.


def publish_remotely(output: Path, files: dict[str, bytes]) -> None:
    publishing._publish_remote(str(output), publishing.staging_of(str(output)), set(files), owned)


@pytest.fixture
def staged(output):
    """An earlier output, and the directory in which the new one is staged."""
    start_over(output)
    (output / "created_date=2024-10-02").mkdir()  # an object store needs none
    staging = Path(publishing.staging_of(str(output)))
    put(staging, NEW | {"metrics-00007-of-00009.avro": b"of an attempt that failed"})
    return staging


def test_remote_files_are_moved_and_stale_ones_removed(output, staged):
    publish_remotely(output, NEW)
    assert output_bytes(output) == NEW | USERS | {"_SUCCESS": b""}
    publish_remotely(output, NEW)  # tried again
    assert output_bytes(output) == NEW | USERS | {"_SUCCESS": b""}
    assert output_bytes(staged) == {}


def test_remote_publish_is_taken_up_where_it_broke_off(output, staged):
    plan = {"files": sorted(NEW), "stale": sorted(OLD.keys() - NEW)}
    put(staged, {"_plan.json": json.dumps(plan).encode()})
    os.rename(staged / min(NEW), output / min(NEW))
    publish_remotely(output, NEW)
    assert output_bytes(output) == NEW | USERS | {"_SUCCESS": b""}
    assert output_bytes(staged) == {}


def test_remote_file_that_is_staged_no_more(output, staged):
    (staged / min(NEW)).unlink()
    with pytest.raises(OutputError, match=f"{min(NEW)} is staged no more"):
        publish_remotely(output, NEW)
    assert output_bytes(output) == OLD | USERS


def test_filesystem_that_there_is_not():
    with pytest.raises(
        OutputError, match=r"^s4://x/out: can't be written: no such filesystem here$"
    ):
        publishing.prepare("s4://x/out")


# The whole job, killed.

DAYS = 6


def marker(output: Path, moment: int) -> Callable[[], bool]:
    """Tells that a run has come to the moment: nothing yet, so many files staged, published."""
    staging = Path(publishing.staging_of(str(output)))
    inode = output.stat().st_ino
    if moment == 0:
        return staging.is_dir
    if moment <= DAYS:
        return lambda: len(glob.glob(f"{staging}/*/metrics-*")) >= moment
    if moment == DAYS + 1:
        return lambda: bool(
            glob.glob(f"{staging}/*/new/created_date=2023-01-01")
        )  # linked, or exchanged
    return lambda: output.stat().st_ino != inode


def job_main(argv: list[str]) -> None:
    sys.exit(cli.call_main(*argv))


def test_job_killed_at_any_moment(tmp_path):
    rows = [f"s{i},2024-10-0{1 + i % DAYS}T00:00:00Z" for i in range(60)]
    put(
        tmp_path,
        {
            "m.csv": b"session_id,message_id,sent_at,sender_role\ns1,m,2024-10-01T00:00:00Z,Agent\n",
            "s.csv": "\n".join(
                ["session_id,ended_at,status,platform_type", *(f"{r},Ended,Enhanced" for r in rows)]
            ).encode(),
        },
    )
    old = {f"created_date=2023-01-0{i}/metrics-00000-of-00001.csv": b"old" for i in range(1, 9)}

    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.support.cli"])

    def start(output: Path) -> multiprocessing.Process:
        put(output, old | USERS)
        argv = f"--messages {tmp_path}/m.csv --sessions {tmp_path}/s.csv --output {output}"
        argv += " --output_format csv --partition_by day --closed_from 2024-10-01"
        job = processes.Process(target=job_main, args=(argv.split(),))
        job.start()
        return job

    def kill(moment: int) -> tuple[bool, dict[str, bytes]]:
        output = tmp_path / str(moment) / "out"
        put(output, old | USERS)
        reached = marker(output, moment)
        job = start(output)
        while job.is_alive() and not reached():
            time.sleep(0.0001)
        job.kill()
        job.join()
        return job.exitcode == -signal.SIGKILL, output_bytes(output)

    whole = start(tmp_path / "whole" / "out")
    whole.join()
    assert whole.exitcode == 0
    new = output_bytes(tmp_path / "whole" / "out")
    assert set(old | USERS) < set(new)
    ends = [kill(moment) for moment in range(DAYS + 3)]
    assert all(files in (old | USERS, new) for _, files in ends)
    assert sum(killed for killed, _ in ends) >= DAYS + 1
    assert [files for killed, files in ends[: DAYS + 1] if killed] == [old | USERS] * (DAYS + 1)
    for moment in range(DAYS + 3):
        output = tmp_path / str(moment) / "out"
        run(output, {"metrics-00000-of-00001.csv": b"next"})
        assert os.listdir(output.parent) == ["out"]
