"""An output: its files, its columns, and how its rows are made. Pure; no Beam."""

import dataclasses
import datetime
from collections.abc import Callable
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from transforms.batches import MAX_VALUE
from transforms.errors import OutputError
from transforms.instants import EPOCH


class Sessions(Protocol):
    """Rows, one per session, sorted by session id: a record batch, or a source of batches.

    Each piece that `slice` gives is a record batch.
    """

    @property
    def schema(self) -> pa.Schema:
        """The schema of each piece."""

    def __len__(self) -> int: ...

    def slice(self, start: int, length: int) -> pa.RecordBatch:
        """The rows `start` to `start + length`; fewer if there are no more."""


@dataclasses.dataclass(frozen=True)
class Output:
    """Rows that are written to files and tables: the records, or the summaries.

    They are made of batches with a row per session. All functions are module-level ones, so that a
    pickled copy compares equal to the original.

    Attributes:
      schema: the name of the Avro schema of the rows.
      files: the beginning of the files' names, which is also a word for the rows.
      id_field: the field with the session's id.
      ended_field: the field with the session's end, by whose day a table is partitioned.
      partition: the beginning of the names of directories by day.
      layout: all columns that a batch may have for these rows, `batches.KEYS` first.
      to_rows: makes the rows of a batch, schema `schemas.arrow.arrow_schema(schema)`.
      to_avro: makes the same rows in Avro's binary encoding, one value per session: its rows end to end.
      rows_per_session: the number of rows that each session has in batches of a schema.
      csv_columns: the columns of a CSV file.
    """

    schema: str
    files: str
    id_field: str
    ended_field: str
    partition: str
    layout: pa.Schema
    to_rows: Callable[[pa.RecordBatch], pa.RecordBatch]
    to_avro: Callable[[pa.RecordBatch], pa.BinaryArray]
    rows_per_session: Callable[[pa.Schema], int]
    csv_columns: tuple[str, ...]

    def empty(self) -> pa.RecordBatch:
        """A batch without rows."""
        return pa.RecordBatch.from_pylist([], self.layout)

    def select(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The columns of a batch that these rows are made of; it may have columns for other outputs."""
        return batch.select([name for name in batch.schema.names if name in self.layout.names])


def check_rows(output: Output, batch: pa.RecordBatch) -> None:
    """Checks the batch that the rows of an output are made of.

    Raises:
      OutputError: a row would not be as the schema requires.
    """

    def fail(what: str) -> None:
        raise OutputError(f"{output.files}: a row {what}; nothing was published")

    values = [field.name for field in batch.schema if field.type == pa.int32()]
    bounds = {name: (0, MAX_VALUE) for name in values}
    bounds["ended_at_us"] = _micros(datetime.datetime.min), _micros(datetime.datetime.max)
    for field in batch.schema:
        column = batch.column(field.name)
        if column.null_count and not output.layout.field(field.name).nullable:
            fail(f"without {field.name}")
        if field.name in bounds and len(batch):
            least, most = bounds[field.name]
            found = pc.min_max(column.cast(pa.int64())).as_py()
            if not least <= found["min"] <= found["max"] <= most:
                fail(f"with {field.name} out of range")
    if pc.any(pc.equal(batch.column("session_id"), "")).as_py():
        fail("with an empty session_id")


def _micros(utc: datetime.datetime) -> int:
    return (utc - EPOCH.replace(tzinfo=None)) // datetime.timedelta(microseconds=1)
