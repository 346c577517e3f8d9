"""BigQuery tables as input: streams of Arrow batches. No Beam."""

import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from transforms.batches import SESSION_ID_PREFIX
from transforms.bigquery import (
    INPUT_PREFIX,
    TYPE_NAMES,
    Range,
    Table,
    client_and_missing,
    client_of,
    condition_of,
    explained,
    import_client,
    parse_table,
    retry_briefly,
)
from transforms.errors import InputError
from transforms.reading.columns import RawBatch
from transforms.reading.formats.parts import Decode, columns_of, columns_to_read
from transforms.reading.names import ColumnNames

# 0: the service chooses.
MAX_STREAMS = 0

# The size of a row as canonical columns, roughly.
_ROW_BYTES = 64


def _read_client() -> Any:
    storage = import_client("google.cloud.bigquery_storage_v1")
    endpoint = os.environ.get("BIGQUERY_STORAGE_GRPC_ENDPOINT")
    if not endpoint:
        return storage.BigQueryReadClient()
    unlimited = [("grpc.max_receive_message_length", -1)]
    channel = import_client("grpc").insecure_channel(endpoint, unlimited)
    transport = storage.BigQueryReadClient.get_transport_class("grpc")(channel=channel)
    return storage.BigQueryReadClient(transport=transport)


class Stream(NamedTuple):
    """A part of a table: a stream of the Storage Read API, and the Arrow schema of its batches."""

    name: str
    schema: bytes


def columns_of_table(pattern: str) -> list[str]:
    """The columns of a table, nested ones with dots.

    Args:
      pattern: `bigquery:PROJECT.DATASET.TABLE`.

    Raises:
      JobError: there is no such table, or it can't be read.
    """
    return list(_columns(pattern)[1])


def open_streams(
    pattern: str, names: ColumnNames, closed_us: Range = (None, None)
) -> tuple[list[Stream], ColumnNames, int]:
    """Opens a table for reading, as it is now.

    Of sessions, those that ended outside the range are left out if a query finds each session once in
    the table, and if the end is in one column, a timestamp. A table that has a session several times is
    read whole: the newest row decides, and that may be one outside the range. So is a table that says
    which conversation a session is part of: which message belongs to a session depends on the others.

    Args:
      pattern: `bigquery:PROJECT.DATASET.TABLE`.
      names: the columns to read, as far as the table has them; of a nested column the whole record.
      closed_us: of sessions, the range of their ends.

    Returns:
      The streams, which together hold each row once and can be read several times for some hours; the
      names that the table has; and the size of the rows as canonical columns, roughly, in bytes.

    Raises:
      JobError: there is no such table, it can't be read or lacks a required column.
    """
    table, found = _columns(pattern)
    names.check(list(found), pattern)
    names = names.resolve(found, pattern, False)
    wanted = list(dict.fromkeys(name.split(".")[0] for name in columns_to_read(names.all(), found)))
    storage = import_client("google.cloud.bigquery_storage_v1")
    with explained(pattern, InputError):
        restriction = ""
        if names.kind == "sessions":
            restriction = _restriction(client_of(table.project), table, names, found, closed_us)
        session = _read_client().create_read_session(
            parent=f"projects/{table.project}",
            read_session=storage.types.ReadSession(
                table=f"projects/{table.project}/datasets/{table.dataset}/tables/{table.table}",
                data_format=storage.types.DataFormat.ARROW,
                read_options=storage.types.ReadSession.TableReadOptions(
                    selected_fields=wanted, row_restriction=restriction
                ),
            ),
            max_stream_count=MAX_STREAMS,
        )
    schema = session.arrow_schema.serialized_schema
    num_bytes = max(session.estimated_total_bytes_scanned, session.estimated_row_count * _ROW_BYTES)
    return [Stream(stream.name, schema) for stream in session.streams], names, num_bytes


def read_stream(stream: Stream, pattern: str, names: Sequence[str]) -> Iterator[Decode]:
    """The pieces of a stream. The number of each row is 0, because a table has no order."""
    with explained(pattern, InputError):
        for response in _read_client().read_rows(stream.name):
            batch = response.arrow_record_batch.serialized_record_batch
            if batch:
                yield functools.partial(_decode, stream.schema, batch, names)


def _decode(schema: bytes, batch: bytes, names: Sequence[str]) -> RawBatch:
    rows = pa.ipc.read_record_batch(pa.py_buffer(batch), pa.ipc.read_schema(pa.py_buffer(schema)))
    columns = columns_of(rows, names)
    return RawBatch(columns, rows.num_rows, lambda: np.zeros(rows.num_rows, np.int64))


def _columns(pattern: str) -> tuple[Table, dict[str, str]]:
    """The table, and the types of its columns by name, nested ones with dots."""
    table = parse_table(pattern.removeprefix(INPUT_PREFIX))
    client, missing = client_and_missing(table)
    with explained(pattern, InputError):
        try:
            there = client.get_table(str(table), retry=retry_briefly())
        except missing:
            raise InputError(f"{pattern}: no such table") from None
    if there.table_type == "VIEW":
        raise InputError(f"{pattern}: is a view, which can't be read in streams; name a table")

    def flat(fields: Iterable[Any], prefix: str = "") -> Iterator[tuple[str, str]]:
        for field in fields:
            if field.field_type not in ("RECORD", "STRUCT"):
                kind = TYPE_NAMES.get(field.field_type, field.field_type)
                yield prefix + field.name, "REPEATED" if field.mode == "REPEATED" else kind
            elif field.mode != "REPEATED":
                yield from flat(field.fields, f"{prefix}{field.name}.")

    return table, dict(flat(there.schema))


def _restriction(
    client: Any, table: Table, names: ColumnNames, found: dict[str, str], closed_us: Range
) -> str:
    """The SQL condition on the sessions that must be read for a range; empty for all of them."""
    ids, ends, *conversations = (
        names.names[column]
        for column in ("session_id", "ended_at", "conversation_id", "conversation_identifier")
    )
    if any(conversations):
        return ""
    if closed_us == (None, None) or len(ids) != 1 or len(ends) != 1 or "." in ids[0] + ends[0]:
        return ""
    if found.get(ids[0]) != "STRING" or found.get(ends[0]) != "TIMESTAMP":
        return ""
    (session_id,), (ended_at,) = ids, ends
    # A session's id may have 15 or 18 characters; the first 15 are the same.
    several = client.query(
        f"SELECT 1 FROM `{table}` GROUP BY IF(STARTS_WITH(`{session_id}`, '{SESSION_ID_PREFIX}') AND "
        f"LENGTH(`{session_id}`) IN (15, 18), SUBSTR(`{session_id}`, 1, 15), `{session_id}`) "
        "HAVING COUNT(*) > 1 LIMIT 1"
    ).result()
    return "" if list(several) else condition_of(closed_us, f"`{ended_at}`")
