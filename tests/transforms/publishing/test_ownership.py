"""Runs whose command is gone, and the next ones: none publishes over a later one, and none mixes in."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import killing
from tests.support.cli import output_bytes
from tests.support.killing import STEPS, Killer
from tests.support.publishing import (
    NEW,
    NEXT,
    USERS,
    in_memory,
    left_behind,
    publish_files,
    release,
    run,
    stage,
    start_over,
)
from tests.support.publishing import take as taken_by
from transforms.errors import OutputError
from transforms.publishing import ownership
from transforms.publishing.ownership import keep_taken, take
from transforms.publishing.publish import PreparedOutputs, check_taken
from transforms.publishing.staging import staging_of

TAKEN_OVER = "another run has taken it over; nothing was published"


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    yield from killing.killer()


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Path]:
    """An earlier output."""
    with in_memory(tmp_path) as place:
        start_over(place)
        yield place


def refused(output: Path, files: dict[str, bytes], name: str) -> None:
    with pytest.raises(OutputError) as told:
        publish_files(output, files, name)
    assert str(told.value) == f"{output}: {TAKEN_OVER}"


def test_the_run_that_has_an_output(tmp_path, monkeypatch):
    monkeypatch.setattr(ownership, "_PUBLISHING_S", 0.0)
    hidden = str(tmp_path)
    with keep_taken(hidden, "out") as name, keep_taken(hidden, "out") as other:
        assert (name, other) == ("", "")
    take(hidden, "one")
    with keep_taken(hidden, "out") as name:
        assert name == "one"
        with pytest.raises(OutputError) as told, keep_taken(hidden, "out"):
            pytest.fail("was kept twice")
        assert str(told.value) == "out: another run is publishing there; wait for its end"
    with keep_taken(hidden, "out") as name:
        assert name == "one"
    with pytest.raises(FileExistsError):
        take(hidden, "two")


def test_another_run_takes_the_output_while_one_waits_for_the_lock(tmp_path, monkeypatch):
    """What is locked then is the name of a run that has ended."""
    take(str(tmp_path), "one")

    def taken_meanwhile(descriptor: int) -> bool:
        monkeypatch.undo()
        (tmp_path / "_run").unlink()
        take(str(tmp_path), "two")
        return True

    monkeypatch.setattr(ownership, "try_lock", taken_meanwhile)
    with keep_taken(str(tmp_path), "out") as name:
        assert name == "two"


def test_a_run_that_is_left_behind_publishes_for_itself(output):
    """Nobody else is there: the job goes on without its command."""
    left_behind(output, NEW, "one")
    for _ in range(2):  # a bundle may be tried again
        publish_files(output, NEW, "one")
        assert output_bytes(output) == NEW | USERS
    # What was there before is gone; the names are, after the next run.
    assert output_bytes(output.parent / ".out.staging") == {"_run": b"one"}
    run(output, NEXT, "two")
    assert output_bytes(output) == NEXT | USERS
    assert os.listdir(output.parent) == ["out"]


@pytest.mark.parametrize("late", ["before the next has staged", "while it is at work", "after it"])
def test_a_run_that_is_left_behind_is_late(late, output):
    left_behind(output, NEW, "one")
    with PreparedOutputs([str(output)], "two") as prepared:
        if late == "before the next has staged":
            refused(output, NEW, "one")
        stage(output, NEXT, "two")
        # Its workers do not know, and go on.
        stage(output, NEW, "one")
        if late == "while it is at work":
            with pytest.raises(OutputError, match=TAKEN_OVER):
                check_taken(str(output), "one")
            refused(output, NEW, "one")
            assert not Path(staging_of(str(output), "one")).exists()
            stage(output, NEW, "one")
        publish_files(output, NEXT, "two")
    assert prepared.fates == {str(output): "published"}
    assert output_bytes(output) == NEXT | USERS
    stage(output, NEW, "one")
    refused(output, NEW, "one")
    assert output_bytes(output) == NEXT | USERS
    assert os.listdir(output.parent) == ["out"]


def test_runs_that_no_command_has_prepared(output):
    """Of two, the one that takes the output later publishes, whichever ends first."""
    taken_by(output, "one")
    stage(output, NEW, "one")
    taken_by(output, "one")  # tried again, when files are staged
    assert output_bytes(Path(staging_of(str(output), "one"))) == NEW
    taken_by(output, "two")
    stage(output, NEXT, "two")
    refused(output, NEW, "one")
    release(output, "one")  # nothing of the other's
    publish_files(output, NEXT, "two")
    assert output_bytes(output) == NEXT | USERS
    refused(output, NEW, "one")
    release(output, "two")
    assert os.listdir(output.parent) == ["out"]
    refused(output, NEW, "one")
    assert output_bytes(output) == NEXT | USERS


def test_what_can_not_be_released_is_left_to_the_next_run(output):
    """All is published by then, and no reason to fail."""
    taken_by(output, "one")
    name = output.parent / ".out.staging" / "_run"
    name.unlink()
    name.mkdir()
    release(output, "one")
    assert name.is_dir()


def test_three_runs(output):
    left_behind(output, NEW, "one")
    left_behind(output, NEXT, "two")
    stage(output, NEW, "one")
    refused(output, NEW, "one")
    publish_files(output, NEXT, "two")
    assert output_bytes(output) == NEXT | USERS
    run(output, NEW, "three")
    refused(output, NEXT, "two")
    assert output_bytes(output) == NEW | USERS
    assert os.listdir(output.parent) == ["out"]


@pytest.mark.service
@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "renames"])
def test_killed_at_any_step_before_the_next_run(exchange, output, killer):
    """The one is killed where it publishes, and tried again after the other."""
    for step in range(1, 200):
        start_over(output)
        left_behind(output, NEW, "one")
        killed = killer.killed_before(step, "publish as one", output, NEW, exchange=exchange)
        run(output, NEXT, "two")
        assert output_bytes(output) == NEXT | USERS, step
        refused(output, NEW, "one")
        assert output_bytes(output) == NEXT | USERS, step
        assert os.listdir(output.parent) == ["out"], step
        if not killed:
            break
    else:
        pytest.fail("too many steps")
    assert step > 20


def stopped_before(step: int, act: Callable[[], None]) -> int:
    """Does something in a process that stops before a step, counted from 1; returns its id."""
    child = os.fork()
    if child:
        return child
    left = [step]

    def counted(function):
        def call(*args, **named):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGSTOP)
            return function(*args, **named)

        return call

    try:
        for name in STEPS:
            setattr(os, name, counted(getattr(os, name)))
        act()
        os._exit(0)
    except OutputError as error:
        os._exit(3 if TAKEN_OVER in str(error) else 4)
    finally:
        os._exit(5)


@pytest.mark.service
def test_two_runs_at_once(output, monkeypatch):
    """The one stops at any step of its publishing, until the other has tried."""
    monkeypatch.setattr(ownership, "_PUBLISHING_S", 0.0)
    ends = set()
    for step in range(1, 200):
        start_over(output)
        left_behind(output, NEW, "one")
        child = stopped_before(step, lambda: publish_files(output, NEW, "one"))
        _, status = os.waitpid(child, os.WUNTRACED)
        stopped = os.WIFSTOPPED(status)
        try:
            run(output, NEXT, "two")
            has_run = True
        except OutputError as error:
            assert "another run is publishing there" in str(error)
            has_run = False
        if stopped:
            os.kill(child, signal.SIGCONT)
            _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        assert code == (0 if not has_run or not stopped else 3), step
        assert output_bytes(output) == (NEXT if has_run else NEW) | USERS, step
        ends.add((stopped, has_run))
        run(output, NEXT, "three")
        assert output_bytes(output) == NEXT | USERS
        assert os.listdir(output.parent) == ["out"], step
        if not stopped:
            break
    else:
        pytest.fail("too many steps")
    assert ends == {(True, False), (False, True)}
