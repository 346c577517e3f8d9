"""The summaries of sessions as rows and in Avro. Pure; no Beam."""

import numpy as np
import pyarrow as pa

from schemas.arrow import arrow_schema
from transforms.batches import KEYS, SIDES
from transforms.errors import OutputError
from transforms.folding.summaries import COLUMNS, SUMMARY_SCHEMA, is_duration
from transforms.writing.avro import avro_rows
from transforms.writing.outputs import Output


def _columns(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    """The fields of the summaries, in the order of the schema, each as `COLUMNS` holds it.

    Raises:
      OutputError: the batch has no summaries.
    """
    if not set(COLUMNS.names) <= set(batch.schema.names):
        raise OutputError(
            "there are no summaries of the sessions; nothing was published. "
            "ComputeSessionMetrics makes them with summarize=True"
        )
    found = {name: batch.column(name) for name in COLUMNS.names}
    found["session_id"], found["ended_at"] = batch.column("session_id"), batch.column("ended_at_us")
    for side in SIDES:
        found[f"{side}_response_average_us"] = _average(batch, side)
    return {name: found[name] for name in arrow_schema(SUMMARY_SCHEMA).names}


def _average(batch: pa.RecordBatch, side: str) -> pa.Array:
    divisor = np.maximum(batch.column(f"{side}_responses").to_numpy().astype(np.int64), 1)
    # A side without responses has a total of -1, and so has an average of -1: null.
    average_us, rest = np.divmod(batch.column(f"{side}_response_total_us").to_numpy(), divisor)
    return pa.array(average_us + (2 * rest >= divisor))


def to_summaries(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Makes a row of each session, in the order of sessions, with the schema of the summaries.

    Args:
      batch: with `COLUMNS` beside the metrics.

    Raises:
      OutputError: the batch has no summaries.
    """
    schema = arrow_schema(SUMMARY_SCHEMA)
    arrays = []
    for name, column in _columns(batch).items():
        if is_duration(name):
            values_us = column.to_numpy()
            column = pa.array(values_us, mask=values_us < 0)
        arrays.append(column.cast(schema.field(name).type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _to_avro(batch: pa.RecordBatch) -> pa.BinaryArray:
    columns = []
    for name, column in _columns(batch).items():
        if is_duration(name):
            values_us = column.to_numpy()
            columns.append((values_us, values_us >= 0))
        else:
            columns.append(column)
    return avro_rows(columns, SUMMARY_SCHEMA)


def _one_row_per_session(_: pa.Schema) -> int:
    return 1


SUMMARIES_OUTPUT = Output(
    schema=SUMMARY_SCHEMA,
    files="summaries",
    id_field="session_id",
    ended_field="ended_at",
    partition="ended_date",
    layout=pa.schema([*KEYS, *COLUMNS]),
    to_rows=to_summaries,
    to_avro=_to_avro,
    rows_per_session=_one_row_per_session,
    csv_columns=tuple(arrow_schema(SUMMARY_SCHEMA).names),
)
