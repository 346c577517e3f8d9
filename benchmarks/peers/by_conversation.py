"""The job itself, for messages that name only their conversation."""

import sys

from pipelines import session_metrics
from pipelines.command_line import run_and_exit


def main() -> int:
    return session_metrics.main([*sys.argv[1:], "--runner", "FnApiRunner"])


if __name__ == "__main__":
    # Ends the process in the same way as the job.
    run_and_exit(main)
