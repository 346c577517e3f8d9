"""From messages and sessions to metrics: `ComputeSessionMetrics`."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.typehints.decorators import no_annotations

from transforms.batches import Counts
from transforms.coders import RecordBatchCoder
from transforms.counting import COUNTS
from transforms.cutting import Sample, sample_sessions
from transforms.metrics import DEFAULT_METRICS
from transforms.overlapping import Done, Job, OverlappingDoFn
from transforms.policy import Policy
from transforms.reading import Batches
from transforms.sharding import compact, shards_for, split_by_shard
from transforms.shards import fold_shard


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


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ComputeSessionMetrics(beam.PTransform):
    """Computes the metrics of each closed, eligible session.

    Takes `(messages, sessions)`, two `Batches` from `ReadMessages` and `ReadSessions` or from
    `BatchMessages` and `BatchSessions`; or the one of `ReadMessagesAndSessions`. Bounded; a session's
    rows may arrive in any order and any number of batches, and the result is the same.

    Attributes:
      policy: the rules.
      types: the metrics, in the order of `schemas.metric_types`; by default Salesforce's six.
      summarize: whether to make a summary of each session as well.
    """

    policy: Policy = Policy()  # noqa: RUF009  (immutable)
    types: tuple[str, ...] = DEFAULT_METRICS
    summarize: bool = False

    @no_annotations
    def expand(self, inputs: Batches | tuple[Batches, Batches]) -> Metrics:
        """Applies the transform to messages and sessions."""
        if not isinstance(inputs, Batches):
            inputs = Batches(
                *(
                    collections | name.title().replace("_", "") >> beam.Flatten()
                    for name, collections in zip(
                        Batches._fields, zip(*inputs, strict=True), strict=True
                    )
                )
            )
        fold = FoldSessions(self.policy, self.types, self.summarize)
        folded = group_by_shard(inputs) | "FoldSessions" >> fold
        counts = (inputs.counts, folded[COUNTS]) | "AllCounts" >> beam.Flatten()
        samples = inputs.batches | "SampleSessions" >> beam.FlatMap(
            _sample, self.policy
        ).with_output_types(Sample)
        return Metrics(folded.batches, inputs.rejects, counts, samples)


def _sample(batch: pa.RecordBatch, policy: Policy) -> Iterable[Sample]:
    is_of_messages = "message_id" in batch.schema.names
    return () if is_of_messages else sample_sessions(batch, policy)


def group_by_shard(inputs: Batches) -> beam.PCollection:
    """Brings together what there is of a shard: `(shard, all its batches)`, the batches encoded."""
    shards = beam.pvalue.AsSingleton(
        inputs.num_bytes | "Size" >> beam.CombineGlobally(sum) | "Shards" >> beam.Map(shards_for)
    )
    keyed = inputs.batches | "KeyBySession" >> KeyBySession(shards)
    return keyed | "Group" >> beam.GroupByKey()


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class KeyBySession(beam.PTransform):
    """Cuts batches so that each piece holds the rows of one shard, and keys it by that.

    A session's rows all go to one shard. The pieces are encoded as `RecordBatchCoder` does it, here
    and not by the runner, which would do it one after the other.

    Attributes:
      shards: side input, the number of shards.
    """

    shards: beam.pvalue.AsSingleton

    def expand(self, pcoll: beam.PCollection) -> beam.PCollection:
        """Applies the transform to batches whose first column is `session_id`."""
        return pcoll | beam.ParDo(_SplitByShard(), self.shards).with_output_types(tuple[int, bytes])


class _SplitByShard(OverlappingDoFn):
    stage = "key"

    def __init__(self) -> None:
        self._coder = RecordBatchCoder()

    def jobs(self, element: pa.RecordBatch, extra: int) -> Iterator[Job]:
        yield functools.partial(self._split, element, extra)

    def _split(self, batch: pa.RecordBatch, shards: int) -> Done:
        pieces, num_bytes = [], 0
        for shard, piece in split_by_shard(compact(batch), shards):
            pieces.append((shard, self._coder.encode(piece)))
            num_bytes += piece.nbytes
        return Done(pieces, {}, {"rows": len(batch), "bytes": num_bytes, "pieces": len(pieces)})


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class FoldSessions(beam.PTransform):
    """Folds each shard; outputs `batches` and `counts`.

    Attributes:
      policy: the rules.
      types: the metrics.
      summarize: whether there are summaries.
    """

    policy: Policy
    types: tuple[str, ...]
    summarize: bool

    def expand(self, pcoll: beam.PCollection) -> Any:
        """Applies the transform to `(shard, all its batches)`, the batches encoded."""
        fold = functools.partial(
            fold_shard, policy=self.policy, types=self.types, summarize=self.summarize
        )
        return pcoll | beam.ParDo(_FoldShard(), fold).with_output_types(
            pa.RecordBatch, counts=dict
        ).with_outputs(COUNTS, main="batches")


_Fold = Callable[[list[pa.RecordBatch]], tuple[pa.RecordBatch, Counts]]


class _FoldShard(OverlappingDoFn):
    stage = "fold"

    def __init__(self) -> None:
        self._coder = RecordBatchCoder()

    def jobs(self, element: tuple[int, Iterable[bytes]], extra: _Fold) -> Iterator[Job]:
        yield functools.partial(_fold, self._coder, list(element[1]), extra)


def _fold(coder: RecordBatchCoder, encoded: list[bytes], fold: _Fold) -> Done:
    batches = [coder.decode(one) for one in encoded]
    metrics, counts = fold(batches)
    rows, num_bytes = sum(map(len, batches)), sum(batch.nbytes for batch in batches)
    stage = {"rows": rows, "bytes": num_bytes, "shards": 1}
    return Done([metrics] if len(metrics) else [], counts, stage)
