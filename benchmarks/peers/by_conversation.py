"""The job itself, for messages that name only their conversation."""

import sys

from pipelines import session_metrics

if __name__ == "__main__":
    session_metrics.run([*sys.argv[1:], "--runner", "FnApiRunner"])
