"""Where files are cut, and how the pieces of one are merged. Pure; no Beam.

They are cut by session id, so that they are sorted throughout in the order of their names. Where that is
follows from the sessions alone, and is known before anything is computed of them.
"""

import bisect
import copy
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.folding.sessions import SAMPLED
from transforms.instants import DAY_US, date_of_day

SESSIONS_PER_FILE = 1 << 18  # on average

FileKey = tuple[str, int, int]
"""Partition (a day, or empty), number of the file in it, and how many there are."""


def cut(ids: Iterable[str]) -> list[str]:
    """The session ids at which the second and each further file of a partition begins.

    Args:
      ids: those of the sampled sessions, in any order and any number of times.
    """
    ascending = sorted(set(ids))
    files = min(-(-len(ascending) * SAMPLED // SESSIONS_PER_FILE), len(ascending))
    return [ascending[len(ascending) * number // files] for number in range(1, files)]


def split_by_file(
    batch: pa.RecordBatch, by_day: bool, cuts: Mapping[str, list[str]]
) -> Iterator[tuple[FileKey, pa.RecordBatch]]:
    """Cuts a batch, sorted by session id, so that each piece goes to one file.

    Each file of a partition gets a piece, if only one without rows, so that none is missing.

    Args:
      batch: with `session_id` and `ended_at_us`.
      by_day: whether the partitions are days; otherwise all is in one.
      cuts: by partition, what `cut` gives.
    """
    for partition, rows in _partitions(batch, by_day):
        starts = cuts.get(partition, [])
        ids = rows.column("session_id")
        places = [bisect.bisect_left(ids, start, key=pa.StringScalar.as_py) for start in starts]
        edges = [0, *places, len(ids)]
        for number, (start, end) in enumerate(itertools.pairwise(edges)):
            yield (partition, number, len(starts) + 1), rows.slice(start, end - start)


class Merged:
    """Batches, each sorted by session id, as one that is: brought in order piece by piece, on demand.

    Attributes:
      unsorted: their rows, as they come. One batch, as copying its parts for each piece would take longer
        the more batches there are.
    """

    def __init__(self, batches: Sequence[pa.RecordBatch]):
        self.unsorted = pa.concat_batches(batches)
        self._order = pc.sort_indices(self.unsorted.column("session_id"))

    @property
    def schema(self) -> pa.Schema:
        """Of the batches, and of each piece."""
        return self.unsorted.schema

    def select(self, columns: Callable[[pa.RecordBatch], pa.RecordBatch]) -> "Merged":
        """The same rows with some of the columns."""
        selected = copy.copy(self)
        selected.unsorted = columns(self.unsorted)
        return selected

    def __len__(self) -> int:
        return len(self.unsorted)

    def slice(self, start: int, length: int) -> pa.RecordBatch:
        """The rows from one place on; fewer at the end."""
        return pc.take(self.unsorted, self._order.slice(start, length), boundscheck=False)


def _partitions(batch: pa.RecordBatch, by_day: bool) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Cuts a batch by the day of the session's end, UTC; order is kept."""
    if not by_day:
        yield "", batch
        return
    days = batch.column("ended_at_us").to_numpy() // DAY_US
    for day in np.unique(days).tolist():
        yield date_of_day(day), batch.filter(pa.array(days == day))
