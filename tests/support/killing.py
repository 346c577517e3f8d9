"""Actions on a local output, in processes that are killed before one of their steps.

A process of its own makes them, by a fork for each. It is small, as it never loads Beam: a fork of the
tests' own process takes ten times as long.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.support.publishing import RUN, publish_files, run
from transforms.publishing import directories
from transforms.publishing.publish import publish
from transforms.publishing.staging import write_file

ROOT = Path(__file__).resolve().parent.parent.parent
STEPS = ("rename", "replace", "remove", "unlink", "rmdir", "link", "mkdir", "chmod")
"""The functions of `os` that change a directory."""


def _write(path: str, files: dict[str, bytes]) -> None:
    write_file(path, files.values())


def _link_all(output: str, files: dict[str, bytes]) -> None:
    """Publishes by a run to which no file of the earlier output belongs."""
    publish(output, files, lambda name: False, RUN)


def _publish_as(name: str) -> Callable[[str, dict[str, bytes]], None]:
    return lambda output, files: publish_files(output, files, name)


ACTIONS = {
    "publish": publish_files,
    "publish as one": _publish_as("one"),
    "run": run,
    "link_all": _link_all,
    "write": _write,
}


class Killer:
    """Runs actions on an output; use `killer` to have one."""

    def __init__(self, process: subprocess.Popen[str]):
        self._process = process

    def killed_before(
        self,
        step: int,
        action: str,
        output: Path,
        files: dict[str, bytes],
        *,
        exchange: bool = True,
    ) -> bool:
        """Runs an action in a process that is killed before a step, counted from 1.

        Args:
          step: which.
          action: of `ACTIONS`.
          output: the directory, or the file to write.
          files: the files.
          exchange: whether two directories can be exchanged.

        Returns:
          Whether it was killed; False if the action has fewer steps.
        """
        texts = {name: content.decode() for name, content in files.items()}
        assert self._process.stdin and self._process.stdout
        print(
            json.dumps([step, action, str(output), texts, exchange]),
            file=self._process.stdin,
            flush=True,
        )
        status = int(self._process.stdout.readline())
        assert status in (0, -signal.SIGKILL), status
        return status != 0


def killer() -> Iterator[Killer]:
    """The process that makes the others; for a fixture."""
    command = [sys.executable, "-m", "tests.support.killing"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Killer(process)
        assert process.stdin
        process.stdin.close()


def _counted(function: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    def call(*args: Any, **named: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **named)

    return call


def _act(step: int, action: str, output: str, texts: dict[str, str], exchange: bool) -> None:
    left = [step]
    for name in STEPS:
        setattr(os, name, _counted(getattr(os, name), left))
    swap = directories.exchange if exchange else lambda *_: False
    directories.exchange = _counted(swap, left)
    ACTIONS[action](output, {name: text.encode() for name, text in texts.items()})


def _serve() -> None:
    assert "apache_beam" not in sys.modules
    for line in sys.stdin:
        child = os.fork()
        if not child:
            status = 1
            try:
                _act(*json.loads(line))
                status = 0
            finally:
                os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    _serve()
