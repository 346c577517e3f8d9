"""What each command runs: transforms made of its options, as a Beam pipeline."""

import gc
import importlib
import logging
import sys

# Beam logs a lot while it is imported, which the modules of this package do.
logging.basicConfig(level=logging.ERROR)

# Importing Beam makes 170,000 objects that stay. At Python's own thresholds the collector looks through
# them for garbage 388 times meanwhile, at these six times.
gc.set_threshold(100_000, 50, 100)

# Beam imports the client of MongoDB, unless there is no `bson`: a twentieth of the time of a small run.
if "bson" not in sys.modules:
    sys.modules["bson"] = None  # type: ignore[assignment]
    try:
        importlib.import_module("apache_beam")
    finally:
        del sys.modules["bson"]
