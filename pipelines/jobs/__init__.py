"""What each command runs: transforms made of its options, as a Beam pipeline."""

import gc
import importlib
import logging
import sys

# Beam logs a lot while it is imported, which the modules of this package do.
logging.basicConfig(level=logging.ERROR)

# Importing Beam makes 170,000 objects that stay. At Python's own thresholds the collector looks through
# them for garbage 388 times meanwhile, at these once at most.
gc.set_threshold(200_000, 50, 100)

# Beam does without these if they are not there: the client of MongoDB, and its own transforms for
# BigQuery and Pub/Sub, which no job has. They are a twelfth of the time of a small run, and can be
# imported later.
_LEFT_OUT = {"bson", "apache_beam.io.gcp.bigquery"} - sys.modules.keys()
sys.modules.update(dict.fromkeys(_LEFT_OUT))  # type: ignore[arg-type]
try:
    importlib.import_module("apache_beam")
finally:
    for name in _LEFT_OUT:
        del sys.modules[name]
