"""All or nothing in an object store: what readers see, what a kill leaves, who may write."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import output_bytes
from tests.support.cloud import (
    ALL_IS_COPIED,
    NOTHING_HAS_MOVED,
    contents,
    generations,
    killed_before,
    watch,
)
from tests.support.emulators import Storage
from tests.support.publishing import (
    NEW,
    NEXT,
    OLD,
    RUN,
    USERS,
    owned,
    prepared,
    publish_files,
    put,
    recover,
    release,
    run,
    stage,
    take,
)
from transforms.errors import OutputError
from transforms.publishing import leases
from transforms.publishing.object_stores import ObjectStore
from transforms.publishing.staging import staging_of

SUCCESS = {"_SUCCESS": b""}
OLD_OUTPUT, NEW_OUTPUT = OLD | USERS | SUCCESS, NEW | USERS | SUCCESS

service = pytest.mark.service


@pytest.fixture
def output(storage: Storage) -> str:
    """An earlier output, with files of others in it."""
    for name, content in OLD_OUTPUT.items():
        storage.put(f"out/{name}", content)
    return storage.path("out")


@service
def test_what_readers_see(storage, output, monkeypatch):
    """With `_SUCCESS` the set is whole; each object always is; nothing is seen that is only staged."""
    found: list[tuple[str | None, dict[str, bytes]]] = []

    def look(_: Any) -> None:
        items = storage.list("out/")
        found.append((items.get("out/_SUCCESS", {}).get("generation"), contents(storage)))

    take(output)
    stage(output, NEW)
    before, _ = (look(None), found.pop())[1]
    with monkeypatch.context() as patch:
        watch(look, patch, all_of_them=False)
        publish_files(output, NEW)
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
    release(output)
    assert sorted(storage.list()) == sorted(f"out/{name}" for name in last)


@service
def test_killed_before_any_request(storage, output):
    """A kill leaves the earlier output or no `_SUCCESS`; the next run first ends what was begun."""
    ends = set()
    for number in range(1, 100):
        take(output)
        stage(output, NEW)
        killed = killed_before(("", number), lambda: publish_files(output, NEW))
        left = contents(storage)
        if "_SUCCESS" in left:
            assert left in (OLD_OUTPUT, NEW_OUTPUT), number
        recover(output)
        recovered = contents(storage)
        assert recovered in (OLD_OUTPUT, NEW_OUTPUT), number
        ends.add(("old" if recovered == OLD_OUTPUT else "new", "_SUCCESS" in left))
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
    assert number > 8
    assert ends == {("old", True), ("new", False), ("new", True)}


@service
def test_the_next_run_is_killed_as_well(storage, output):
    take(output)
    stage(output, NEW)
    assert killed_before(ALL_IS_COPIED, lambda: publish_files(output, NEW))
    assert "_SUCCESS" not in contents(storage)
    for number in range(1, 100):
        killed = killed_before(("", number), ObjectStore(output, RUN).carry_out)
        if not killed or "_plan.json" not in contents(storage, ".out.staging"):
            break  # all is done, whether or not it came to hear of it
    assert contents(storage) == NEW_OUTPUT
    run(output, NEXT)
    assert contents(storage) == NEXT | USERS | SUCCESS
    assert contents(storage, ".out.staging") == {}


@service
def test_publishing_that_is_tried_again(storage, output):
    take(output)
    stage(output, NEW)
    publish_files(output, NEW)
    before = generations(storage)
    publish_files(output, NEW)
    assert generations(storage) == before


@service
def test_transforms_alone_after_a_kill(storage, output):
    """A pipeline of one's own prepares nothing: its workers end what was begun."""
    take(output)
    stage(output, NEW)
    assert killed_before(ALL_IS_COPIED, lambda: publish_files(output, NEW))
    take(output, "next")
    assert contents(storage) == NEW_OUTPUT
    stage(output, NEXT, "next")
    take(output, "next")  # tried again
    publish_files(output, NEXT, "next")
    assert contents(storage) == NEXT | USERS | SUCCESS
    release(output)
    assert contents(storage, ".out.staging") == {"_run": b"next"}
    release(output, "next")
    assert contents(storage, ".out.staging") == {}


@service
def test_what_can_not_be_ended(storage, output):
    take(output)
    stage(output, NEW)
    assert killed_before(NOTHING_HAS_MOVED, lambda: publish_files(output, NEW))
    staged = sorted(contents(storage, ".out.staging"))
    assert staged[0] == "_plan.json"
    for name in NEW:
        if f"{RUN}/{name}" in staged:
            storage.delete(f".out.staging/{RUN}/{name}")
    with pytest.raises(
        OutputError, match=r"an earlier run broke off and can.t be ended, .* is gone"
    ):
        recover(output)
    assert "_lease" not in contents(storage, ".out.staging")


@service
def test_a_staged_file_is_gone(storage, output):
    take(output)
    stage(output, NEW)
    storage.delete(f".out.staging/{RUN}/{min(NEW)}")
    with pytest.raises(OutputError, match=f"{min(NEW)} is staged no more"):
        publish_files(output, NEW)
    assert contents(storage) == OLD_OUTPUT


@service
def test_what_goes_wrong_on_the_way_is_told(storage, output, monkeypatch):
    """The earlier output is no more; the line says so, and the next run ends it."""

    def refuse(request: Any) -> None:
        if request.url.endswith("/batch/storage/v1"):
            raise OSError("no network")

    with prepared(output) as outputs:
        stage(output, NEW)
        with monkeypatch.context() as patch:
            watch(refuse, patch)
            with pytest.raises(OutputError) as told:
                publish_files(output, NEW)
    assert str(told.value) == (
        f"{output}: publishing broke off (no network); the next run ends it, _SUCCESS is missing "
        "until then"
    )
    assert outputs.fates == {output: "begun"}
    recover(output)
    assert contents(storage) == NEW_OUTPUT
    assert contents(storage, ".out.staging") == {}


@service
def test_fates(storage, output, monkeypatch):
    with prepared(output) as outputs:
        stage(output, NEW)
    assert outputs.fates == {output: "as it was"}
    with prepared(output) as outputs:
        stage(output, NEW)
        publish_files(output, NEW)
    assert outputs.fates == {output: "published"}

    def refuse(request: Any) -> None:
        raise OSError("no network")

    with prepared(output) as outputs, monkeypatch.context() as patch:
        stage(output, NEXT)
        watch(refuse, patch)
        outputs.__exit__(None, None, None)
    assert outputs.fates == {output: "unknown"}
    assert contents(storage) == NEW_OUTPUT


@service
def test_one_run_at_a_time(storage, output, monkeypatch):
    one, other = ObjectStore(output, "one"), ObjectStore(output, "other")
    one.prepare()
    stage(output, NEW, "one")
    for keep_or_take in (prepared(output).__enter__, lambda: take(output)):
        with pytest.raises(OutputError) as told:
            keep_or_take()
        assert str(told.value) == (
            f"{output}: another run is writing it; wait for its end, or 120 s where it was killed"
        )
    staged = [f"one/{name}" for name in NEW]
    assert sorted(contents(storage, ".out.staging")) == sorted(["_lease", "_run", *staged])
    # The one run was out for too long, and the other took its place.
    with monkeypatch.context() as patch:
        patch.setattr(leases, "LEASE_S", 0)
        other.prepare()
    with pytest.raises(OutputError, match="another run has taken it over; nothing was published"):
        one.publish(set(NEW), owned)
    assert one.discard() == "unknown"
    assert contents(storage, ".out.staging").keys() == {"_lease", "_run"}
    assert contents(storage) == OLD_OUTPUT
    assert other.discard() == "as it was"
    assert contents(storage, ".out.staging") == {}


@service
def test_a_run_whose_command_is_gone(storage, output, monkeypatch):
    """The next one takes the output when the lease has run out; the one before then publishes nothing."""
    one = ObjectStore(output, "one")
    one.prepare()
    stage(output, NEW, "one")
    monkeypatch.setattr(leases, "LEASE_S", 0)
    with prepared(output, "two"):
        stage(output, NEXT, "two")
        stage(output, NEW, "one")
        with pytest.raises(
            OutputError, match="another run has taken it over; nothing was published"
        ):
            ObjectStore(output, "one").publish(set(NEW), owned)
        publish_files(output, NEXT, "two")
    assert contents(storage) == NEXT | USERS | SUCCESS
    with pytest.raises(OutputError, match="another run has taken it over; nothing was published"):
        ObjectStore(output, "one").publish(set(NEW), owned)
    assert contents(storage) == NEXT | USERS | SUCCESS
    one.discard()
    recover(output)
    assert contents(storage, ".out.staging") == {}


@service
def test_a_run_whose_command_is_gone_and_that_is_killed_where_it_publishes(
    storage, output, monkeypatch
):
    """The next run first ends what was begun."""
    one = ObjectStore(output, "one")
    one.prepare()
    stage(output, NEW, "one")
    other = ObjectStore(output, "one")
    assert killed_before(ALL_IS_COPIED, lambda: other.publish(set(NEW), owned))
    assert "_SUCCESS" not in contents(storage)
    monkeypatch.setattr(leases, "LEASE_S", 0)
    with prepared(output, "two"):
        assert contents(storage) == NEW_OUTPUT
        stage(output, NEXT, "two")
        publish_files(output, NEXT, "two")
    assert contents(storage) == NEXT | USERS | SUCCESS
    one.discard()


# The same, done to local directories: without an emulator.


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """An earlier output."""
    put(tmp_path / "out", OLD | USERS)
    # An object store needs no directories; here those have to exist into which files are moved.
    (tmp_path / "out" / "created_date=2024-10-02").mkdir()
    return tmp_path / "out"


@pytest.fixture
def staged(local: Path) -> Path:
    """The directory in which the new output is staged."""
    put(local.parent / ".out.staging", {"_run": RUN.encode()})
    staging = Path(staging_of(str(local), RUN))
    put(staging, NEW | {"metrics-00007-of-00009.avro": b"of an attempt that failed"})
    return staging


def publish_as_to_a_store(local: Path, files: dict[str, bytes], name: str = RUN) -> None:
    ObjectStore(str(local), name).publish(set(files), owned)


def test_a_run_publishes_where_it_still_has_the_output(local):
    for name, files in (("one", NEW), ("two", NEXT)):
        stage(local, files, name)
    put(local.parent / ".out.staging", {"_run": b"two"})
    with pytest.raises(OutputError) as told:
        publish_as_to_a_store(local, NEW, "one")
    assert str(told.value) == f"{local}: another run has taken it over; nothing was published"
    assert output_bytes(local) == OLD | USERS
    for _ in range(2):
        publish_as_to_a_store(local, NEXT, "two")
        assert output_bytes(local) == NEXT | USERS | {"_SUCCESS": b""}
        assert output_bytes(local.parent / ".out.staging") == {"_run": b"two"}
    (local.parent / ".out.staging" / "_run").unlink()
    with pytest.raises(OutputError, match="another run has taken it over; nothing was published"):
        publish_as_to_a_store(local, NEXT, "two")


def test_files_are_moved_and_stale_ones_removed(local, staged):
    publish_as_to_a_store(local, NEW)
    assert output_bytes(local) == NEW | USERS | {"_SUCCESS": b""}
    publish_as_to_a_store(local, NEW)  # tried again
    assert output_bytes(local) == NEW | USERS | {"_SUCCESS": b""}
    assert output_bytes(staged) == {}


def test_publish_is_taken_up_where_it_broke_off(local, staged):
    plan = {"run": RUN, "files": sorted(NEW), "stale": sorted(OLD.keys() - NEW)}
    put(staged.parent, {"_plan.json": json.dumps(plan).encode()})
    os.rename(staged / min(NEW), local / min(NEW))
    publish_as_to_a_store(local, NEW)
    assert output_bytes(local) == NEW | USERS | {"_SUCCESS": b""}
    assert output_bytes(staged) == {}


def test_file_that_is_staged_no_more(local, staged):
    (staged / min(NEW)).unlink()
    with pytest.raises(OutputError, match=f"{min(NEW)} is staged no more"):
        publish_as_to_a_store(local, NEW)
    assert output_bytes(local) == OLD | USERS


def test_filesystem_that_there_is_not():
    with pytest.raises(
        OutputError, match=r"^s4://x/out: can't be written: no such filesystem here$"
    ):
        recover("s4://x/out")
