"""Which policy Salesforce follows in an org, from an export of the org's own records."""

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

from pipelines import console, options, running
from pipelines.running import Runnable, perform
from schemas import metric_types
from transforms import Policy, ReadMessages, ReadMessagesAndSessions, ReadSessions
from transforms.batches import Counts
from transforms.calibrating.calibrate import CalibratePolicy
from transforms.calibrating.write import DIFFERENCES_NAME, FINDINGS_NAME, WriteCalibration
from transforms.policy import SWITCHES
from transforms.reading.columns import ColumnNames
from transforms.reading.inputs import check_inputs
from transforms.reading.read import ReadRecords

_SHOWN_DIFFERENCES = 10

_WIDTH = 140  # at least, whatever the terminal has: a share that is cut short is none

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


@dataclasses.dataclass(frozen=True)
class Job(Runnable):
    """What the command line asks for."""

    read_messages: ReadMessages
    read_sessions: ReadSessions
    read_records: ReadRecords
    calibrate_policy: CalibratePolicy
    write_calibration: WriteCalibration
    beam_options: PipelineOptions

    @property
    def outputs(self) -> list[str]:
        """The directories that are published."""
        return [self.write_calibration.output]

    @property
    def shown(self) -> str:
        """Where the output is, once published, in words."""
        return self.write_calibration.output

    @property
    def files_beside(self) -> list[str]:
        """None."""
        return []


def _parser() -> options.Parser:
    parser = options.Parser(
        prog="session-calibration",
        description="Says which policy Salesforce's own MessagingSessionMetrics records follow.",
        epilog="Beam's own options (--runner, --temp_location, ...) may be given besides.",
        allow_abbrev=False,
    )
    files = options.add_inputs(parser)
    files.add_argument(
        "--records", nargs="+", metavar="PATTERN", help="files of Salesforce's own records"
    )
    files.add_argument("--record_columns", metavar="NAME=THEIRS,...", help="the same for records")
    out = parser.add_argument_group("output")
    out.add_argument("--output", metavar="DIR", help="directory for the report and the differences")
    out.add_argument(
        "--max_reject_ratio",
        type=options.ratio,
        default=0.01,
        metavar="SHARE",
        help="with more of an input's rows rejected the run fails (default 0.01)",
    )
    options.add_ranges(parser)
    return parser


def parse(argv: Sequence[str]) -> Job:
    """Makes a job of a command line.

    Raises:
      UsageError: an unknown option, a value that there is not, options that do not go together.
      JobError: an input is not to be had.
    """
    parser = _parser()
    args, rest = parser.parse_known_args(list(argv))
    options.check_beam_options(rest, parser)
    given = ("messages", "sessions", "records", "output")
    beam_options = options.check_common(args, rest, given)
    ranges = {
        f"{name}_{edge}_us": getattr(args, f"{name}_{edge}")
        for name in ("closed", "created")
        for edge in ("from", "until")
    }
    job = Job(
        *options.readers(args),
        ReadRecords(tuple(args.records), options.columns_of(args.record_columns, "record")),
        CalibratePolicy(Policy(**ranges)),
        WriteCalibration(args.output, args.max_reject_ratio),
        beam_options,
    )
    options.check_readers(job.read_messages, job.read_sessions)
    check_inputs(args.records, ColumnNames.of("records", job.read_records.columns))
    return job


def build(pipeline: beam.Pipeline, job: Job) -> beam.PCollection:
    """Adds the whole job to a pipeline; gives the counts of the run, once published."""
    read = ReadMessagesAndSessions(job.read_messages, job.read_sessions, job.read_records)
    return (
        pipeline
        | "ReadForCalibration" >> read
        | "CalibratePolicy" >> job.calibrate_policy
        | "WriteCalibration" >> job.write_calibration
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job that a command line asks for; returns the exit status."""
    return perform("session-calibration", argv, parse, build, _tell)


def _tell(out: Console, job: Job, counts: Counts, stages: Counts) -> None:
    """Tells of a run that has published."""
    output = job.shown.rstrip("/")
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
    out.print(f"published in {job.shown}", markup=False)


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


def run() -> None:
    """The console script."""
    running.run(main)


if __name__ == "__main__":
    run()
