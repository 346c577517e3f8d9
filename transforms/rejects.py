"""Rows that can't be used: a `Reject` each, and batches of them. Pure; no Beam."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.batches import ID


class Reject(NamedTuple):
    """A row that can't be used. Never holds what a customer or an agent wrote.

    Attributes:
      source: the file.
      row: the line in a text file, the ordinal of the row elsewhere; both from 1.
      reason: a code, as the documentation of the output lists them.
      detail: the value that is at fault, or nothing if it may be anybody's words.
      session_id: as it stands in the row.
      message_id: as it stands in the row; None for a row that is no message.
    """

    source: str
    row: int
    reason: str
    detail: str
    session_id: str | None
    message_id: str | None


_WITH_EXAMPLE = 3

REJECTS = pa.schema(
    [
        # Which input, such as "messages".
        pa.field("input", ID, nullable=False),
        pa.field("source", ID, nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("reason", ID, nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("session_id", pa.string()),
        pa.field("message_id", pa.string()),
    ]
)
"""One row per reject: its input, and the fields of a `Reject`."""


_TEXTS = pa.schema([f.with_type(pa.string()) if f.type == ID else f for f in REJECTS])

Rows = TypeVar("Rows", pa.RecordBatch, pa.Table)


def rejects_in(batch: pa.RecordBatch) -> list[Reject]:
    """The rows of a batch of layout `REJECTS`, in their order."""
    columns = (batch.column(name).to_pylist() for name in Reject._fields)
    return [Reject(*row) for row in zip(*columns, strict=True)]


def tell_reasons(numbers: Mapping[str, int], rejects: Iterable[Reject]) -> str:
    """Why rows were rejected, in words, the most frequent reason first, the first three with an example.

    >>> tell_reasons({"malformed_row": 2}, [Reject("a.csv", 7, "malformed_row", "not UTF-8", None, None)])
    'malformed_row 2 (a.csv, row 7: not UTF-8)'

    Args:
      numbers: how many rows had each reason.
      rejects: one of each.
    """
    example = {one.reason: one for one in rejects}
    told: list[str] = []
    for reason in sorted(numbers, key=lambda reason: (-numbers[reason], reason)):
        one = example.get(reason) if len(told) < _WITH_EXAMPLE else None
        value = f": {one.detail}" if one and one.detail else ""
        place = f" ({one.source}, row {one.row}{value})" if one else ""
        told.append(f"{reason} {numbers[reason]:,}{place}")
    return ", ".join(told)


def tell_remedy(reasons: Iterable[str]) -> str:
    """What to do about rejects of some reasons, in words."""
    if "platform_unknown" in reasons:
        return "State the sessions' platform with --channels or --assume_platform. Mend the input"
    return "Mend the input"


def least_of_each(batches: Sequence[pa.RecordBatch], limit: int) -> pa.RecordBatch:
    """Of each input and reason the first rejects, by file and row, at most `limit` of each.

    Args:
      batches: of layout `REJECTS`, in any order, at least one.
      limit: how many.

    Returns:
      A batch of layout `REJECTS`, sorted by all fields of a `Reject`, so that the order of the batches
      leaves no trace.
    """
    table = with_texts(pa.Table.from_batches(batches))
    columns = [column.combine_chunks() for column in table.columns]
    rows = pa.RecordBatch.from_arrays(columns, schema=table.schema)
    keys = [*Reject._fields, "input"]
    rows = rows.take(pc.sort_indices(rows, [(name, "ascending") for name in keys]))
    kept = [places[:limit] for places in _groups(rows).values()]
    rows = rows.take(pa.array(np.sort(np.concatenate([np.empty(0, np.int64), *kept]))))
    return rows.cast(REJECTS)


Bounds = Mapping[tuple[str, str], tuple[str, int]]
"""The file and the row of the last reject of each input and reason that has as many as are kept."""


def bounds_of(least: pa.RecordBatch, limit: int) -> Bounds:
    """The bounds of what `least_of_each` gives."""
    last = {group: places[-1] for group, places in _groups(least).items() if len(places) == limit}
    rows = (least.column("source"), least.column("row"))
    return {group: tuple(column[at].as_py() for column in rows) for group, at in last.items()}


def not_beyond(batch: pa.RecordBatch, bounds: Bounds) -> pa.RecordBatch:
    """The rejects of a batch that are within bounds, which spares `least_of_each` a sort of the rest.

    Args:
      batch: of layout `REJECTS`.
      bounds: of what `least_of_each` has given of other batches.
    """
    if not bounds:
        return batch
    beyond = np.zeros(len(batch), bool)
    for group, places in _groups(batch).items():
        if group in bounds:
            source, row = bounds[group]
            rows = batch.take(pa.array(places))
            sources = rows.column("source").cast(pa.string())
            after = pc.and_(pc.equal(sources, source), pc.greater(rows.column("row"), row))
            after = pc.or_(after, pc.greater(sources, source))
            beyond[places] = after.to_numpy(zero_copy_only=False)
    return batch.filter(pa.array(~beyond)) if beyond.any() else batch


def _groups(rows: pa.RecordBatch) -> dict[tuple[str, str], np.ndarray]:
    """The places of the rows of each input and reason, ascending."""
    inputs, reasons = (
        column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        for column in (rows.column("input"), rows.column("reason"))
    )
    of_input, of_reason = inputs.indices.to_numpy(), reasons.indices.to_numpy()
    groups = {}
    for i, input_ in enumerate(inputs.dictionary.to_pylist()):
        for r, reason in enumerate(reasons.dictionary.to_pylist()):
            places = np.flatnonzero((of_input == i) & (of_reason == r))
            if len(places):
                groups[input_, reason] = places
    return groups


def with_texts(rows: Rows) -> Rows:
    """Rows of layout `REJECTS` with texts in place of codes, which have no order."""
    return rows.cast(_TEXTS)
