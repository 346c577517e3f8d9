"""The PCollections that the steps hand to one another, and the tags of the outputs they come from."""

from typing import NamedTuple

import apache_beam as beam

COUNTS, REJECTS, NUM_BYTES, EXAMPLES = "counts", "rejects", "num_bytes", "examples"


class Batches(NamedTuple):
    """One input, or several together, as batches.

    Attributes:
      batches: PCollection of `pa.RecordBatch`, each of one of the layouts of the module `batches`.
      rejects: PCollection of `pa.RecordBatch`, of layout `rejects.REJECTS`: rows that can't be used;
        `ToRejects` makes a `Reject` of each.
      counts: PCollection of `Counts`, to be added up: rows read, skipped, rejected.
      num_bytes: PCollection of int, to be added up: roughly how large the batches are.
    """

    batches: beam.PCollection
    rejects: beam.PCollection
    counts: beam.PCollection
    num_bytes: beam.PCollection

    @classmethod
    def merged(cls, inputs: "Batches | tuple[Batches, ...]") -> "Batches":
        """Puts several inputs into one."""
        if isinstance(inputs, cls):
            return inputs
        return cls(
            *(
                collections | name.title().replace("_", "") >> beam.Flatten()
                for name, collections in zip(cls._fields, zip(*inputs, strict=True), strict=True)
            )
        )

    def with_fates_of(self, others: "Batches") -> "Batches":
        """Adds the rejects and the counts of inputs whose batches are used as a side input alone."""
        return self._replace(
            rejects=(self.rejects, others.rejects) | "AllRejects" >> beam.Flatten(),
            counts=(self.counts, others.counts) | "AllCounts" >> beam.Flatten(),
        )


class Metrics(NamedTuple):
    """The metrics of the sessions that get records, and the fates of all rows.

    Attributes:
      batches: PCollection of `pa.RecordBatch`, of layout `metrics.schema_of`, followed by the columns of
        `summaries.COLUMNS` if summaries are asked for: one row per session; each session once.
      rejects: as in `Batches`, of all inputs.
      counts: PCollection of `Counts`, to be added up.
      samples: PCollection of `sessions.Sample`, by which the cut points of files are chosen.
      examples: PCollections of `examples.Example`: the sessions and the messages of shards in which no
        message counts, and messages that name their conversation.
    """

    batches: beam.PCollection
    rejects: beam.PCollection
    counts: beam.PCollection
    samples: beam.PCollection
    examples: tuple[beam.PCollection, ...] = ()
