"""The fate of each row of an input: kept, skipped or rejected. Pure; no Beam."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from transforms.batches import MAX_VALUE, SESSIONS, SIDES, SUMMARIES, Counts
from transforms.reading.columns import RawBatch
from transforms.reading.details import to_details
from transforms.rejects import REJECTS

MALFORMED = "malformed_row"

SESSION_INSTANTS = [f.name.removesuffix("_us") for f in SESSIONS if f.name.endswith("_at_us")]
"""The columns of a session that hold an instant, as the alias table names them."""

_MALFORMED = {MALFORMED: "it is no row of its format"}

_NO_SESSION = {"session_id_missing": "it has no session id"}

_DELETED_INVALID = {"deleted_invalid": "its `deleted` is neither true or false nor an instant"}

_SUMMARY_TYPES = {
    pa.int64(): "a whole number of 0 or more",
    pa.bool_(): "true or false",
    pa.timestamp("us", "UTC"): "an instant",
}

_ROLE_UNKNOWN = {"sender_role_unknown": "its role is none of those known"}

_PLATFORM_UNKNOWN = {
    "platform_unknown": "its platform is neither Enhanced nor Standard, or nobody states it: not its "
    "row, its channel or an option"
}

SKIPPED: Mapping[str, Mapping[str, str]] = {
    "messages": {
        "deleted": "it was deleted",
        "entry_type": "its entry type is not that of a message",
        "role": "its sender is never counted: system, supervisor or router",
    },
    "records": {"metric_type": "its metric type is none of those that the schema lists"},
}
"""For each input why a row is skipped: the reason and what it means, of the row."""

REJECTED: Mapping[str, Mapping[str, str]] = {
    "messages": {
        **_MALFORMED,
        **_DELETED_INVALID,
        "session_id_missing": "it names neither a session nor a conversation",
        "message_id_missing": "it has no message id",
        "sent_at_missing": "it does not say when it was sent",
        "sent_at_invalid": "when it was sent is not an instant",
        "sender_role_missing": "it has no role, nor has its participant, who is the detail",
        **_ROLE_UNKNOWN,
        "sequence_invalid": "its sequence is not a whole number",
    },
    "sessions": {
        **_MALFORMED,
        **_NO_SESSION,
        **_DELETED_INVALID,
        "status_missing": "it has no status",
        "status_unknown": "its status is none of those known",
        **{f"{name}_invalid": f"its `{name}` is not an instant" for name in SESSION_INSTANTS},
        **_PLATFORM_UNKNOWN,
        **{
            f"{side}_message_count_invalid": f"its `{side}_message_count` is not a whole number"
            for side in SIDES
        },
    },
    "channels": {**_MALFORMED, "channel_id_missing": "it has no channel id", **_PLATFORM_UNKNOWN},
    "participants": {
        **_MALFORMED,
        "participant_id_missing": "it has no participant id",
        **_ROLE_UNKNOWN,
    },
    "records": {
        **_MALFORMED,
        **_NO_SESSION,
        "metric_type_missing": "it has no metric type",
        "metric_value_missing": "it has no value",
        "metric_value_invalid": f"its value is not a whole number from 0 to {MAX_VALUE:,}",
    },
    "summaries": {
        **_MALFORMED,
        **{
            f"{field.name}_invalid": f"its `{field.name}` is not {_SUMMARY_TYPES[field.type]}"
            for field in SUMMARIES
            if field.type in _SUMMARY_TYPES
        },
        **{f"{f.name}_missing": f"it has no `{f.name}`" for f in SUMMARIES if not f.nullable},
    },
}
"""For each input why a row is rejected: the reason and what it means, of the row."""


class Normalized(NamedTuple):
    """The canonical rows of a `RawBatch`, a batch for each kind of them, its rejects and its counts."""

    batches: list[pa.RecordBatch]
    rejects: pa.RecordBatch
    counts: Counts


class Fates:
    """The fate of each row of a batch: the first skip, else the first reason to reject, else kept.

    Args:
      kind: which input, a key of `REJECTED`.
      raw: the rows as read; each that is malformed is a reject.
      source: the file, for the rejects.
    """

    def __init__(self, kind: str, raw: RawBatch, source: str):
        self._kind, self._raw, self._source = kind, raw, source
        self._kept = np.ones(raw.num_rows, bool)
        self._found: list[tuple[str, np.ndarray, pa.Array]] = []
        self.counts: Counts = {f"{kind}_read": raw.num_rows + len(raw.malformed)}
        if raw.malformed:
            self.counts[f"{kind}_rejected_{MALFORMED}"] = len(raw.malformed)

    def skip(self, reason: str, where: np.ndarray) -> None:
        """Skips the rows that still have no fate.

        Raises:
          KeyError: `SKIPPED` does not have the reason.
        """
        if reason not in SKIPPED[self._kind]:
            raise KeyError(reason)
        self._drop(f"{self._kind}_skipped_{reason}", where)

    def reject(self, reason: str, where: np.ndarray, value: pa.Array | None = None) -> None:
        """Rejects the rows that still have no fate; `value` is shown as the detail, if there is any.

        Raises:
          KeyError: `REJECTED` does not have the reason.
        """
        if reason not in REJECTED[self._kind]:
            raise KeyError(reason)
        places = self._drop(f"{self._kind}_rejected_{reason}", where)
        if len(places):
            stated = pa.nulls(len(places)) if value is None else value.take(pa.array(places))
            self._found.append((reason, places, to_details(stated)))

    def _drop(self, counter: str, where: np.ndarray) -> np.ndarray:
        where = where & self._kept
        places = np.flatnonzero(where)
        if len(places):
            self._kept &= ~where
            self.counts[counter] = self.counts.get(counter, 0) + len(places)
        return places

    def rejects(self, *ids: pa.Array) -> pa.RecordBatch:
        """The rejects, those that are malformed last; a batch of layout `REJECTS`.

        Args:
          *ids: the session id and the message id of each row, as far as the input has them.
        """
        rows = self._raw.rows() if self._found else np.empty(0)
        batches = []
        for reason, places, details in self._found:
            theirs = [column.take(pa.array(places)) for column in ids]
            batches.append(self._batch(reason, rows[places], details, *theirs))
        malformed = [row for row, _ in self._raw.malformed]
        problems = pa.array([problem for _, problem in self._raw.malformed], pa.string())
        return pa.concat_batches([*batches, self._batch(MALFORMED, malformed, problems)])

    def _batch(
        self, reason: str, rows: Sequence[int] | np.ndarray, details: pa.Array, *ids: pa.Array
    ) -> pa.RecordBatch:
        """Rejects of one reason."""
        alike = [
            pa.DictionaryArray.from_arrays(
                pa.repeat(pa.scalar(0, pa.int32()), len(rows)), pa.array([text])
            )
            for text in (self._kind, self._source, reason)
        ]
        input_, source, reasons = alike
        columns = [input_, source, pa.array(rows, pa.int64()), reasons, details]
        columns += [column.cast(pa.string()) for column in ids]
        columns += [pa.nulls(len(rows), pa.string())] * (len(REJECTS) - len(columns))
        return pa.RecordBatch.from_arrays(columns, schema=REJECTS)

    def result(
        self, columns: Mapping[str, pa.Array], schema: pa.Schema, *ids: pa.Array
    ) -> Normalized:
        """The rows that are kept, in their order, the rejects and the counts.

        Args:
          columns: the columns of `schema`, all rows, nulls in those that are rejected.
          schema: the layout of the batch.
          *ids: as for `rejects`.
        """
        return Normalized([self.kept(columns, schema)], self.rejects(*ids), self.counts)

    def kept(
        self,
        columns: Mapping[str, pa.Array],
        schema: pa.Schema,
        where: np.ndarray | None = None,
    ) -> pa.RecordBatch:
        """The rows that are kept, in their order.

        Args:
          columns: the columns of `schema`, all rows, nulls in those that are not kept.
          schema: the layout of the batch.
          where: which rows are asked for; None is all of them.
        """
        kept = self._kept if where is None else self._kept & where
        batch = pa.RecordBatch.from_arrays(
            [columns[name] for name in schema.names],
            schema=pa.schema([field.with_nullable(True) for field in schema]),
        )
        if not kept.all():
            batch = batch.filter(pa.array(kept))
        return pa.RecordBatch.from_arrays(batch.columns, schema=schema)
