"""One module per job."""

import logging

from pipelines.streams import hold_descriptors

# Before any other import opens a file.
hold_descriptors()

# Beam logs a lot while it is imported, which the modules of this package do.
logging.basicConfig(level=logging.ERROR)
