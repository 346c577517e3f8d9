"""What an output is: its files, its columns, how its rows are made. Pure; no Beam."""

import dataclasses
from collections.abc import Callable
from typing import Protocol

import pyarrow as pa


class Sessions(Protocol):
    """A row per session, sorted by session id: a record batch, or what is made into some by pieces."""

    @property
    def schema(self) -> pa.Schema:
        """Of each piece."""

    def __len__(self) -> int: ...

    def slice(self, start: int, length: int) -> pa.RecordBatch:
        """The rows from one place on; fewer at the end."""


@dataclasses.dataclass(frozen=True)
class Output:
    """A kind of rows that is written to files and tables, made of batches with a row per session.

    Its functions are a module's own, so that it is equal to what is left of it after a journey.

    Attributes:
      schema: the name of its Avro schema.
      files: what the names of its files begin with.
      id_field: the field with the session's id.
      ended_field: the field with the session's end, by whose day a table is partitioned.
      partition: what the names of directories by day begin with.
      layout: all columns that a batch may have for it, `batches.KEYS` first.
      to_rows: a batch to the rows that are written, schema `arrow_schema(schema)`.
      to_avro: a batch to the same rows in Avro's binary encoding, those of a session end to end.
      rows_per_session: of batches of a schema.
      csv_columns: the columns that a CSV file has.
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
        """Of a batch, which may have columns for other kinds too, those for this one."""
        return batch.select([name for name in batch.schema.names if name in self.layout.names])
