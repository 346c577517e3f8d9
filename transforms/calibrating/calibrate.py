"""Which policy Salesforce's own records follow: `CalibratePolicy`."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.typehints.decorators import no_annotations

from transforms.calibrating.agreement import calibrate_shard, differences_of_shard, standings
from transforms.collections import COUNTS, Batches
from transforms.folding.metrics import METRICS
from transforms.folding.turns import Int64s
from transforms.keying.assign import AssignSessions
from transforms.keying.key import group_by_shard, number_of_shards
from transforms.plumbing.coders import RecordBatchCoder
from transforms.plumbing.threads import Done, OverlappingDoFn, Task
from transforms.policy import Policy, policies


class Calibration(NamedTuple):
    """The findings of the comparison, still in PCollections.

    Attributes:
      agreement: PCollection of one array, as `calibrate_shard` counts, of all shards.
      differences: PCollection of `pa.RecordBatch`, schema `DIFFERENCES`, of the best policy.
      rejects: as in `Batches`, of all inputs.
      counts: PCollection of dicts, to be added up.
    """

    agreement: beam.PCollection
    differences: beam.PCollection
    rejects: beam.PCollection
    counts: beam.PCollection


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class CalibratePolicy(beam.PTransform):
    """Compares Salesforce's own records with what each policy makes of the messages.

    Takes the `Batches` of `ReadMessagesAndSessions`, records among them. Bounded; rows may arrive in
    any order and any number of batches, and the result is the same.

    Attributes:
      policy: which sessions; its switches are not used.
    """

    policy: Policy = Policy()  # noqa: RUF009  (immutable)

    @no_annotations
    def expand(self, inputs: Batches) -> Calibration:
        """Applies the transform to messages, sessions and records."""
        shards = number_of_shards(inputs)
        assigned = inputs | "AssignSessions" >> AssignSessions(self.policy.session_lead_us, shards)
        grouped = group_by_shard(inputs, assigned, shards)
        calibrated = grouped | "CalibrateShards" >> beam.ParDo(
            _CalibrateShard(), self.policy
        ).with_outputs(COUNTS, main="agreement")
        agreement = calibrated.agreement | "AddAgreement" >> beam.CombineGlobally(_add)
        best = agreement | "BestPolicy" >> beam.Map(_best, self.policy)
        # A second pass over the shards, not over the messages: which policy is the best is known only
        # when all shards have been counted.
        differences = grouped | "DifferencesOfShards" >> beam.ParDo(
            _DifferencesOfShard(), beam.pvalue.AsSingleton(best)
        ).with_output_types(pa.RecordBatch)
        counts = (
            inputs.counts,
            assigned.counts,
            calibrated[COUNTS],
        ) | "AllCounts" >> beam.Flatten()
        return Calibration(agreement, differences, inputs.rejects, counts)


def _add(agreements: Iterable[Int64s]) -> Int64s:
    nothing = np.zeros((len(policies(Policy())), len(METRICS), 3), np.int64)
    return functools.reduce(np.add, agreements, nothing)


def _best(agreement: Int64s, policy: Policy) -> tuple[Policy, bool]:
    """The best policy, and whether it reproduces every record."""
    first = standings(agreement, policy)[0]
    compared, exact, _ = first.agreement.sum(axis=0)
    return first.policy, bool(compared == exact)


class _ShardDoFn(OverlappingDoFn):
    """Decodes the batches of a shard and works on them, in a task."""

    def __init__(self) -> None:
        self._coder = RecordBatchCoder()

    def job(
        self, element: tuple[int, Iterable[bytes]], work: Callable[[list[pa.RecordBatch]], Done]
    ) -> Task:
        encoded = list(element[1])
        return lambda: work([self._coder.decode(one) for one in encoded])


class _CalibrateShard(_ShardDoFn):
    stage = "fold"

    def tasks(self, element: tuple[int, Iterable[bytes]], extra: Policy) -> Iterator[Task]:
        def work(batches: list[pa.RecordBatch]) -> Done:
            agreement, counts = calibrate_shard(batches, extra)
            rows, num_bytes = sum(map(len, batches)), sum(batch.nbytes for batch in batches)
            return Done([agreement], counts, {"rows": rows, "bytes": num_bytes, "shards": 1})

        yield self.job(element, work)


class _DifferencesOfShard(_ShardDoFn):
    stage = "differ"

    def tasks(
        self, element: tuple[int, Iterable[bytes]], extra: tuple[Policy, bool]
    ) -> Iterator[Task]:
        policy, all_exact = extra
        if all_exact:
            return

        def work(batches: list[pa.RecordBatch]) -> Done:
            found = differences_of_shard(batches, policy)
            return Done([found] if len(found) else [], {}, {"rows": len(found)})

        yield self.job(element, work)
