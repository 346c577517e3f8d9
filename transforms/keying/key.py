"""From batches of any order to the batches of each shard: `group_by_shard`."""

import functools
from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa

from transforms.collections import Batches
from transforms.keying.sharding import narrow, shards_for, split_by_shard
from transforms.plumbing.coders import batch_coder
from transforms.plumbing.threads import Done, OverlappingDoFn, Task


def group_by_shard(inputs: Batches) -> beam.PCollection:
    """Groups rows by shard; all rows of a session are in one shard.

    Args:
      inputs: batches whose first column is `session_id`.

    Returns:
      PCollection of `(shard, encoded batches)`, each shard that has rows once. The batches, in any
      order, hold rows of this shard alone, and are encoded by `plumbing.coders.batch_coder`. Messages
      are narrowed (`sharding.narrow`).
    """
    shards = beam.pvalue.AsSingleton(
        inputs.num_bytes | "Size" >> beam.CombineGlobally(sum) | "Shards" >> beam.Map(shards_for)
    )
    split = beam.ParDo(_SplitByShard(), shards).with_output_types(tuple[int, bytes])
    return inputs.batches | "KeyBySession" >> split | "Group" >> beam.GroupByKey()


class _SplitByShard(OverlappingDoFn):
    """Cuts batches into pieces that each hold the rows of one shard, keyed by shard.

    The pieces are encoded here, side by side; a runner would encode them one after the other.
    """

    stage = "key"

    def __init__(self) -> None:
        self._coder = batch_coder()

    def tasks(self, element: pa.RecordBatch, extra: int) -> Iterator[Task]:
        yield functools.partial(self._split, element, extra)

    def _split(self, batch: pa.RecordBatch, shards: int) -> Done:
        pieces, num_bytes = [], 0
        for shard, piece in split_by_shard(narrow(batch), shards):
            pieces.append((shard, self._coder.encode(piece)))
            num_bytes += piece.nbytes
        return Done(pieces, {}, {"rows": len(batch), "bytes": num_bytes, "pieces": len(pieces)})
