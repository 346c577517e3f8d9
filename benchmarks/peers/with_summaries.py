"""The job itself, with the summary of each session beside its records."""

import sys

from pipelines import session_metrics
from pipelines.command_line import run_and_exit


def main() -> int:
    words = sys.argv[1:]
    output = words[words.index("--output") + 1]
    return session_metrics.main(
        [*words, "--runner", "FnApiRunner", "--session_summary", f"{output}-summaries"]
    )


if __name__ == "__main__":
    # Ends the process in the same way as the job.
    run_and_exit(main)
