"""The report alone: summaries of sessions in, one page of HTML out."""

import argparse
import os
from collections.abc import Sequence

from pipelines import option_values, options
from pipelines.command_line import Command, Parser, UsageError
from transforms.bigquery import is_table
from transforms.files import is_local, match


def parser() -> Parser:
    """The parser of the job's own options."""
    parser = Parser(
        "session-report", "Makes one page of HTML of the summaries of messaging sessions."
    )
    parser.add_argument(
        "--summaries",
        nargs="+",
        metavar="PATTERN",
        help="files or BigQuery tables that --session_summary of session-metrics has written: .avro "
        ".parquet .jsonl .csv (text also .gz .bz2 .zst), bigquery:PROJECT.DATASET.TABLE",
    )
    parser.add_argument("--output", metavar="FILE", help="file for the page, FILE.html")
    options.add_time_zone(parser)
    parser.add_argument(
        "--counts",
        metavar="FILE",
        help="file that --summary of session-metrics has written: the page then shows what was "
        "rejected, and why",
    )
    options.add_verbose(parser)
    return parser


def check(args: argparse.Namespace) -> list[str]:
    """Looks for what is wrong with the options and the inputs; returns the lines for `--verbose`.

    Raises:
      UsageError: a wrong value.
      JobError: an input can't be had.
    """
    options.check_local_file("output", args.output)
    if args.counts:
        option_values.counts_in(args.counts)
    lines = options.check_input(args, "summaries")
    _check_once(args.summaries)
    return lines


def _check_once(patterns: Sequence[str]) -> None:
    """Raises UsageError where a file or a table is named twice, as its sessions would count twice."""
    seen: set[str] = set()
    for pattern in patterns:
        of_table = is_table(pattern)
        for path in [pattern] if of_table else [path for path, _ in match(pattern)]:
            place = os.path.realpath(path) if is_local(path) and not of_table else path
            if place in seen:
                raise UsageError(f"--summaries: {path} is named twice")
            seen.add(place)


COMMAND = Command(
    parser=parser, required=["summaries", "output"], check=check, job="pipelines.jobs.report"
)
main, run = COMMAND.main, COMMAND.run

if __name__ == "__main__":
    run()
