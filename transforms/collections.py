"""The PCollections that the steps hand to one another, and the tags of the outputs they come from."""

from typing import NamedTuple

import apache_beam as beam

COUNTS, REJECTS, NUM_BYTES = "counts", "rejects", "num_bytes"


class Batches(NamedTuple):
    """One input, or several together, as batches.

    Attributes:
      batches: PCollection of `pa.RecordBatch`, of layout `batches.MESSAGES`, `batches.SESSIONS`,
        `batches.SALESFORCE_RECORDS` or `batches.SUMMARIES`.
      rejects: PCollection of `Reject`: rows that can't be used.
      counts: PCollection of `Counts`, to be added up: rows read, skipped, rejected.
      num_bytes: PCollection of int, to be added up: roughly how large the batches are.
    """

    batches: beam.PCollection
    rejects: beam.PCollection
    counts: beam.PCollection
    num_bytes: beam.PCollection


class Metrics(NamedTuple):
    """The metrics of the sessions that get records, and the fates of all rows.

    Attributes:
      batches: PCollection of `pa.RecordBatch`, of layout `metrics.schema_of`, followed by the columns of
        `summaries.COLUMNS` if summaries are asked for: one row per session; each session once.
      rejects: PCollection of `Reject`, of all inputs.
      counts: PCollection of `Counts`, to be added up.
      samples: PCollection of `sessions.Sample`, by which the cut points of files are chosen.
    """

    batches: beam.PCollection
    rejects: beam.PCollection
    counts: beam.PCollection
    samples: beam.PCollection
