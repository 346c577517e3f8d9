"""Batches to typed rows: `ToRows`, `ToRejects`."""

import dataclasses
from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa
from apache_beam.typehints.decorators import no_annotations
from apache_beam.utils.timestamp import Timestamp

from schemas.rows import MetricRow
from transforms.collections import Metrics
from transforms.rejects import Reject, rejects_in
from transforms.writing.records import to_records


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ToRows(beam.PTransform):
    """Makes a `MetricRow` of each metric of each session of `Metrics`, six by default."""

    @no_annotations
    def expand(self, metrics: Metrics) -> beam.PCollection:
        """Applies the transform to `Metrics`."""
        return metrics.batches | beam.FlatMap(_to_rows).with_output_types(MetricRow)


def _to_rows(metrics: pa.RecordBatch) -> Iterator[MetricRow]:
    records = to_records(metrics)
    columns = [column.to_pylist() for column in records.columns[:-1]]
    micros = records.column("CreatedDate").cast(pa.int64()).to_pylist()
    for *fields, created in zip(*columns, micros, strict=True):
        yield MetricRow._make([*fields, Timestamp(micros=created)])


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ToRejects(beam.PTransform):
    """Makes a `Reject` of each row of batches of rejects, as in `Batches` and `Metrics`."""

    @no_annotations
    def expand(self, rejects: beam.PCollection) -> beam.PCollection:
        """Applies the transform to the collection `rejects`."""
        return rejects | beam.FlatMap(rejects_in).with_output_types(Reject)
