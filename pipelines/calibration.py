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
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines import console, option_values, options, running
from pipelines.command_line import Parser, parse_words
from schemas import metric_types
from transforms import ReadMessages, ReadMessagesAndSessions, ReadSessions
from transforms.batches import Counts
from transforms.calibrating.calibrate import CalibratePolicy
from transforms.calibrating.write import DIFFERENCES_NAME, FINDINGS_NAME, WriteCalibration
from transforms.policy import SWITCHES
from transforms.reading.inputs import check_inputs
from transforms.reading.names import ColumnNames
from transforms.reading.read import ReadRecords

PROGRAM = "session-calibration"
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


def parser() -> Parser:
    """The parser of the job's own options."""
    parser = Parser(
        PROGRAM, "Says which policy Salesforce's own MessagingSessionMetrics records follow."
    )
    files = options.add_inputs(parser)
    files.add_argument(
        "--records",
        nargs="+",
        metavar="PATTERN",
        help="files or BigQuery tables with Salesforce's own records",
    )
    files.add_argument(
        "--record_columns",
        action="append",
        metavar="NAME=THEIRS,...",
        help="columns of the records that have other names",
    )
    out = parser.add_argument_group("output")
    out.add_argument(
        "--output", metavar="DIR", help="directory for the findings and the differences"
    )
    options.add_reject_ratio(out)
    options.add_verbose(out)
    options.add_ranges(parser)
    options.add_session_lead(parser.add_argument_group("rules"))
    return parser


def parse(argv: Sequence[str]) -> Job:
    """Makes a job of a command line.

    Raises:
      UsageError: an unknown option, a wrong value, options that do not go together.
      JobError: an input can't be had.
    """
    required = ["messages", "sessions", "records", "output"]
    args, beam_options = parse_words(parser(), argv, required)
    read_messages, read_sessions = options.readers(args)
    columns = option_values.columns_of(args.record_columns, "record")
    said = options.check_readers(read_messages, read_sessions)
    said += check_inputs(args.records, ColumnNames.of("records", columns))
    return Job(
        beam_options=beam_options,
        outputs=[args.output],
        published_in=args.output,
        said=said if args.verbose else (),
        read_messages=read_messages,
        read_sessions=read_sessions,
        read_records=ReadRecords(tuple(args.records), columns),
        calibrate_policy=CalibratePolicy(options.policy_of(args)),
        write_calibration=WriteCalibration(args.output, args.max_reject_ratio),
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


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job that a command line asks for; returns the exit status."""
    return running.run_job(PROGRAM, argv, parse=parse, build=build, tell=tell)


def run() -> None:
    """The console script."""
    running.run_and_exit(main)


if __name__ == "__main__":
    run()
