"""All or nothing: killed anywhere, the output is the earlier one or the new one, whole."""

import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import cli, killing
from tests.support.cli import output_bytes
from tests.support.killing import Killer
from tests.support.publishing import (
    NEW,
    NEXT,
    OLD,
    RUN,
    USERS,
    in_memory,
    owned,
    prepared,
    publish_files,
    put,
    recover,
    release,
    run,
    stage,
    start_over,
    take,
)
from transforms.errors import OutputError
from transforms.publishing import directories
from transforms.publishing.directories import LocalDirectory
from transforms.publishing.publish import publish
from transforms.publishing.staging import staging_of, write_file

kills = pytest.mark.service


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    yield from killing.killer()


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Path]:
    """A directory that does not exist."""
    with in_memory(tmp_path) as place:
        yield place


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


def test_publishes_through_a_link(output):
    start_over(output)
    link = output.parent.parent / "link"
    link.symlink_to(output)
    run(link, NEW)
    assert output_bytes(output) == NEW | USERS
    assert link.is_symlink()
    assert sorted(os.listdir(link.parent)) == ["link", "parent"]


exchanges = pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "renames"])


@kills
@exchanges
def test_killed_at_any_step(exchange, output, killer):
    """With the exchange whoever looks after the kill finds a whole output; without, the next run."""
    found = set()
    for step in range(1, 200):
        start_over(output)
        take(output)
        stage(output, NEW)
        killed = killer.killed_before(step, "publish", output, NEW, exchange=exchange)
        if not exchange:
            recover(output)
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


@kills
@exchanges
def test_the_next_run_is_killed_as_well(exchange, output, killer):
    """Also a run that puts right what the kill before it left is killed, at any step."""
    for first in range(12, 40, 5):
        for second in range(1, 400, 9):
            start_over(output)
            take(output)
            stage(output, NEW)
            killer.killed_before(first, "publish", output, NEW, exchange=exchange)
            killed = killer.killed_before(second, "run", output, NEXT, exchange=exchange)
            recover(output)
            left = output_bytes(output)
            assert left in [files | USERS for files in (OLD, NEW, NEXT)], (first, second)
            assert os.listdir(output.parent) == ["out"], (first, second)
            if not killed:
                break


@kills
def test_never_writes_through_a_link_to_the_live_output(output, killer):
    """A run was killed when it had linked the other days; the next one stages one of these."""
    day = "created_date=2024-10-01/metrics-00000-of-00001.avro"
    staging = Path(staging_of(str(output), RUN))
    for step in range(1, 200):
        shutil.rmtree(output.parent, ignore_errors=True)
        put(output, {day: b"old day", "others.txt": b"mine"})
        take(output)
        stage(output, NEW)
        assert killer.killed_before(step, "link_all", output, NEW)
        linked = staging / f"instead-of-{output.stat().st_ino}" / "new" / day
        if linked.exists():
            break
    assert linked.samefile(output / day)
    write_file(str(staging / day), [b"new day"])
    assert (output / day).read_bytes() == b"old day"
    publish(str(output), [day], owned, RUN)
    assert output_bytes(output) == {day: b"new day", "others.txt": b"mine"}


@kills
@exchanges
@pytest.mark.parametrize(
    ("earlier", "new"),
    [(OLD | USERS, NEW), (OLD | USERS, dict.fromkeys(OLD, b"new")), ({}, NEW)],
    ids=["other names", "same names", "none before"],
)
def test_killed_at_any_step_and_tried_again(earlier, new, exchange, output, killer):
    """The same bundle twice more, in which nothing is staged anew; the first of these dies as well."""
    for step in range(1, 200):
        shutil.rmtree(output.parent, ignore_errors=True)
        put(output, earlier)
        take(output)
        stage(output, new)
        killed = killer.killed_before(step, "publish", output, new, exchange=exchange)
        again = killer.killed_before(step, "publish", output, new, exchange=exchange)
        for _ in range(2):
            publish_files(output, new)
            assert output_bytes(output) == new | (USERS if earlier else {}), step
        release(output)
        assert os.listdir(output.parent) == ["out"], step
        if not killed and not again:
            break
    else:
        pytest.fail("too many steps")
    assert step > 6


@kills
def test_what_a_killed_attempt_has_begun_is_dropped(output, killer):
    path = Path(staging_of(str(output), RUN), "metrics-00007-of-00009.avro")
    take(output)
    stage(output, NEW)
    before = os.listdir(path.parent)
    assert killer.killed_before(2, "write", path, {"": b"of an attempt that was killed"})
    assert len(os.listdir(path.parent)) == len(before) + 1
    publish_files(output, NEW)
    assert output_bytes(output) == NEW
    release(output)
    assert os.listdir(output.parent) == ["out"]


def test_a_publish_that_is_tried_again_changes_nothing(output):
    start_over(output)
    take(output)
    stage(output, NEW)
    publish_files(output, NEW)
    publish_files(output, NEW)
    assert output_bytes(output) == NEW | USERS
    release(output)
    assert os.listdir(output.parent) == ["out"]


def test_nothing_is_published_where_a_staged_file_is_gone(output):
    start_over(output)
    take(output)
    stage(output, NEW)
    os.remove(os.path.join(staging_of(str(output), RUN), min(NEW)))
    with pytest.raises(OutputError, match=f"{min(NEW)} is staged no more"):
        publish_files(output, NEW)
    assert output_bytes(output) == OLD | USERS


def test_nothing_is_published_where_all_that_was_staged_is_gone(output):
    """Files of the same names, of an earlier run, are not taken for those of this one."""
    start_over(output)
    with (
        prepared(output),
        pytest.raises(OutputError, match="is staged no more"),
    ):
        publish_files(output, dict.fromkeys(OLD, b"new"))
    assert output_bytes(output) == OLD | USERS


def test_what_a_failed_attempt_staged_is_dropped(output):
    take(output)
    stage(output, NEW | {"metrics-00007-of-00009.avro": b"of an attempt that failed"})
    publish_files(output, NEW)
    assert output_bytes(output) == NEW


def test_one_run_at_a_time(output):
    start_over(output)
    with prepared(output):
        stage(output, NEW)
        for keep_or_take in (prepared(output, "other").__enter__, lambda: take(output, "other")):
            with pytest.raises(
                OutputError, match=r"out: another run is writing it; wait for its end$"
            ):
                keep_or_take()
        publish_files(output, NEW)
    assert output_bytes(output) == NEW | USERS
    run(output, NEXT)
    assert output_bytes(output) == NEXT | USERS


def test_places_that_can_not_be_replaced(tmp_path, monkeypatch):
    inside = tmp_path / "here" / "inside"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    for path in (".", "..", str(tmp_path)):
        with pytest.raises(OutputError, match="is the working directory, which can't be replaced"):
            LocalDirectory(path, RUN).prepare()
    with pytest.raises(OutputError, match="/proc: is a mount point"):
        LocalDirectory("/proc", RUN).prepare()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file: is a file; name a directory"):
        LocalDirectory(str(tmp_path / "file"), RUN).prepare()
    with pytest.raises(OutputError, match="file/out: can't be written: Not a directory"):
        LocalDirectory(str(tmp_path / "file" / "out"), RUN).prepare()
    assert sorted(os.listdir(tmp_path)) == ["file", "here"]


# The whole job, killed.

MOMENTS: dict[str, tuple[Any, str, int]] = {
    "one file is staged": (os, "replace", 1),
    "half of the files are staged": (os, "replace", 4),
    "some files of others are linked": (os, "link", 5),
    "the directories are exchanged": (directories, "exchange", 1),
}
"""After which call, of a function of a module, the job is killed."""


def job_main(argv: list[str], moment: str) -> None:
    """Runs the job; kills it at a moment, if one is given."""
    if moment:
        module, name, left = MOMENTS[moment]
        function = getattr(module, name)

        def counted(*args: Any, **named: Any) -> Any:
            nonlocal left
            result = function(*args, **named)
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(module, name, counted)
    sys.exit(cli.call_main(*argv))


@kills
def test_job_killed_at_any_moment(tmp_path):
    rows = [f"s{i},2024-10-0{1 + i % 6}T00:00:00Z,Ended,Enhanced" for i in range(60)]
    put(
        tmp_path,
        {
            "m.csv": b"session_id,message_id,sent_at,sender_role\ns1,m,2024-10-01T00:00:00Z,Agent\n",
            "s.csv": "\n".join(["session_id,ended_at,status,platform_type", *rows]).encode(),
        },
    )
    old = {f"created_date=2023-01-0{i}/metrics-00000-of-00001.csv": b"old" for i in range(1, 9)}
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.support.cli"])

    def run_job(output: Path, moment: str = "") -> int | None:
        put(output, old | USERS)
        argv = f"--messages {tmp_path}/m.csv --sessions {tmp_path}/s.csv --output {output}"
        argv += " --output_format csv --partition_by day --closed_from 2024-10-01"
        job = processes.Process(target=job_main, args=(argv.split(), moment))
        job.start()
        job.join()
        return job.exitcode

    whole = tmp_path / "whole" / "out"
    assert run_job(whole) == 0
    new = output_bytes(whole)
    assert set(old | USERS) < set(new)
    for number, moment in enumerate(MOMENTS):
        output = tmp_path / str(number) / "out"
        assert run_job(output, moment) == -signal.SIGKILL, moment
        exchanged = moment == "the directories are exchanged"
        assert output_bytes(output) == (new if exchanged else old | USERS), moment
        run(output, {"metrics-00000-of-00001.csv": b"next"})
        assert os.listdir(output.parent) == ["out"], moment
