"""Brings together what belongs to a shard: `group_by_shard`."""

import dataclasses
import functools
from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa

from transforms.collections import Batches
from transforms.keying.sharding import narrow, shards_for, split_by_shard
from transforms.plumbing.coders import RecordBatchCoder
from transforms.plumbing.threads import Done, OverlappingDoFn, Task


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

    def jobs(self, element: pa.RecordBatch, extra: int) -> Iterator[Task]:
        yield functools.partial(self._split, element, extra)

    def _split(self, batch: pa.RecordBatch, shards: int) -> Done:
        pieces, num_bytes = [], 0
        for shard, piece in split_by_shard(narrow(batch), shards):
            pieces.append((shard, self._coder.encode(piece)))
            num_bytes += piece.nbytes
        return Done(pieces, {}, {"rows": len(batch), "bytes": num_bytes, "pieces": len(pieces)})
