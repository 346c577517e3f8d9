"""A command line: the options of a job beside those of Beam."""

import argparse
import contextlib
import difflib
from collections.abc import Sequence
from typing import Any, NoReturn

import apache_beam as beam
from apache_beam.options import pipeline_options
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    PrismRunnerOptions,
    SetupOptions,
    StandardOptions,
    TypeOptions,
    WorkerOptions,
)

from transforms.bigquery import TABLE, is_table
from transforms.files import is_local

LOCAL_RUNNERS = ("directrunner", "fnapirunner", "switchingdirectrunner", "prismrunner")
"""The runners whose workers are on this machine, in lower case."""

SUBMITTING_RUNNERS = (
    "prismrunner",
    "portablerunner",
    "flinkrunner",
    "sparkrunner",
    "kafkastreamsrunner",
)
"""The runners, in lower case, that begin no work before they have submitted a job to a server."""

_GIVEN = "_given"
"""The attribute of a namespace with the values of the options that a command line has given so far."""

_PATHS = (
    *("messages", "sessions", "channels", "participants", "records", "summaries"),
    *("output", "rejects", "summary", "session_summary", "report"),
)
"""The options of all jobs that name files or directories."""


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
        given = vars(args).setdefault(_GIVEN, {})
        if self.nargs == "+":
            values = [*given.get(self.dest, []), *values]
        elif self.dest in given:
            raise argparse.ArgumentError(self, "given twice; it takes one value")
        given[self.dest] = values
        setattr(args, self.dest, values)


class _StoreSame(argparse.Action):
    """Stores one value, as Beam's own options have it: a launcher may give the same value again."""

    def __call__(
        self, parser: argparse.ArgumentParser, args: argparse.Namespace, values: Any, _: Any = None
    ) -> None:
        given = vars(args).setdefault(_GIVEN, {})
        if given.setdefault(self.dest, values) != values:
            raise argparse.ArgumentError(self, "given twice, with different values")
        setattr(args, self.dest, values)


def parse_words(
    parser: Parser, argv: Sequence[str], required: Sequence[str]
) -> tuple[argparse.Namespace, PipelineOptions]:
    """Parses a command line into the job's options and Beam's.

    Args:
      parser: the parser of the job.
      argv: the words of the command line.
      required: the options that must be given; `a|b` is either of two.

    Raises:
      UsageError: an unknown option, a wrong value, a required option that is missing, options that
        do not go together.
    """
    args, rest = parser.parse_known_args(list(argv))
    check_beam_options(rest, parser)
    choices = [one.split("|") for one in required]
    if missing := [f"--{one[0]}" for one in choices if not any(getattr(args, n) for n in one)]:
        raise UsageError(f"{', '.join(missing)} must be given. --help lists the options")
    beam_options = _beam_options(rest, args)
    for name in ("closed", "created"):
        start, end = (getattr(args, f"{name}_{edge}", None) for edge in ("from", "until"))
        if start is not None and end is not None and start >= end:
            raise UsageError(f"--{name}_from must be before --{name}_until")
    return args, beam_options


def check_beam_options(words: Sequence[str], parser: argparse.ArgumentParser) -> None:
    """Looks for options that neither the job nor Beam knows; Beam by itself ignores them.

    Args:
      words: what the parser of the job has left of a command line.
      parser: the parser of the job, whose options may have been meant.

    Raises:
      UsageError: an option is unknown, or an option of Beam's has a wrong value.
    """
    # Beam has no public list of its options. Its own classes add theirs to a parser of this kind.
    beams = pipeline_options._BeamArgumentParser(allow_abbrev=False, add_help=False)
    beams.register("action", None, _StoreSame)
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(beams)
    beams.error = parser.error  # type: ignore[method-assign]
    _, unknown = beams.parse_known_args(list(words))
    if not unknown:
        return
    word = unknown[0].split("=")[0]
    known = [o for p in (parser, beams) for action in p._actions for o in action.option_strings]
    near = difflib.get_close_matches(word, known, 1, 0.8)
    hint = f"; did you mean {near[0]}?" if near else ". --help lists the options"
    raise UsageError(f"unknown {'option' if word.startswith('-') else 'argument'} {word}{hint}")


def _beam_options(words: Sequence[str], args: argparse.Namespace) -> PipelineOptions:
    """Makes Beam's options, with the defaults that every job needs."""
    options = PipelineOptions(words)
    _refuse_threads(options)
    _refuse_local_paths(options, args)
    setup = options.view_as(SetupOptions)
    # No worker needs anything from __main__, whatever the runner's default is.
    setup.save_main_session = bool(setup.save_main_session)
    try:
        beam.Pipeline(options=options)
    # Each runner has errors of its own for options that it can't follow.
    except Exception as error:
        raise refusal(options, error) from None
    if runner_of(options) in LOCAL_RUNNERS:
        # What a worker in this process logs would drown the lines of the job.
        worker = options.view_as(WorkerOptions)
        worker.default_sdk_harness_log_level = worker.default_sdk_harness_log_level or "CRITICAL"
    if not options.view_as(PrismRunnerOptions).prism_location:
        # DirectRunner tries to download Prism, without a timeout. It skips that for pipelines with
        # unsafe triggers allowed; we have no triggers, so the flag changes nothing else.
        options.view_as(TypeOptions).allow_unsafe_triggers = True
    return options


def refusal(options: PipelineOptions, error: Exception) -> UsageError:
    """The error, one line, for what a runner says of its options."""
    runner = options.view_as(StandardOptions).runner or "DirectRunner"
    line = " ".join(str(error).split()) or type(error).__name__
    return UsageError(line if runner in line else f"--runner {runner}: {line}")


def _refuse_threads(options: PipelineOptions) -> None:
    """Raises UsageError for the one mode of the local runners that loses rows, and for no number."""
    direct = options.view_as(DirectOptions)
    if direct.direct_num_workers < 0:
        raise UsageError(
            f"--direct_num_workers {direct.direct_num_workers}: name 1 or more, or 0 for one per core"
        )
    threads = direct.direct_running_mode == "multi_threading" and direct.direct_num_workers != 1
    if threads and runner_of(options) in LOCAL_RUNNERS:
        raise UsageError(
            "--direct_running_mode=multi_threading with more than one worker loses rows; "
            "use --direct_running_mode=multi_processing"
        )


def _refuse_local_paths(options: PipelineOptions, args: argparse.Namespace) -> None:
    """Raises UsageError for a path of this machine, where the workers are Dataflow's."""
    if runner_of(options) != "dataflowrunner":
        return
    for name in _PATHS:
        value = getattr(args, name, None) or []
        for path in [value] if isinstance(value, str) else value:
            if is_local(path) and not is_table(path) and not is_table_name(path):
                raise UsageError(
                    f"--{name} {path}: Dataflow has no files of this machine; use gs://"
                )


def is_table_name(place: str) -> bool:
    """Whether a place for output is a BigQuery table, and no directory."""
    return ":" in place and bool(TABLE.fullmatch(place))


def runner_of(options: PipelineOptions) -> str:
    """The name of the runner, in lower case and without its module."""
    return (options.view_as(StandardOptions).runner or "DirectRunner").rsplit(".")[-1].lower()
