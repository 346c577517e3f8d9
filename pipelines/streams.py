"""The standard streams of a process: their reader may have gone, or they were closed from the start."""

import contextlib
import os
import sys

_UNWRITABLE = (OSError, ValueError, AttributeError)
"""The errors of a stream that has no reader, is closed, or is None as it was closed from the start."""


def hold_descriptors() -> None:
    """Opens the standard streams that were closed from the start, so that no file takes their place.

    What is written to descriptor 2 would otherwise go into the file that is opened next.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest number that is free is taken.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def flush() -> None:
    """Writes what the standard streams hold back, as far as anybody reads them."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(*_UNWRITABLE):
            stream.flush()


def say(line: str) -> None:
    """Prints a line on stderr, if anybody reads it."""
    Stderr().write(f"{line}\n")


def say_last(line: str | None) -> None:
    """Prints the last line of this process on stderr; what other threads print later is dropped."""
    flush()
    text = f"{line}\n" if line else ""
    with contextlib.suppress(OSError):
        last = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.write(last, text.encode("utf-8", "backslashreplace"))


class Stderr:
    """Stderr for `rich.console.Console`: what can't be written, as nobody reads it, is dropped."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        """Writes a text; gives its length."""
        with contextlib.suppress(*_UNWRITABLE):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Writes what is held back."""
        with contextlib.suppress(*_UNWRITABLE):
            sys.stderr.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        with contextlib.suppress(*_UNWRITABLE):
            return sys.stderr.isatty()
        return False
