"""The beginning of an input, at which it is seen that its format is not understood. Pure; no Beam."""

import collections
import itertools
import threading

import pyarrow as pa

from transforms.errors import TooManyRejectsError
from transforms.rejects import least_of_each, rejects_in, tell_reasons, tell_remedy

FEWEST_ROWS = 100_000
"""An input whose first rows, so many at least, are all rejects is not read on."""


class Beginning:
    """The first rows of an input, in pieces that threads read in any order.

    Args:
      kind: what the rows are, such as "messages".
    """

    def __init__(self, kind: str):
        self._kind, self._lock, self._is_decided = kind, threading.Lock(), False
        self._pieces: dict[int, tuple[int, pa.RecordBatch]] = {}

    def add(self, place: int, num_rows: int, rejects: pa.RecordBatch) -> None:
        """Adds a piece.

        Args:
          place: how many pieces are before it.
          num_rows: how many rows it has.
          rejects: those of its rows that are rejects, of layout `REJECTS`.

        Raises:
          TooManyRejectsError: from the first row on, `FEWEST_ROWS` or more are rejects.
        """
        with self._lock:
            if self._is_decided:
                return
            self._pieces[place] = num_rows, rejects
            total = 0
            for piece in itertools.count():
                if piece not in self._pieces:
                    return
                number, theirs = self._pieces[piece]
                total += number
                if len(theirs) < number or total >= FEWEST_ROWS:
                    break
            self._is_decided = True
            if len(theirs) == number:
                self._refuse([self._pieces[one][1] for one in range(piece + 1)])
            self._pieces.clear()

    def _refuse(self, rejects: list[pa.RecordBatch]) -> None:
        numbers = collections.Counter(
            reason for batch in rejects for reason in batch.column("reason").to_pylist()
        )
        examples = rejects_in(least_of_each(rejects, 1))
        raise TooManyRejectsError(
            f"the first {numbers.total():,} {self._kind} are all rejected: "
            f"{tell_reasons(numbers, examples)}; nothing was published. {tell_remedy(numbers)}, or give "
            "--max_reject_ratio 1 to read on and see the rejects"
        )
