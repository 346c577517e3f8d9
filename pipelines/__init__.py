"""One module per job."""

import gc
import logging

from pipelines.streams import hold_descriptors

# Before any other import opens a file.
hold_descriptors()

# Beam logs a lot while it is imported, which the modules of this package do.
logging.basicConfig(level=logging.ERROR)

# Importing Beam makes 170,000 objects that stay. At Python's own thresholds the collector looks through
# them for garbage 388 times meanwhile, at these six times.
gc.set_threshold(100_000, 50, 100)
