"""From messages and sessions to metrics: `ComputeSessionMetrics`."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator

import apache_beam as beam
import pyarrow as pa
from apache_beam.typehints.decorators import no_annotations

from schemas import DEFAULT_METRICS
from transforms.batches import Counts, kind_of
from transforms.collections import COUNTS, EXAMPLES, Batches, Metrics
from transforms.examples import Example, examples_of
from transforms.folding.sessions import Sample, sample_sessions
from transforms.folding.shard import fold_shard
from transforms.keying.assign import AssignSessions
from transforms.keying.key import group_by_shard, number_of_shards
from transforms.plumbing.coders import RecordBatchCoder
from transforms.plumbing.threads import Done, OverlappingDoFn, Task
from transforms.policy import Policy


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ComputeSessionMetrics(beam.PTransform):
    """Computes the metrics of each closed, eligible session.

    Takes `(messages, sessions)`, two `Batches` from `ReadMessages` and `ReadSessions` or from
    `BatchMessages` and `BatchSessions`; or the one of `ReadMessagesAndSessions`. Gives `Metrics`.
    Inputs must be bounded. Messages that name only their conversation get their session by
    `AssignSessions`. A session's rows may arrive in any order and in any number of batches: the
    result is the same.

        (messages, sessions) | ComputeSessionMetrics(Policy(bots="answer"))

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
        inputs = Batches.merged(inputs)
        shards = number_of_shards(inputs)
        assigned = inputs | "AssignSessions" >> AssignSessions(self.policy.session_lead_us, shards)
        fold = functools.partial(
            fold_shard, policy=self.policy, types=self.types, summarize=self.summarize
        )
        folded = group_by_shard(inputs, assigned, shards) | "FoldSessions" >> beam.ParDo(
            _FoldShard(), fold
        ).with_output_types(pa.RecordBatch, counts=dict, examples=Example).with_outputs(
            COUNTS, EXAMPLES, main="batches"
        )
        counts = (inputs.counts, assigned.counts, folded[COUNTS]) | "AllCounts" >> beam.Flatten()
        samples = inputs.batches | "SampleSessions" >> beam.FlatMap(
            _sample, self.policy
        ).with_output_types(Sample)
        unassigned = inputs.batches | "UnassignedExamples" >> beam.FlatMap(
            _examples
        ).with_output_types(Example)
        examples = (unassigned, folded[EXAMPLES])
        return Metrics(folded.batches, inputs.rejects, counts, samples, examples)


def _sample(batch: pa.RecordBatch, policy: Policy) -> Iterable[Sample]:
    return sample_sessions(batch, policy) if kind_of(batch) == "sessions" else ()


def _examples(batch: pa.RecordBatch) -> Iterable[Example]:
    return examples_of([batch]) if kind_of(batch) == "unassigned" else ()


_Fold = Callable[[list[pa.RecordBatch]], tuple[pa.RecordBatch, Counts]]


class _FoldShard(OverlappingDoFn):
    """From `(shard, encoded batches)` to the metrics of the shard's sessions, and counts."""

    stage = "fold"

    def __init__(self) -> None:
        self._coder = RecordBatchCoder()

    def tasks(self, element: tuple[int, Iterable[bytes]], extra: _Fold) -> Iterator[Task]:
        yield functools.partial(_fold, self._coder, list(element[1]), extra)


def _fold(coder: RecordBatchCoder, encoded: list[bytes], fold: _Fold) -> Done:
    batches = [coder.decode(one) for one in encoded]
    metrics, counts = fold(batches)
    rows, num_bytes = sum(map(len, batches)), sum(batch.nbytes for batch in batches)
    stage = {"rows": rows, "bytes": num_bytes, "shards": 1}
    outputs = [metrics] if len(metrics) else []
    if not counts.get("messages_counted"):
        outputs += [beam.pvalue.TaggedOutput(EXAMPLES, one) for one in examples_of(batches)]
    return Done(outputs, counts, stage)
