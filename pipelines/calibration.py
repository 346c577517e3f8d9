"""Which policy Salesforce follows in an org, from an export of the org's own records."""

import argparse

from pipelines import option_values, options
from pipelines.command_line import Command, Parser


def parser() -> Parser:
    """The parser of the job's own options."""
    parser = Parser(
        "session-calibration",
        "Says which policy Salesforce's own MessagingSessionMetrics records follow.",
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


def check(args: argparse.Namespace) -> list[str]:
    """Looks for what is wrong with the options and the inputs; returns the lines for `--verbose`.

    Raises:
      UsageError: a wrong value.
      JobError: an input can't be had.
    """
    option_values.columns_of(args.record_columns, "record")
    return options.check_inputs(args) + options.check_input(args, "records")


COMMAND = Command(
    parser=parser,
    required=["messages", "sessions", "records", "output"],
    check=check,
    job="pipelines.jobs.calibration",
)
main, run = COMMAND.main, COMMAND.run

if __name__ == "__main__":
    run()
