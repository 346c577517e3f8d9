"""One module per job."""

import logging

# Beam logs a lot while it is imported, which the modules of this package do.
logging.basicConfig(level=logging.ERROR)
