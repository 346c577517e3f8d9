"""An output in an object store, such as Cloud Storage: `ObjectStore`.

A store exchanges nothing: each file appears at once, but one after the other. The steps, in order, for
an output `out`:

1. `prepare` takes a lease on `.out.staging` (Cloud Storage only), so that a second run is refused. It
   carries out the plan of an earlier run, if it finds one (steps 4 to 8), empties the staging
   directory, and writes the name of the run there, `_run`. From here on a run that was left behind
   publishes nothing.
2. The workers stage files.
   Killed until here: `out` is the earlier output. The next run empties the staging directory.
3. `publish` renews the lease, looks whether `_run` has the name of its own run, and writes `_plan.json`
   beside it: the run, the files to be moved and the stale ones to be removed. Killed before that: as in
   step 2.
4. It removes `out/_SUCCESS`. From here to step 7 the output is not whole, and `_SUCCESS` is missing.
   Killed on the way: the next run, or the same bundle tried again, reads the plan and does what is left
   of it.
5. It moves the planned files from the staging directory to `out`.
6. It removes the stale files.
7. It writes `out/_SUCCESS`: the output is the new one.
8. It removes the plan. Killed between 7 and 8: the next run repeats steps 4 to 8, which move nothing
   any more.
9. What else is staged is removed, and `discard` or `release` removes `_run` and gives the lease back.

A store has no locks. Should a run be left behind just between two of its steps 3 to 7, the next one ends
its plan first; what the one before does then with the same plan moves and removes nothing any more.
"""

import contextlib
import json
import logging

from transforms.errors import OutputError
from transforms.files import check_filesystem, delete, last_updated, names_in, read, reason, rename
from transforms.publishing.leases import LEASE_S, HeldError, Lease
from transforms.publishing.staging import (
    RUN,
    Fate,
    Owned,
    hidden_of,
    staging_of,
    taken_over,
    write_file,
)

SUCCESS = "_SUCCESS"
"""The empty file of an output that says that the set of files is whole."""

# Files of a staging directory.
_PLAN, _LEASE = "_plan.json", "_lease"


class ObjectStore:
    """An output in an object store.

    Args:
      output: the directory, `SCHEME://BUCKET/...`.
      run: the name of the run that takes the output, or has taken it.
    """

    def __init__(self, output: str, run: str):
        self.output, self._run = output.rstrip("/"), run
        self._hidden = hidden_of(output)
        self._lease: Lease | None = None
        self._published_before: float | None = None

    def prepare(self) -> None:
        """Takes the lease, carries out the plan of an earlier run, and empties the staging directory.

        Raises:
          OutputError: the store refuses, another run has the lease, or the plan can't be carried out.
        """
        self._check_place()
        try:
            check_filesystem(self.output)
            self._take_lease()
            if _PLAN in names_in(self._hidden):
                self.carry_out()
            self._drop(RUN)
            write_file(f"{self._hidden}/{RUN}", [self._run.encode()])
            self._published_before = self._last_published()
        except HeldError:
            raise OutputError(
                f"{self.output}: another run is writing it; wait for its end, or {LEASE_S} s where it "
                "was killed"
            ) from None
        except BaseException as error:
            self._release_lease()
            if isinstance(error, OutputError) or not isinstance(error, Exception):
                raise
            raise self._not_writable(error) from error

    def _check_place(self) -> None:
        if self.output.count("/") < 3:
            raise OutputError(f"{self.output}: is a whole bucket; name a directory in it")

    def _not_writable(self, error: Exception) -> OutputError:
        return OutputError(f"{self.output}: can't be written: {reason(error)}")

    def take(self) -> None:
        """Takes the output as `prepare` does, but keeps nobody off it."""
        self._check_place()
        try:
            has_own = self._has_own(names_in(self._hidden))
        except Exception as error:
            raise self._not_writable(error) from error
        # If the bundle is tried again, the workers may have staged files.
        if not has_own:
            self.prepare()
            self._release_lease()

    def release(self) -> None:
        """Removes what is left beside the output, unless another run has taken it since."""
        # What can't be removed now, the next run removes.
        with contextlib.suppress(Exception):
            self._take_lease()
            if self._has_own(names_in(self._hidden)):
                self._drop(RUN)
        self._release_lease()

    def _take_lease(self) -> None:
        if self.output.startswith("gs://"):
            self._lease = Lease(f"{self._hidden}/{_LEASE}")

    def _release_lease(self) -> None:
        if self._lease:
            self._lease.release()
            self._lease = None

    def publish(self, files: set[str], owned: Owned) -> None:
        """Puts the staged files in place of those of the output that are owned.

        Raises:
          OutputError: a file is not staged, the store refuses, or another run has taken the lease. The
            text says if publishing has begun.
        """
        planned = False
        try:
            if self._lease:
                self._lease.renew()
            hidden = names_in(self._hidden)
            self._check_run(hidden)
            staged, found = self._staged_of(hidden), names_in(self.output)
            if files | {SUCCESS} <= found and not files & staged:
                # The bundle has published, and is tried again.
                return
            planned, moved = _PLAN in hidden, set[str]()
            if planned:
                # Of this bundle, tried again, or of an earlier run that no other run has ended yet.
                moved = self.carry_out()
                staged, found = self._staged_of(names_in(self._hidden)), names_in(self.output)
            if moved != files:
                self._check_staged(files, staged | moved)
                stale = sorted(name for name in found - files if owned(name))
                self._plan(sorted(files), stale)
                planned = True
                self.carry_out()
            self._drop()
        except HeldError:
            raise taken_over(self.output) from None
        except Exception as error:
            if planned:
                raise OutputError(
                    f"{self.output}: publishing broke off ({reason(error)}); the next run ends it, "
                    f"{SUCCESS} is missing until then"
                ) from error
            if isinstance(error, OutputError):
                raise
            raise OutputError(f"{self.output}: can't be published: {reason(error)}") from error

    def check_taken(self) -> None:
        """Raises OutputError where another run has taken the output since."""
        self._check_run(names_in(self._hidden))

    def _check_run(self, hidden: set[str]) -> None:
        if not self._has_own(hidden):
            raise taken_over(self.output)

    def _has_own(self, hidden: set[str]) -> bool:
        """Whether the name of the run, among the files of the hidden directory, is that of this one."""
        return RUN in hidden and read(f"{self._hidden}/{RUN}").decode() == self._run

    def _staged_of(self, hidden: set[str]) -> set[str]:
        """The staged files of this run, by their paths within the output."""
        beginning = f"{self._run}/"
        return {name.removeprefix(beginning) for name in hidden if name.startswith(beginning)}

    def _check_staged(self, files: set[str], staged: set[str]) -> None:
        if gone := sorted(files - staged):
            text = f"{gone[0]} is staged no more; does another run write there?"
            raise OutputError(f"{self.output}: {text}")

    def _plan(self, files: list[str], stale: list[str]) -> None:
        plan = {"run": self._run, "files": files, "stale": stale}
        write_file(f"{self._hidden}/{_PLAN}", [json.dumps(plan, indent=1).encode()])

    def carry_out(self) -> set[str]:
        """Carries out the plan, or what is left of it; returns the files that it publishes.

        Raises:
          OutputError: a file of the plan is neither staged nor published.
        """
        plan = json.loads(read(f"{self._hidden}/{_PLAN}"))
        staging = staging_of(self.output, plan["run"])
        staged, found = names_in(staging), names_in(self.output)
        if gone := sorted(set(plan["files"]) - staged - found):
            raise OutputError(
                f"{self.output}: an earlier run broke off and can't be ended, {gone[0]} is gone from "
                f"{staging}; remove that directory and run the same again"
            )
        delete([f"{self.output}/{SUCCESS}"] if SUCCESS in found else [])
        waiting = [name for name in plan["files"] if name in staged]
        rename(
            [f"{staging}/{name}" for name in waiting],
            [f"{self.output}/{name}" for name in waiting],
        )
        delete([f"{self.output}/{name}" for name in plan["stale"] if name in found])
        write_file(f"{self.output}/{SUCCESS}", [])
        delete([f"{self._hidden}/{_PLAN}"])
        return set(plan["files"])

    def discard(self) -> Fate:
        """Empties the staging directory and gives the lease back; returns what became of the output.

        A plan that was not carried out stays, with its files, for the next run.
        """
        try:
            if self._lease:
                self._lease.renew()
            published = self._last_published() != self._published_before
            if _PLAN in names_in(self._hidden):
                return "begun"
            self._drop(RUN)
            return "published" if published else "as it was"
        except Exception:
            # The next run empties the staging directory.
            logging.getLogger(__name__).debug("%s stays", self._hidden, exc_info=True)
            return "unknown"
        finally:
            self._release_lease()

    def _last_published(self) -> float | None:
        """When `_SUCCESS` was written, which changes with every publication; None without one."""
        return last_updated(f"{self.output}/{SUCCESS}")

    def _drop(self, *more: str) -> None:
        """Empties the staging directory, apart from the lease and, unless it is among `more`, `_run`."""
        names = sorted(names_in(self._hidden) - ({_LEASE, RUN} - set(more)))
        delete([f"{self._hidden}/{name}" for name in names])
