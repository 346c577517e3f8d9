"""Which run has taken a local output: the name in a file, and a lock on that file.

take(".out.staging", "4f2a")                    # a run, before any work
with keep_taken(".out.staging", "out") as run:  # a worker of the run, when it publishes
run == "4f2a"                               # and stays so in here
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from transforms.errors import OutputError
from transforms.publishing.staging import RUN

# Publishing moves and links files, and copies none.
_PUBLISHING_S = 30.0


def take(hidden: str, run: str) -> None:
    """Writes the name of a run into a hidden directory in which there is none."""
    with open(os.path.join(hidden, RUN), "x", encoding="utf-8") as file:
        file.write(run)


@contextlib.contextmanager
def keep_taken(hidden: str, output: str) -> Iterator[str]:
    """Keeps others from taking an output, or publishing there; gives the name of the run that has it.

    Args:
      hidden: the hidden directory beside the output.
      output: the output, for the error.

    Yields:
      The name; empty where no run has taken the output, and then nothing is kept from anybody.

    Raises:
      OutputError: another process keeps it for longer than publishing takes.
    """
    end = time.monotonic() + _PUBLISHING_S
    while True:
        try:
            file = open(os.path.join(hidden, RUN), encoding="utf-8")  # noqa: SIM115
        except (FileNotFoundError, NotADirectoryError):
            yield ""
            return
        with file:
            is_locked = try_lock(file.fileno())
            # The run that had it may have ended meanwhile, and its file be gone.
            if is_locked and os.fstat(file.fileno()).st_nlink:
                yield file.read()
                return
        if time.monotonic() > end:
            raise OutputError(f"{output}: another run is publishing there; wait for its end")
        time.sleep(0.01)


def try_lock(descriptor: int) -> bool:
    """Locks an open file or directory; returns whether it could, or the filesystem has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # Nothing keeps two runs apart there.
        pass
    return True
