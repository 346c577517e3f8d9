"""The fate of each row of a batch: kept, skipped or rejected. Pure; no Beam."""

import re
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from transforms.batches import Counts, Reject
from transforms.reading.columns import RawBatch

_SHOWABLE = re.compile(r"[\w.:+/-]{1,40}", re.ASCII)


def _shown(value: object) -> str:
    """A value for a reject's detail: only what looks like one token, for it may be anybody's words."""
    text = str(value)
    return text if _SHOWABLE.fullmatch(text) else f"a text of {len(text)} characters"


class Normalized(NamedTuple):
    """What became of a `RawBatch`."""

    batch: pa.RecordBatch
    rejects: list[Reject]
    counts: Counts


class Fates:
    """The fate of each row of a batch: the first skip, else the first reason to reject, else kept."""

    def __init__(self, kind: str, raw: RawBatch, source: str):
        self._kind, self._raw, self._source = kind, raw, source
        self._kept = np.ones(raw.num_rows, bool)
        self._found: list[tuple[int, str, str]] = []
        self.counts: Counts = {f"{kind}_read": raw.num_rows + len(raw.malformed)}
        if raw.malformed:
            self.counts[f"{kind}_rejected_malformed_row"] = len(raw.malformed)

    def skip(self, reason: str, where: np.ndarray) -> None:
        """Skips the rows that still have no fate."""
        self._drop(f"{self._kind}_skipped_{reason}", where)

    def reject(self, reason: str, where: np.ndarray, value: pa.Array | None = None) -> None:
        """Rejects the rows that still have no fate; `value` is shown as the detail."""
        for index in self._drop(f"{self._kind}_rejected_{reason}", where):
            detail = "" if value is None else _shown(value[index].as_py())
            self._found.append((index, reason, detail))

    def _drop(self, counter: str, where: np.ndarray) -> list[int]:
        where = where & self._kept
        indices = np.flatnonzero(where).tolist()
        if indices:
            self._kept &= ~where
            self.counts[counter] = self.counts.get(counter, 0) + len(indices)
        return indices

    def rejects(self, *ids: pa.Array) -> list[Reject]:
        """The rejects, with the session id and the message id of their rows."""
        rows = self._raw.rows() if self._found else np.empty(0)
        found = [
            Reject(
                self._source,
                int(rows[index]),
                reason,
                detail,
                *(values_[index].as_py() for values_ in ids),
                *(None,) * (2 - len(ids)),
            )
            for index, reason, detail in self._found
        ]
        return found + [
            Reject(self._source, int(row), "malformed_row", detail, None, None)
            for row, detail in self._raw.malformed
        ]

    def result(self, batch: pa.RecordBatch, schema: pa.Schema, *ids: pa.Array) -> Normalized:
        """The rows that are kept, the rejects and the counts."""
        if not self._kept.all():
            batch = batch.filter(pa.array(self._kept))
        return Normalized(
            pa.RecordBatch.from_arrays(batch.columns, schema=schema),
            self.rejects(*ids),
            self.counts,
        )
