"""Makes canonical batches of typed rows: `BatchMessages`, `BatchSessions`."""

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.typehints.decorators import no_annotations
from apache_beam.utils.timestamp import Timestamp

from schemas.rows import MessageRow, SessionRow
from transforms.collections import COUNTS, NUM_BYTES, REJECTS, Batches
from transforms.plumbing import coders  # noqa: F401  (registers the coder)
from transforms.plumbing.counters import emit_counts
from transforms.reading.columns import ColumnNames, RawBatch
from transforms.reading.normalize import normalize_messages, normalize_sessions

_ROWS = 1 << 14

_SOURCE = "rows"


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class BatchMessages(beam.PTransform):
    """Makes `Batches` of a PCollection of `MessageRow`, or of any row with those fields.

    A reject's `source` is `rows` and its `row` 0: elements of a PCollection have no number.
    """

    @no_annotations
    def expand(self, pcoll: beam.PCollection) -> Batches:
        """Applies the transform to rows."""
        return _batch(pcoll, MessageRow, None)


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class BatchSessions(beam.PTransform):
    """Makes `Batches` of a PCollection of `SessionRow`, or of any row with those fields.

    Attributes:
      assume_platform: as for `ReadSessions`.
    """

    assume_platform: Literal["Enhanced", "Standard"] | None = None

    @no_annotations
    def expand(self, pcoll: beam.PCollection) -> Batches:
        """Applies the transform to rows."""
        return _batch(pcoll, SessionRow, self.assume_platform)


def _batch(pcoll: beam.PCollection, row: type, assume_platform: str | None) -> Batches:
    outputs = (
        pcoll
        | "BatchRows" >> beam.BatchElements(_ROWS, _ROWS)
        | "Normalize"
        >> beam.ParDo(_NormalizeRows(), row, assume_platform)
        .with_output_types(pa.RecordBatch, rejects=Any, counts=dict, num_bytes=int)
        .with_outputs(REJECTS, COUNTS, NUM_BYTES, main="batches")
    )
    return Batches(outputs.batches, outputs[REJECTS], outputs[COUNTS], outputs[NUM_BYTES])


class _NormalizeRows(beam.DoFn):
    def process(self, rows: list[Any], row: type, assume_platform: str | None) -> Iterator[Any]:
        columns = {}
        for field in row._fields:  # type: ignore[attr-defined]
            values = [getattr(r, field, None) for r in rows]
            if field.endswith("_at"):
                micros = [v.micros if isinstance(v, Timestamp) else v for v in values]
                columns[field] = pa.array(micros, pa.timestamp("us", "UTC"))
            else:
                columns[field] = pa.array(values)
        raw = RawBatch(columns, len(rows), lambda: np.zeros(len(rows), np.int64))
        if row is MessageRow:
            batch, rejects, counts = normalize_messages(raw, ColumnNames.of("messages"), _SOURCE)
        else:
            batch, rejects, counts = normalize_sessions(
                raw, ColumnNames.of("sessions"), _SOURCE, assume_platform=assume_platform
            )
        if len(batch):
            yield batch
        yield beam.pvalue.TaggedOutput(NUM_BYTES, batch.nbytes)
        yield from (beam.pvalue.TaggedOutput(REJECTS, reject) for reject in rejects)
        yield from emit_counts(counts)
