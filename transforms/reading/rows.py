"""Makes canonical batches of typed rows: `BatchMessages`, `BatchSessions`."""

import dataclasses
from collections.abc import Iterator, Sequence
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
from transforms.reading.columns import RawBatch
from transforms.reading.lookups import Given, Lookups
from transforms.reading.messages import normalize_messages
from transforms.reading.names import ColumnNames
from transforms.reading.read import ReadParticipants
from transforms.reading.read_inputs import said_by
from transforms.reading.sessions import normalize_sessions

_ROWS = 1 << 14

_SOURCE = "rows"


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class BatchMessages(beam.PTransform):
    """Makes `Batches` of a PCollection of `MessageRow`, or of any row with those fields.

    A reject's `source` is `rows` and its `row` 0: elements of a PCollection have no number.

    Attributes:
      participants: as for `ReadMessages`.
    """

    participants: ReadParticipants | None = None

    @no_annotations
    def expand(self, pcoll: beam.PCollection) -> Batches:
        """Applies the transform to rows."""
        if self.participants is None:
            return _batch(pcoll, MessageRow)
        stated = pcoll.pipeline | "ReadParticipants" >> self.participants
        return _batch(pcoll, MessageRow, stated).with_fates_of(stated)


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
        return _batch(pcoll, SessionRow, None, self.assume_platform)


def _batch(
    pcoll: beam.PCollection,
    row: type,
    stated: Batches | None = None,
    assume_platform: str | None = None,
) -> Batches:
    outputs = (
        pcoll
        | "BatchRows" >> beam.BatchElements(_ROWS, _ROWS)
        | "Normalize"
        >> beam.ParDo(_NormalizeRows(row, assume_platform), said_by(stated))
        .with_output_types(pa.RecordBatch, rejects=pa.RecordBatch, counts=dict, num_bytes=int)
        .with_outputs(REJECTS, COUNTS, NUM_BYTES, main="batches")
    )
    return Batches(outputs.batches, outputs[REJECTS], outputs[COUNTS], outputs[NUM_BYTES])


class _NormalizeRows(beam.DoFn):
    def __init__(self, row: type, assume_platform: str | None):
        self._row, self._assume_platform = row, assume_platform
        self._given: Given | None = None

    def process(self, rows: list[Any], lookups: Sequence[pa.RecordBatch]) -> Iterator[Any]:
        if self._given is None:
            self._given = Given(Lookups.of(lookups), self._assume_platform)
        columns = {}
        for field in self._row._fields:  # type: ignore[attr-defined]
            values = [getattr(r, field, None) for r in rows]
            if field.endswith("_at"):
                micros = [v.micros if isinstance(v, Timestamp) else v for v in values]
                columns[field] = pa.array(micros, pa.timestamp("us", "UTC"))
            else:
                columns[field] = pa.array(values)
        raw = RawBatch(columns, len(rows), lambda: np.zeros(len(rows), np.int64))
        is_message = self._row is MessageRow
        names = ColumnNames.of("messages" if is_message else "sessions")
        normalize = normalize_messages if is_message else normalize_sessions
        batches, rejects, counts = normalize(raw, names, _SOURCE, self._given)
        yield from (batch for batch in batches if len(batch))
        yield beam.pvalue.TaggedOutput(NUM_BYTES, sum(batch.nbytes for batch in batches))
        if len(rejects):
            yield beam.pvalue.TaggedOutput(REJECTS, rejects)
        yield from emit_counts(counts)
