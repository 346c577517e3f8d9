"""The PCollections that the steps hand to one another."""

from typing import NamedTuple

import apache_beam as beam


class Metrics(NamedTuple):
    """The metrics of the sessions that get records, and what became of everything else.

    Attributes:
      batches: PCollection of `pa.RecordBatch`, schema `metrics.schema_of`, where summaries are asked for
        with the columns of `summaries.COLUMNS` besides: one row per session; each session once.
      rejects: PCollection of `Reject`, of all inputs.
      counts: PCollection of dicts, to be added up.
      samples: PCollection of `cutting.Sample`, by which files are cut.
    """

    batches: beam.PCollection
    rejects: beam.PCollection
    counts: beam.PCollection
    samples: beam.PCollection


COUNTS = "counts"
"""The tag of the output that holds the counts."""

REJECTS, NUM_BYTES = "rejects", "num_bytes"


class Batches(NamedTuple):
    """An input as the rest of the pipeline takes it.

    Attributes:
      batches: PCollection of `pa.RecordBatch`, schema `batches.MESSAGES`, `batches.SESSIONS`,
        `batches.RECORDS` or `batches.SUMMARIES`.
      rejects: PCollection of `Reject`: rows that can't be used.
      counts: PCollection of dicts, to be added up: how many rows were read, skipped, rejected.
      num_bytes: PCollection of int, to be added up: how large the batches are, roughly.
    """

    batches: beam.PCollection
    rejects: beam.PCollection
    counts: beam.PCollection
    num_bytes: beam.PCollection
