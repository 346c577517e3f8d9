"""Raw columns to Salesforce's own records, and to summary rows. Pure; no Beam."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from schemas import metric_types
from transforms.batches import MAX_VALUE, SALESFORCE_RECORDS, SUMMARIES
from transforms.reading import id_columns, values
from transforms.reading.columns import Columns, Parse, RawBatch, nulls
from transforms.reading.fates import Fates, Normalized
from transforms.reading.names import ColumnNames
from transforms.reading.timestamps import to_instants

_PARSERS: Mapping[pa.DataType, Parse] = {
    pa.int64(): values.to_integers,
    pa.bool_(): values.to_booleans,
    pa.timestamp("us", "UTC"): to_instants,
}


def normalize_records(raw: RawBatch, names: ColumnNames, source: str) -> Normalized:
    """Makes Salesforce's own records of raw rows.

    A record whose type the schema does not list is skipped before anything else of it is looked at.

    Args:
      raw: the rows as read.
      names: the names of the columns.
      source: the file, for the rejects.

    Returns:
      A batch of layout `SALESFORCE_RECORDS`; rejects; counts `records_read`,
      `records_skipped_metric_type` and `records_rejected_<reason>`.
    """
    columns = Columns(raw, names)
    fates = Fates("records", raw, source)
    named = columns.codes("metric_type")
    known = pc.index_in(named.dictionary, pa.array(metric_types())).cast(pa.int8())
    metric_type = known.take(named.indices)
    fates.skip("metric_type", nulls(metric_type) & ~nulls(named))

    session_id = id_columns.to_session_ids(columns.codes("session_id"))
    value, stated = columns.parsed("metric_value", values.to_integers)
    possible = pc.and_(pc.greater_equal(value, 0), pc.less_equal(value, MAX_VALUE))

    fates.reject("session_id_missing", nulls(session_id))
    fates.reject("metric_type_missing", nulls(named))
    fates.reject("metric_value_missing", nulls(stated))
    fates.reject(
        "metric_value_invalid", ~possible.fill_null(False).to_numpy(zero_copy_only=False), stated
    )

    found = {"session_id": session_id, "metric_type": metric_type, "value": value}
    return fates.result(found, SALESFORCE_RECORDS, session_id)


def normalize_summaries(raw: RawBatch, names: ColumnNames, source: str) -> Normalized:
    """Makes summary rows of raw rows.

    Args:
      raw: the rows as read.
      names: the names of the columns.
      source: the file, for the rejects.

    Returns:
      A batch of layout `SUMMARIES`; rejects; counts `summaries_read` and `summaries_rejected_<reason>`.
    """
    columns = Columns(raw, names)
    fates = Fates("summaries", raw, source)
    found = {}
    for field in SUMMARIES:
        if pa.types.is_string(field.type):
            column = columns.text(field.name)
        else:
            column, stated = columns.parsed(field.name, _PARSERS[field.type])
            if pa.types.is_int64(field.type):
                column = pc.if_else(pc.less(column, 0), pa.scalar(None, pa.int64()), column)
            fates.reject(f"{field.name}_invalid", nulls(column) & ~nulls(stated), stated)
        if not field.nullable:
            fates.reject(f"{field.name}_missing", nulls(column))
        found[field.name] = column.cast(field.type)
    return fates.result(found, SUMMARIES, found["session_id"])
