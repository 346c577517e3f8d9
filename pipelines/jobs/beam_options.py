"""Beam's own options of a command line, and which of its runners do what."""

import argparse
import copy
import json
import logging
import shutil
import uuid
from collections.abc import Sequence
from typing import Any, TypeVar

import apache_beam as beam
from apache_beam.options import pipeline_options
from apache_beam.options.pipeline_options import (
    DirectOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    PrismRunnerOptions,
    SetupOptions,
    StandardOptions,
    TypeOptions,
    WorkerOptions,
)

from pipelines.command_line import GIVEN, Parser, UsageError, unknown
from pipelines.jobs.endpoints import check_endpoints, is_of_this_machine

AnyOptions = TypeVar("AnyOptions", bound=PipelineOptions)

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


_OF_FLINK = [
    "allow_non_restored_state",
    "attached_mode",
    "auto_balance_write_files_sharding_enabled",
    "auto_watermark_interval",
    "checkpoint_timeout_millis",
    "checkpointing_interval",
    "checkpointing_mode",
    "disable_metrics",
    "enable_stable_input_drain",
    "execution_mode_for_batch",
    "execution_retry_delay",
    "externalized_checkpoints_enabled",
    "fail_on_checkpointing_errors",
    "faster_copy",
    "file_input_split_max_size_m_b",
    "finish_bundle_before_checkpointing",
    "flink_conf_dir",
    "force_slot_sharing_group",
    "force_unaligned_checkpoint_enabled",
    "job_check_interval_in_secs",
    "latency_tracking_interval",
    "max_bundle_size",
    "max_bundle_time_mills",
    "min_pause_between_checkpoints",
    "num_concurrent_checkpoints",
    "number_of_execution_retries",
    "object_reuse",
    "operator_chaining",
    "re_iterable_group_by_key_result",
    "report_checkpoint_duration",
    "retain_externalized_checkpoints_on_cancellation",
    "savepoint_path",
    "shutdown_sources_after_idle_ms",
    "state_backend",
    "state_backend_factory",
    "state_backend_storage_path",
    "tolerable_checkpoint_failure_number",
    "unaligned_checkpoint_enabled",
    "use_data_stream_for_batch",
]
"""The options that Flink's job server declares beside those of the Python SDK.

From Beam's page on the Flink runner. Beam asks the server for them, once it is there.
"""


class _StoreSame(argparse.Action):
    """Stores one value, as Beam's own options have it: a launcher may give the same value again."""

    def __call__(
        self, parser: argparse.ArgumentParser, args: argparse.Namespace, values: Any, _: Any = None
    ) -> None:
        given = vars(args).setdefault(GIVEN, {})
        if given.setdefault(self.dest, values) != values:
            raise argparse.ArgumentError(self, "given twice, with different values")
        setattr(args, self.dest, values)


class _BeamParser(pipeline_options._BeamArgumentParser):
    """Beam's parser. It raises UsageError for a wrong value."""

    error = Parser.error


class _Options(PipelineOptions):
    """Beam's options that make each view once.

    Beam asks for a view some six hundred times in a run, nearly always the same one, and makes it anew:
    0.2 of the 1.5 CPU seconds that a small run takes.
    """

    def __init__(self, flags: Sequence[str]) -> None:
        # Beam's own __setattr__ takes options alone.
        object.__setattr__(self, "_views", {})
        super().__init__(flags)

    def view_as(self, cls: type[AnyOptions]) -> AnyOptions:
        """The view of a class; all views share their values."""
        if cls not in self._views:
            self._views[cls] = super().view_as(cls)
        return self._views[cls]

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickled as Beam's own class, which any worker has.
        return object.__new__, (PipelineOptions,), self._state()

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Options":
        # A pipeline copies its options first.
        copied = object.__new__(_Options)
        copied.__dict__.update(copy.deepcopy(self._state(), memo), _views={})
        return copied

    def _state(self) -> dict[str, Any]:
        # Beam takes secrets out of the state; the views, which have them, stay behind.
        return {name: value for name, value in self.__getstate__().items() if name != "_views"}


def beam_parser() -> argparse.ArgumentParser:
    """A parser of all of Beam's options."""
    # Beam has no public list of its options. Its own classes add theirs to a parser of this kind.
    parser = _BeamParser(allow_abbrev=False, add_help=False)
    parser.register("action", None, _StoreSame)
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(parser)
    # Flags among them take no value here, as Beam's parser has it once the server has declared them.
    for name in _OF_FLINK:
        parser.add_argument(f"--{name}", nargs="?", const=True)
    return parser


def check_values(words: Sequence[str]) -> None:
    """Looks at the values of Beam's options.

    Raises:
      UsageError: a wrong value, a word of no option, an option of Flink's where another runner runs.
    """
    parser = beam_parser()
    found, strays = parser.parse_known_args(list(words))
    if strays:
        raise unknown(strays[0], parser)
    runner = _plain_name(found.runner)
    if runner in ("flinkrunner", "portablerunner"):
        return
    for name in _OF_FLINK:
        if name in getattr(found, GIVEN, {}):
            raise UsageError(f"--{name} is of Flink's job server; the runner is {found.runner}")


def parse_options(words: Sequence[str]) -> PipelineOptions:
    """Makes Beam's options, with the defaults that every job needs.

    Args:
      words: what the parser of the command has left of the command line.

    Raises:
      UsageError: a wrong value, options that do not go together or that the runner can't follow.
    """
    check_values(words)
    options = _Options(words)
    _refuse_threads(options)
    _check_command(options)
    check_endpoints(options)
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


def _check_command(options: PipelineOptions) -> None:
    """Raises UsageError where workers are to be processes, of no program or of one that is not there.

    Prism would wait for ever for one that is missing. A runner elsewhere has its programs elsewhere, and
    one that is reached at an address of this machine may be elsewhere, too: behind a tunnel.
    """
    portable = options.view_as(PortableOptions)
    if portable.environment_type != "PROCESS":
        return
    config = portable.environment_config
    try:
        command = json.loads(config or "{}")["command"]
    except (ValueError, LookupError, TypeError):
        command = None
    if not command:
        example = """'{"command": "session-metrics-worker"}'"""
        raise UsageError(f"--environment_config {config}: PROCESS takes JSON, such as {example}")
    if shutil.which(command):
        return
    line = f"--environment_config {config}: there is no such program on this machine"
    if runner_of(options) in LOCAL_RUNNERS:
        raise UsageError(line)
    if is_of_this_machine(portable.job_endpoint):
        logging.getLogger(__name__).error("%s; if the runner is here, the job waits for ever", line)


def name_run(options: PipelineOptions) -> str:
    """The name of a run. What a template describes has none: it may be launched many times."""
    return "" if options.view_as(GoogleCloudOptions).template_location else uuid.uuid4().hex


def runner_of(options: PipelineOptions) -> str:
    """The name of the runner, in lower case and without its module."""
    return _plain_name(options.view_as(StandardOptions).runner)


def _plain_name(runner: str | None) -> str:
    return (runner or "DirectRunner").rsplit(".")[-1].lower()
