"""From batches of any order to the batches of each shard."""

import functools
from collections.abc import Callable, Iterator

import apache_beam as beam
import pyarrow as pa

from transforms.batches import kind_of
from transforms.collections import Batches
from transforms.keying.narrowing import narrow
from transforms.keying.sharding import shards_for, split_by_shard
from transforms.plumbing.coders import batch_coder
from transforms.plumbing.threads import Done, OverlappingDoFn, Task


def number_of_shards(inputs: Batches) -> beam.pvalue.AsSingleton:
    """How many shards inputs are cut into, as a side input."""
    size = inputs.num_bytes | "Size" >> beam.CombineGlobally(sum).without_defaults()
    return beam.pvalue.AsSingleton(size | "Shards" >> beam.Map(shards_for), 1)


def group_by_shard(
    inputs: Batches, assigned: Batches, shards: beam.pvalue.AsSingleton
) -> beam.PCollection:
    """Groups rows by shard; all rows of a session are in one shard.

    Args:
      inputs: messages, sessions and other batches whose first column is `session_id`; messages that name
        only their conversation are passed over.
      assigned: these messages, as `AssignSessions` gives them.
      shards: how many there are.

    Returns:
      PCollection of `(shard, encoded batches)`, each shard that has rows once. The batches, in any
      order, hold rows of this shard alone, and are encoded by `plumbing.coders.batch_coder`. They
      are narrowed (`narrowing.narrow`).
    """
    split = beam.ParDo(SplitByShard(_by_session), shards).with_output_types(tuple[int, bytes])
    keyed = [
        inputs.batches | "KeyBySession" >> split,
        assigned.batches | "KeyAssignedBySession" >> split,
    ]
    return keyed | "AllKeyed" >> beam.Flatten() | "Group" >> beam.GroupByKey()


def _by_session(batch: pa.RecordBatch) -> pa.RecordBatch | None:
    return None if kind_of(batch) == "unassigned" else batch


class SplitByShard(OverlappingDoFn):
    """Cuts batches into narrowed pieces that each hold the rows of one shard, keyed by shard.

    The pieces are encoded here, side by side; a runner would encode them one after the other.

    Args:
      keyed: makes of a batch one whose first column is the key; gives None for a batch that is passed
        over.
    """

    stage = "key"

    def __init__(self, keyed: Callable[[pa.RecordBatch], pa.RecordBatch | None]) -> None:
        self._keyed, self._coder = keyed, batch_coder()

    def tasks(self, element: pa.RecordBatch, extra: int) -> Iterator[Task]:
        """Yields the task that cuts a batch."""
        yield functools.partial(self._split, element, extra)

    def _split(self, batch: pa.RecordBatch, shards: int) -> Done:
        keyed = self._keyed(batch)
        if keyed is None:
            return Done([], {}, {})
        pieces, num_bytes = [], 0
        for shard, piece in split_by_shard(narrow(keyed), shards):
            pieces += [(shard, encoded) for encoded in self._coder.encode_pieces(piece)]
            num_bytes += piece.nbytes
        return Done(pieces, {}, {"rows": len(batch), "bytes": num_bytes, "pieces": len(pieces)})
