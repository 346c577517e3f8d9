"""The calibration: its transforms, its pipeline, the last lines of its run."""

import argparse
import csv
import dataclasses
import io
import itertools
import json
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines import option_values
from pipelines.command_line import Ending
from pipelines.jobs import console, inputs, running
from pipelines.jobs.beam_options import name_run
from schemas import metric_types
from transforms import ReadMessages, ReadMessagesAndSessions, ReadSessions
from transforms.batches import Counts
from transforms.calibrating.calibrate import CalibratePolicy
from transforms.calibrating.write import DIFFERENCES_NAME, FINDINGS_NAME, WriteCalibration
from transforms.policy import SWITCHES
from transforms.reading.read import ReadRecords

_SHOWN_DIFFERENCES = 10
# The least width of the tables, whatever the terminal has: no number may be cut short.
_WIDTH = 140
_HEADERS = {
    "AgentMessageCount": "agent\nmessages",
    "AverageAgentResponseTime": "agent\naverage",
    "AverageEndUserResponseTime": "end user\naverage",
    "EndUserMessageCount": "end user\nmessages",
    "MaxAgentResponseTime": "agent\nlongest",
    "MaxEndUserResponseTime": "end user\nlongest",
    "ServiceRepAcceptToFirstResponseTime": "accept to\nfirst",
    "ServiceRepFirstResponseTime": "first\nresponse",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job(running.Job):
    """A run of the calibration: its transforms."""

    read_messages: ReadMessages
    read_sessions: ReadSessions
    read_records: ReadRecords
    calibrate_policy: CalibratePolicy
    write_calibration: WriteCalibration


def make(args: argparse.Namespace, beam_options: PipelineOptions) -> Job:
    """Makes the job of its options, which have been checked, and Beam's."""
    read_messages, read_sessions = inputs.readers(args)
    columns = option_values.columns_of(args.record_columns, "record")
    run = name_run(beam_options)
    return Job(
        beam_options=beam_options,
        outputs=[args.output],
        published_in=args.output,
        run=run,
        read_messages=read_messages,
        read_sessions=read_sessions,
        read_records=ReadRecords(tuple(args.records), columns),
        calibrate_policy=CalibratePolicy(inputs.policy_of(args)),
        write_calibration=WriteCalibration(args.output, args.max_reject_ratio, run),
    )


def build(pipeline: beam.Pipeline, job: Job) -> beam.PCollection:
    """Adds the job to a pipeline; returns the counts of the run, once published."""
    end_early = job.write_calibration.max_reject_ratio < 1
    read = ReadMessagesAndSessions(
        job.read_messages, job.read_sessions, job.read_records, end_early
    )
    return (
        pipeline
        | "ReadForCalibration" >> read
        | "CalibratePolicy" >> job.calibrate_policy
        | "WriteCalibration" >> job.write_calibration
    )


def tell(out: Console, job: Job, counts: Counts, stages: Counts) -> None:
    """Prints the last lines of a run that has published: the policies, and the best one's differences."""
    output = job.published_in.rstrip("/")
    with FileSystems.open(f"{output}/{FINDINGS_NAME}") as file:
        report = json.loads(file.read())
    out.width = max(out.width, _WIDTH)
    out.print(console.closing_table(counts))
    if table := console.stage_table(stages):
        out.print(table)
    out.print()
    out.print(_policy_table(report["policies"]))
    out.print()
    best = report["policies"][0]
    differing = best["compared"] - best["exact"]
    if differing:
        out.print(_difference_table(f"{output}/{DIFFERENCES_NAME}"))
        more = differing - _SHOWN_DIFFERENCES
        if more > 0:
            out.print(f"and {more:,} more")
        out.print()
    for switch, values in report["not_told_apart"].items():
        out.print(f"the data can't tell --{switch} {' from '.join(values)}", markup=False)
    out.print(f"best: {report['flags']}", markup=False)
    out.print(f"{differing:,} of {best['compared']:,} records differ", markup=False)
    out.print(f"published in {job.published_in}", markup=False)
    for line in console.doubts(counts):
        out.print(line, markup=False)


def _policy_table(policies: list[dict[str, Any]]) -> Table:
    """The policies with the share of the records that each reproduces, in percent."""
    types = [name for name in metric_types() if name in policies[0]["types"]]
    ranks = [one["rank"] for one in policies]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="")
    table.add_column("\nrank")
    for switch in SWITCHES:
        table.add_column("\n".join(switch.split("_")) if "_" in switch else f"\n{switch}")
    for header in ("\nexact %", "within\n1 s %", *(_HEADERS[name] for name in types)):
        table.add_column(header, justify="right", no_wrap=True)
    for one in policies:
        tied = "=" if ranks.count(one["rank"]) > 1 else ""
        table.add_row(
            f"{one['rank']}{tied}",
            *(one[switch] for switch in SWITCHES),
            _percent(one, "exact"),
            _percent(one, "within_1_s"),
            *(_percent(one["types"][name], "exact") for name in types),
        )
    return table


def _percent(numbers: dict[str, int], what: str) -> str:
    """Cut off, so that 100.00 is all of them."""
    return f"{numbers[what] * 10_000 // numbers['compared'] / 100:.2f}"


def _difference_table(path: str) -> Table:
    """The first differences."""
    with FileSystems.open(path) as file:
        rows = csv.reader(io.TextIOWrapper(file, "utf-8", newline=""))
        first = list(itertools.islice(rows, 1 + _SHOWN_DIFFERENCES))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="")
    for number, name in enumerate(first[0]):
        table.add_column(name.replace("_", " "), justify="right" if number > 1 else "left")
    for row in first[1:]:
        table.add_row(*(Text(cell) for cell in row))
    return table


def run(program: str, args: argparse.Namespace, words: Sequence[str]) -> Ending:
    """Runs the job; returns how it has ended. For the arguments see `running.run_job`."""
    return running.run_job(program, args, words, make=make, build=build, tell=tell)
