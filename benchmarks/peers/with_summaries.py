"""The job itself, with the summary of each session beside its records."""

import sys

from pipelines import session_metrics

if __name__ == "__main__":
    words = sys.argv[1:]
    output = words[words.index("--output") + 1]
    session_metrics.run(
        [*words, "--runner", "FnApiRunner", "--session_summary", f"{output}-summaries"]
    )
