"""The main job: message and session exports in, six records per closed session out."""

import argparse
import os

from pipelines import option_values, options
from pipelines.command_line import Command, Parser, UsageError
from schemas import DEFAULT_METRICS, metric_types
from transforms.bigquery import is_table_name, parse_table
from transforms.errors import JobError
from transforms.files import is_local
from transforms.policy import SWITCHES

_RULES = {
    "response_from": "message of the other side's turn that a response is timed from",
    "bots": "whether a bot's turn stops the agent's clock: with answer it does, with ignore bots are "
    "left out",
    "late_messages": "whether messages later than the session's end count",
    "rounding": "how averages and maxima are rounded to whole seconds",
}


def parser() -> Parser:
    """The parser of the job's own options."""
    parser = Parser(
        "session-metrics",
        "Computes the six MessagingSessionMetrics records of each closed messaging session.",
    )
    options.add_inputs(parser)
    out = parser.add_argument_group("output")
    out.add_argument(
        "--output",
        metavar="DIR",
        help="directory for the records: a run replaces the records of an earlier one there, or with "
        "--partition_by day those of its days",
    )
    out.add_argument(
        "--output_table",
        metavar="PROJECT:DATASET.TABLE",
        help="BigQuery table for the records, with or without --output: its rows in the range of "
        "--closed_from and --closed_until are replaced",
    )
    out.add_argument(
        "--output_format",
        choices=["avro", "parquet", "csv", "jsonl"],
        default="avro",
        help="format of the output files; csv has the three columns that Bulk API 2.0 can insert "
        "(default %(default)s)",
    )
    out.add_argument(
        "--partition_by",
        choices=["none", "day"],
        default="none",
        help="how the output is divided; day: a directory created_date=2024-10-02 for each day on "
        "which sessions ended, UTC (default %(default)s)",
    )
    out.add_argument(
        "--rejects",
        metavar="DIR",
        help="directory for the rows that can't be used (default rejects in --output)",
    )
    options.add_reject_ratio(out)
    # A Flex Template gives each option a value.
    out.add_argument(
        "--allow_no_messages",
        nargs="?",
        choices=["true", "false"],
        const="true",
        default="false",
        help="whether to publish if sessions are reported and not one message counts; else the run fails "
        "(default %(default)s)",
    )
    out.add_argument("--summary", metavar="FILE", help="file for the counts of the run, as JSON")
    out.add_argument(
        "--session_summary",
        metavar="DIR|PROJECT:DATASET.TABLE",
        help="directory or BigQuery table for one row per session: its response times in microseconds, "
        "their number, total, median and more",
    )
    out.add_argument(
        "--metrics",
        type=option_values.metrics,
        default=",".join(DEFAULT_METRICS),
        metavar="TYPE,...",
        help=f"types of the records, of {', '.join(metric_types())}; the last two need accepted_at "
        "and routed_at of the sessions (default the first six)",
    )
    out.add_argument(
        "--report",
        metavar="FILE",
        help="file for a page of HTML: sessions, messages and response times per day, by hour and by "
        "channel type",
    )
    options.add_time_zone(out)
    options.add_verbose(out)
    options.add_ranges(parser)
    rules = parser.add_argument_group("rules")
    options.add_session_lead(rules)
    for switch, values in SWITCHES.items():
        rules.add_argument(
            f"--{switch}",
            choices=values,
            default=values[0],
            help=f"{_RULES[switch]} (default %(default)s)",
        )
    return parser


def check(args: argparse.Namespace) -> list[str]:
    """Looks for what is wrong with the options and the inputs; returns the lines for `--verbose`.

    Raises:
      UsageError: options that do not go together, a wrong value.
      JobError: an input can't be had.
    """
    _check_output(args)
    _check_report(args)
    # This module needs Arrow, which `--help` does without.
    from transforms.folding.metrics import METRICS

    needed = [column for name in args.metrics if (column := METRICS[name].needs)]
    return options.check_inputs(args, needed)


def _check_output(args: argparse.Namespace) -> None:
    if args.partition_by == "day":
        if not args.output:
            raise UsageError("--partition_by is of --output, which is not given")
        option_values.whole_days(args)
    if args.output_table:
        _check_table(args, "output_table")
    place = args.session_summary
    if place and is_table_name(place):
        _check_table(args, "session_summary")
    elif place and args.output:
        one, other = (
            os.path.abspath(p) if is_local(p) else p.rstrip("/") for p in (place, args.output)
        )
        if options.is_within(one, other) or options.is_within(other, one):
            raise UsageError(
                f"--session_summary {place}: must be a directory of its own, neither in nor around "
                f"{args.output}"
            )
    if args.summary:
        options.check_local_file("summary", args.summary, within=args.output)


def _check_table(args: argparse.Namespace, option: str) -> None:
    """Raises UsageError for a table that an option names, and that can't be replaced range by range."""
    if args.output_format != "avro":
        raise UsageError(f"--{option} takes Avro files; leave --output_format out")
    if args.created_from is not None or args.created_until is not None:
        raise UsageError(
            f"--{option} is replaced by when sessions ended, so sessions that --created_from and "
            "--created_until leave out would be removed; use --closed_from and --closed_until"
        )
    try:
        parse_table(getattr(args, option))
    except JobError as error:
        raise UsageError(f"--{option} {error}") from None


def _check_report(args: argparse.Namespace) -> None:
    if not args.report:
        if args.report_time_zone:
            raise UsageError("--report_time_zone is of --report, which is not given")
        return
    options.check_local_file("report", args.report, within=args.output)
    if args.report == args.summary:
        raise UsageError(f"--report {args.report}: is the file of --summary, too")


COMMAND = Command(
    parser=parser,
    required=["messages", "sessions", "output|output_table"],
    check=check,
    job="pipelines.jobs.session_metrics",
)
main, run = COMMAND.main, COMMAND.run

if __name__ == "__main__":
    run()
