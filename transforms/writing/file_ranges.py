"""Where files are cut, and how the pieces of one file are merged. Pure; no Beam.

Files hold ranges of session ids: reading them in name order gives sorted records. The cut points depend
only on the session rows, so they are known before messages are folded.
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
"""The partition (a day, or empty), the number of the file in it, from 0, and how many files it has."""


def cut(ids: Iterable[str]) -> list[str]:
    """The session ids at which the second and each further file of a partition begins; ascending.

    Args:
      ids: those of the sampled sessions, in any order and any number of times.

    >>> cut(["a", "b"])  # stand for 2,048 sessions, which one file can hold
    []
    """
    ascending = sorted(set(ids))
    files = min(-(-len(ascending) * SAMPLED // SESSIONS_PER_FILE), len(ascending))
    return [ascending[len(ascending) * number // files] for number in range(1, files)]


def split_by_file(
    batch: pa.RecordBatch, by_day: bool, cuts: Mapping[str, list[str]]
) -> Iterator[tuple[FileKey, pa.RecordBatch]]:
    """Cuts a batch, sorted by session id, so that each piece goes to one file.

    Each file of a partition gets a piece, if only one without rows, so that no file is missing.

    Args:
      batch: with `session_id` and `ended_at_us`.
      by_day: whether the partitions are the days, UTC, on which sessions ended; else there is one.
      cuts: for each partition the ids that `cut` gives; a partition that has none is one file.
    """
    for partition, rows in _partitions(batch, by_day):
        starts = cuts.get(partition, [])
        ids = rows.column("session_id")
        places = [bisect.bisect_left(ids, start, key=pa.StringScalar.as_py) for start in starts]
        edges = [0, *places, len(ids)]
        for number, (start, end) in enumerate(itertools.pairwise(edges)):
            yield (partition, number, len(starts) + 1), rows.slice(start, end - start)


class Merged:
    """Sessions of several batches, in the order of their ids.

    The order is found at once; rows are brought into it piece by piece, when a piece is asked for.

    Attributes:
      unsorted: the rows of all batches, one after the other, in one batch: a piece takes rows from
        anywhere, and from many batches that would take longer.
    """

    def __init__(self, batches: Sequence[pa.RecordBatch]):
        self.unsorted = pa.concat_batches(batches)
        self._order = pc.sort_indices(self.unsorted.column("session_id"))

    @property
    def schema(self) -> pa.Schema:
        """The schema of the batches and of each piece."""
        return self.unsorted.schema

    def select(self, columns: Callable[[pa.RecordBatch], pa.RecordBatch]) -> "Merged":
        """The same rows with some of the columns."""
        selected = copy.copy(self)
        selected.unsorted = columns(self.unsorted)
        return selected

    def __len__(self) -> int:
        return len(self.unsorted)

    def slice(self, start: int, length: int) -> pa.RecordBatch:
        """The rows `start` to `start + length` in order; fewer if there are no more."""
        return pc.take(self.unsorted, self._order.slice(start, length), boundscheck=False)


def _partitions(batch: pa.RecordBatch, by_day: bool) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Cuts a batch by the day, UTC, on which sessions ended; keeps the order of rows."""
    if not by_day:
        yield "", batch
        return
    days = batch.column("ended_at_us").to_numpy() // DAY_US
    for day in np.unique(days).tolist():
        yield date_of_day(day), batch.filter(pa.array(days == day))
