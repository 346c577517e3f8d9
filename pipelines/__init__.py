"""One module per job: its command line, which answers before Beam is imported. `jobs` has what runs."""

from pipelines.streams import hold_descriptors

# Before any other import opens a file.
hold_descriptors()
