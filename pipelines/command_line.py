"""A command line: a job's own options beside those of Beam, and what is wrong with them. No Beam.

A command answers `--help` and bad usage by itself. Only then is the module of its job loaded, and with it
Beam, which takes a second.
"""

import argparse
import atexit
import contextlib
import dataclasses
import difflib
import functools
import importlib
import itertools
import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any, NamedTuple, NoReturn

from pipelines import memory, streams
from transforms.bigquery import is_table, is_table_name
from transforms.errors import JobError
from transforms.files import is_local

PUBLISHED, FAILED, USAGE = 0, 1, 2
"""The exit statuses."""

GIVEN = "_given"
"""The attribute of a namespace with the values of the options that a command line has given so far."""

_PATHS = (
    *("messages", "sessions", "channels", "participants", "records", "summaries"),
    *("output", "rejects", "summary", "session_summary", "report"),
)
"""The options of all jobs that name files or directories."""


class Ending(NamedTuple):
    """How a command has ended: its exit status and its last line on stderr, if it has one."""

    status: int
    line: str | None = None


class UsageError(Exception):
    """The command line can't be followed. The text is one line."""


class Parser(argparse.ArgumentParser):
    """A parser that raises UsageError where argparse would print and exit."""

    def __init__(self, prog: str, description: str):
        super().__init__(
            prog=prog,
            description=description,
            epilog="Beam's own options (--runner, --temp_location, ...) may be given besides.",
            allow_abbrev=False,
        )
        self.register("action", None, _Store)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Prints the help, if anybody reads it."""
        with contextlib.suppress(OSError):
            super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        """Raises UsageError."""
        raise UsageError(f"{message}. --help lists the options")


class _Store(argparse.Action):
    """Stores an option. Given again, it adds to what it has, or is an error if it takes one value."""

    def __call__(
        self, parser: argparse.ArgumentParser, args: argparse.Namespace, values: Any, _: Any = None
    ) -> None:
        given = vars(args).setdefault(GIVEN, {})
        if self.nargs == "+":
            values = [*given.get(self.dest, []), *values]
        elif self.dest in given:
            raise argparse.ArgumentError(self, "given twice; it takes one value")
        given[self.dest] = values
        setattr(args, self.dest, values)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """The command of a job.

    Attributes:
      parser: makes the parser of the job's own options.
      required: the options that must be given; `a|b` is either of two.
      check: looks for what is wrong with the options and the inputs, as far as that is known without
        Beam; returns the lines that are printed before the run. Raises UsageError or JobError.
      job: the name of the job's module, whose `run` takes the program's name, the options and the words
        that are Beam's, and returns how the job has ended.
    """

    parser: Callable[[], Parser]
    required: Sequence[str]
    check: Callable[[argparse.Namespace], Sequence[str]]
    job: str

    def main(self, argv: Sequence[str]) -> int:
        """Does what the words of a command line ask for; returns the exit status."""
        status, line = self._end_of(argv)
        if line:
            streams.say(line)
        return status

    def run(self, argv: Sequence[str] | None = None) -> NoReturn:
        """The console script: prints the last line of stderr, and exits at once.

        A runner leaves threads behind, which may still print, and for which Python's own exit would wait.

        Args:
          argv: the words of the command line; None is the command line of this process.
        """
        memory.keep_freed()
        status, line = self._end_of(sys.argv[1:] if argv is None else argv)
        streams.say_last(line)
        # One of these functions ends a job server that the runner has started, such as Prism.
        with contextlib.suppress(Exception):
            atexit._run_exitfuncs()
        streams.flush()
        os._exit(status)

    def _end_of(self, argv: Sequence[str]) -> Ending:
        parser = self.parser()
        try:
            args, words = parse_words(parser, argv, self.required)
            for line in self.check(args):
                streams.say(line)
        except SystemExit as exit:  # argparse has printed the help
            return Ending(int(exit.code or 0))
        except (UsageError, JobError) as error:
            return Ending(USAGE, f"{parser.prog}: {error}")
        except KeyboardInterrupt:
            return Ending(FAILED, f"{parser.prog}: interrupted; nothing was published")
        return importlib.import_module(self.job).run(parser.prog, args, words)


def parse_words(
    parser: Parser, argv: Sequence[str], required: Sequence[str]
) -> tuple[argparse.Namespace, list[str]]:
    """Parses a command line into the job's options and the words that are Beam's.

    Args:
      parser: the parser of the job.
      argv: the words of the command line.
      required: the options that must be given; `a|b` is either of two.

    Raises:
      UsageError: an option that neither the job nor Beam knows, a wrong value, a required option that is
        missing, a range that is empty, a path that the runner's workers do not have.
    """
    args, rest = parser.parse_known_args(list(argv))
    _check_names(rest, parser)
    _refuse_local_paths(rest, args)
    choices = [one.split("|") for one in required]
    if missing := [f"--{one[0]}" for one in choices if not any(getattr(args, n) for n in one)]:
        raise UsageError(f"{', '.join(missing)} must be given. --help lists the options")
    for name in ("closed", "created"):
        start, end = (getattr(args, f"{name}_{edge}", None) for edge in ("from", "until"))
        if start is not None and end is not None and start >= end:
            raise UsageError(f"--{name}_from must be before --{name}_until")
    return args, rest


@functools.cache
def beam_names() -> tuple[str, ...]:
    """The names of Beam's own options, from a file that `python -m docs.generate` makes of Beam's."""
    text = resources.files(__package__).joinpath("beam_options.txt").read_text("utf-8")
    return tuple(text.split())


def _check_names(words: Sequence[str], parser: argparse.ArgumentParser) -> None:
    """Raises UsageError for an option that neither the job nor Beam knows; Beam itself ignores it."""
    for number, word in enumerate(words):
        name = word.partition("=")[0]
        # A word that is no option is the value of the one before, if there is one.
        if name in beam_names() if re.match("--?[a-zA-Z]", word) else number:
            continue
        raise unknown(word, parser)


def _refuse_local_paths(words: Sequence[str], args: argparse.Namespace) -> None:
    """Raises UsageError for a path of this machine, where the workers are Dataflow's."""
    runner = ""
    for word, following in itertools.pairwise([*words, ""]):
        name, _, given = word.partition("=")
        if name == "--runner":
            runner = given or following
    if runner.rsplit(".")[-1].lower() != "dataflowrunner":
        return
    for name in _PATHS:
        value = getattr(args, name, None) or []
        for path in [value] if isinstance(value, str) else value:
            if is_local(path) and not is_table(path) and not is_table_name(path):
                raise UsageError(
                    f"--{name} {path}: Dataflow has no files of this machine; use gs://"
                )


def unknown(word: str, parser: argparse.ArgumentParser) -> UsageError:
    """The error for a word of a command line that nobody knows, with the option that may be meant."""
    name = word.partition("=")[0]
    known = [*(o for action in parser._actions for o in action.option_strings), *beam_names()]
    near = difflib.get_close_matches(name, known, 1, 0.8)
    hint = f"; did you mean {near[0]}?" if near else ". --help lists the options"
    return UsageError(f"unknown {'option' if name.startswith('-') else 'argument'} {name}{hint}")
