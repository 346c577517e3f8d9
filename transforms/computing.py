"""From messages and sessions to metrics: `ComputeSessionMetrics`."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.typehints.decorators import no_annotations

from transforms import coders  # noqa: F401  (registers the coder)
from transforms.counting import COUNTS, emit_counts
from transforms.policy import Policy
from transforms.reading import Batches
from transforms.sharding import shards_for, split_by_shard
from transforms.shards import fold_shard


class Metrics(NamedTuple):
    """The metrics of the sessions that get records, and what became of everything else.

    Attributes:
      batches: PCollection of `pa.RecordBatch`, schema `shards.METRICS`: one row per session; each
        session once.
      rejects: PCollection of `Reject`, of all inputs.
      counts: PCollection of dicts, to be added up.
    """

    batches: beam.PCollection
    rejects: beam.PCollection
    counts: beam.PCollection


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ComputeSessionMetrics(beam.PTransform):
    """Computes the six metrics of each closed, eligible session.

    Takes `(messages, sessions)`, two `Batches` from `ReadMessages` and `ReadSessions` or from
    `BatchMessages` and `BatchSessions`. Bounded; a session's rows may arrive in any order and any
    number of batches, and the result is the same.

    Attributes:
      policy: the rules.
    """

    policy: Policy = Policy()  # noqa: RUF009  (immutable)

    @no_annotations
    def expand(self, inputs: tuple[Batches, Batches]) -> Metrics:
        """Applies the transform to messages and sessions."""
        messages, sessions = inputs
        shards = beam.pvalue.AsSingleton(
            (messages.num_bytes, sessions.num_bytes)
            | "Sizes" >> beam.Flatten()
            | "Size" >> beam.CombineGlobally(sum)
            | "Shards" >> beam.Map(shards_for)
        )
        folded = (
            (messages.batches, sessions.batches)
            | "MessagesAndSessions" >> beam.Flatten()
            | "KeyBySession" >> KeyBySession(shards)
            | "Group" >> beam.GroupByKey()
            | "FoldSessions" >> FoldSessions(self.policy)
        )
        return Metrics(
            folded.batches,
            (messages.rejects, sessions.rejects) | "Rejects" >> beam.Flatten(),
            (messages.counts, sessions.counts, folded[COUNTS]) | "Counts" >> beam.Flatten(),
        )


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class KeyBySession(beam.PTransform):
    """Cuts batches so that each piece holds the rows of one shard, and keys it by that.

    A session's rows all go to one shard.

    Attributes:
      shards: side input, the number of shards.
    """

    shards: beam.pvalue.AsSingleton

    def expand(self, pcoll: beam.PCollection) -> beam.PCollection:
        """Applies the transform to batches whose first column is `session_id`."""
        return pcoll | beam.FlatMap(split_by_shard, self.shards).with_output_types(
            tuple[int, pa.RecordBatch]
        )


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class FoldSessions(beam.PTransform):
    """Folds each shard; outputs `batches` and `counts`.

    Attributes:
      policy: the rules.
    """

    policy: Policy

    def expand(self, pcoll: beam.PCollection) -> Any:
        """Applies the transform to `(shard, all its batches)`."""
        return pcoll | beam.ParDo(_FoldShard(), self.policy).with_output_types(
            pa.RecordBatch, counts=dict
        ).with_outputs(COUNTS, main="batches")


class _FoldShard(beam.DoFn):
    def process(
        self, element: tuple[int, Iterable[pa.RecordBatch]], policy: Policy
    ) -> Iterator[Any]:
        metrics, counts = fold_shard(list(element[1]), policy)
        if len(metrics):
            yield metrics
        yield from emit_counts(counts)
