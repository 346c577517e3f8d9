"""BigQuery tables: read as Arrow columns, and replaced by the Avro files that a run has written.

Nothing here imports Beam, and Google's clients are imported when they are first needed. They take
credentials from where Google's clients find them (Application Default Credentials), and run in the
table's project. For an emulator, `BIGQUERY_EMULATOR_HOST` is its address as google-cloud-bigquery knows
it (`http://127.0.0.1:9050`) and `BIGQUERY_STORAGE_GRPC_ENDPOINT` that of its Storage Read API
(`127.0.0.1:9060`), for which the client library has no variable; neither is given credentials.
"""

import contextlib
import dataclasses
import datetime
import functools
import importlib
import io
import itertools
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas import avro_schema, bigquery_schema
from transforms import formats
from transforms.batches import ColumnNames, RawBatch
from transforms.encoding import Kind, encode
from transforms.errors import InputError, JobError, OutputError
from transforms.metrics import MAX_VALUE
from transforms.records import RECORDS

INPUT_PREFIX = "bigquery:"
FILES_PER_LOAD = 10_000
RECORDS_PER_UPLOAD = 1 << 21  # some ten megabytes, deflated
PARTITIONS_PER_STATEMENT = 4_000
MAX_STREAMS = 0  # as many as the service thinks right
_STAGING_LASTS = datetime.timedelta(days=1)
_CHECK_TIMEOUT_S = 30.0
_ROW_BYTES = 64  # of the canonical columns, roughly
_DAY_US = 86_400_000_000
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
TABLE = re.compile(r"(?P<project>[a-z][\w.:-]*)[:.](?P<dataset>\w+)\.(?P<table>[\w-]+)")
_TYPES = {"INT64": "INTEGER"}  # the other name of a type that a schema may have

Range = tuple[int | None, int | None]
"""Half open, in microseconds since the epoch, UTC; None is no bound."""


class Table(NamedTuple):
    """A table's place."""

    project: str
    dataset: str
    table: str

    def __str__(self) -> str:
        return ".".join(self)


def parse_table(text: str) -> Table:
    """Makes a table of `PROJECT:DATASET.TABLE` or `PROJECT.DATASET.TABLE`.

    Raises:
      JobError: it is neither.
    """
    found = TABLE.fullmatch(text)
    if not found:
        raise JobError(f"{text}: not of the form PROJECT:DATASET.TABLE")
    return Table(**found.groupdict())


def is_table(pattern: str) -> bool:
    """Whether an input is a table, `bigquery:PROJECT.DATASET.TABLE`, and no file."""
    return pattern.startswith(INPUT_PREFIX)


# Clients


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise JobError(
            "BigQuery needs the cloud extra: pip install 'messaging-session-metrics[gcp]'"
        ) from None


def _client(project: str) -> Any:
    bigquery = _import("google.cloud.bigquery")
    credentials = None
    if os.environ.get("BIGQUERY_EMULATOR_HOST"):
        credentials = _import("google.auth.credentials").AnonymousCredentials()
    return bigquery.Client(project, credentials)


def _soon() -> Any:
    """Tries again what may be a passing fault, but not for the ten minutes that are the default."""
    return _import("google.cloud.bigquery").DEFAULT_RETRY.with_timeout(_CHECK_TIMEOUT_S)


def _read_client() -> Any:
    storage = _import("google.cloud.bigquery_storage_v1")
    endpoint = os.environ.get("BIGQUERY_STORAGE_GRPC_ENDPOINT")
    if not endpoint:
        return storage.BigQueryReadClient()
    unlimited = [("grpc.max_receive_message_length", -1)]
    channel = _import("grpc").insecure_channel(endpoint, unlimited)
    transport = storage.BigQueryReadClient.get_transport_class("grpc")(channel=channel)
    return storage.BigQueryReadClient(transport=transport)


@contextlib.contextmanager
def _explained(table: object, kind: type[JobError]) -> Iterator[None]:
    """Makes one line of what the service or the network says."""
    of_calls, of_credentials = (
        _import(f"google.{name}.exceptions") for name in ("api_core", "auth")
    )
    try:
        yield
    except (of_calls.GoogleAPIError, of_credentials.GoogleAuthError, OSError) as error:
        cause = getattr(error, "cause", None) or error  # of what was tried again in vain
        said = str(getattr(cause, "message", "") or cause).strip() or type(cause).__name__
        raise kind(f"{table}: BigQuery: {said.splitlines()[0]}") from error


# Out


@dataclasses.dataclass(frozen=True)
class TableRange:
    """The rows of a table that a run replaces: those of the sessions that ended in a range.

    Attributes:
      table: the table; it is made where there is none.
      closed_us: the range; without bounds it is the whole table.
      kind: what its rows are.
    """

    table: Table
    closed_us: Range = (None, None)
    kind: Kind = RECORDS

    def check(self) -> None:
        """Looks at the dataset and the table, so that a mistake is told before any work.

        Raises:
          JobError: they can't be had, the table is none or lacks a column, or no package for it is
            installed.
        """
        client, missing = _client_and_missing(self.table)
        with _explained(self.table, OutputError):
            try:
                client.get_dataset(".".join(self.table[:2]), retry=_soon())
            except missing:
                raise OutputError(
                    f"{self.table}: no such dataset; make it: bq mk --dataset "
                    f"{self.table.project}:{self.table.dataset}"
                ) from None
            try:
                found = client.get_table(str(self.table), retry=_soon())
            except missing:
                return
        if found.table_type not in (None, "TABLE"):
            raise OutputError(f"{self.table}: is a {found.table_type.lower()}, not a table")
        types = {f.name: f.field_type for f in found.schema if f.mode != "REPEATED"}
        for field in bigquery_schema(self.kind.schema):
            kind = types.pop(field["name"], "missing")
            if _TYPES.get(kind, kind) != field["type"]:
                raise OutputError(
                    f"{self.table}: column {field['name']} is {kind}, it must be {field['type']}"
                )
        needed = [f.name for f in found.schema if f.name in types and f.mode == "REQUIRED"]
        if needed:
            raise OutputError(
                f"{self.table}: column {needed[0]} is REQUIRED, and {self.kind.files} have no such field"
            )

    def replace(self, files: Iterable[tuple[str, int]], run: str) -> None:
        """Puts the rows of Avro files in place of the range's rows, at once or not at all.

        They are loaded into a table beside it, which expires by itself. Jobs are named after the run:
        called again, it waits for those that there are and starts no second one.

        Args:
          files: their paths, all of this machine or all `gs://`, and the numbers of their rows.
          run: letters and digits that no other run has.

        Raises:
          OutputError: the table is as it was.
        """
        files = sorted(files)
        client, missing = _client_and_missing(self.table)
        with _explained(self.table, OutputError):
            dataset = client.get_dataset(".".join(self.table[:2]))
            client.create_table(_described(self.table, self.kind), exists_ok=True)
            staging = self.table._replace(table=f"{self.table.table}_staging_{run}")
            client.create_table(_staged(staging, self.kind), exists_ok=True)

            def once(name: str, start: Callable[..., Any]) -> Any:
                job_id = f"session-{self.kind.files}-{run}-{name}"
                try:
                    return client.get_job(job_id, location=dataset.location)
                except missing:
                    pass
                try:
                    return start(job_id=job_id, location=dataset.location)
                except _import("google.api_core.exceptions").Conflict:
                    return client.get_job(job_id, location=dataset.location)

            loads = [
                once(
                    f"load-{number:05d}",
                    functools.partial(_load, client, self.kind, staging, paths),
                )
                for number, paths in enumerate(_groups(files))
            ]
            loaded = sum(job.result().output_rows for job in loads)
            expected = sum(number for _, number in files)
            if loaded != expected:
                raise OutputError(
                    f"{self.table}: {loaded:,} of {expected:,} {self.kind.files} were loaded; "
                    "nothing was replaced"
                )

            def query(name: str, statement: str) -> Any:
                job = once(name, functools.partial(client.query, statement, job_retry=None))
                return job.result()

            edges_us = self._edges_us(staging, functools.partial(query, "days"))
            query("replace", self._statement(staging, edges_us))
        # The table has its rows: what is left over is no reason to fail.
        with contextlib.suppress(OutputError), _explained(staging, OutputError):
            client.delete_table(str(staging), not_found_ok=True)

    def _edges_us(self, staging: Table, query: Callable[[str], Any]) -> list[int]:
        """Where the range is cut, so that no statement changes more partitions than one may."""
        start, end = self.closed_us
        most_us = (PARTITIONS_PER_STATEMENT - 1) * _DAY_US
        if start is not None and end is not None and end - start <= most_us:
            return []
        ended = self.kind.ended_field
        rows = query(
            f"SELECT DISTINCT DATE({ended}) AS day FROM (SELECT {ended} FROM `{self.table}` "
            f"WHERE {_in_range(self.closed_us, ended)} UNION ALL SELECT {ended} FROM `{staging}`) "
            "ORDER BY day"
        )
        days = [(row.day - _EPOCH.date()).days for row in rows]
        return [day * _DAY_US for day in days[PARTITIONS_PER_STATEMENT::PARTITIONS_PER_STATEMENT]]

    def _statement(self, staging: Table, edges_us: Sequence[int]) -> str:
        """One MERGE with a condition that is never true; where one may not do it all, a transaction."""
        start, end = self.closed_us
        merges = [
            self._merge(staging, closed_us)
            for closed_us in itertools.pairwise([start, *edges_us, end])
        ]
        if len(merges) == 1:
            return merges[0]
        return ";\n".join(["BEGIN TRANSACTION", *merges, "COMMIT TRANSACTION;"])

    def _merge(self, staging: Table, closed_us: Range) -> str:
        names = ", ".join(field["name"] for field in bigquery_schema(self.kind.schema))
        ended = self.kind.ended_field
        return (
            f"MERGE `{self.table}` AS T\n"
            f"USING (SELECT * FROM `{staging}` WHERE {_in_range(closed_us, ended)}) AS S\n"
            "ON FALSE\n"
            f"WHEN NOT MATCHED BY SOURCE AND {_in_range(closed_us, f'T.{ended}')} THEN DELETE\n"
            f"WHEN NOT MATCHED BY TARGET THEN INSERT ({names}) VALUES ({names})"
        )


def check_rows(kind: Kind, batch: pa.RecordBatch) -> None:
    """Looks at the batch that rows of a kind are made of.

    Raises:
      OutputError: a row would not be as the schema says.
    """

    def fail(what: str) -> None:
        raise OutputError(f"{kind.files}: a row {what}; nothing was published")

    values = [field.name for field in batch.schema if field.type == pa.int32()]
    bounds = {name: (0, MAX_VALUE) for name in values}
    bounds["ended_at_us"] = _micros(datetime.datetime.min), _micros(datetime.datetime.max)
    for field in batch.schema:
        column = batch.column(field.name)
        if column.null_count and not kind.layout.field(field.name).nullable:
            fail(f"without {field.name}")
        if field.name in bounds and len(batch):
            least, most = bounds[field.name]
            found = pc.min_max(column.cast(pa.int64())).as_py()
            if not least <= found["min"] <= found["max"] <= most:
                fail(f"with {field.name} out of range")
    if pc.any(pc.equal(batch.column("session_id"), "")).as_py():
        fail("with an empty session_id")


def _micros(utc: datetime.datetime) -> int:
    return (utc - _EPOCH.replace(tzinfo=None)) // datetime.timedelta(microseconds=1)


def _client_and_missing(table: Table) -> tuple[Any, Any]:
    """A client, and what it raises for what is not there."""
    with _explained(table, OutputError):
        return _client(table.project), _import("google.api_core.exceptions").NotFound


def _described(table: Table, kind: Kind) -> Any:
    bigquery = _import("google.cloud.bigquery")
    fields = bigquery_schema(kind.schema)
    made = bigquery.Table(
        str(table), [bigquery.SchemaField.from_api_repr(field) for field in fields]
    )
    made.description = avro_schema(kind.schema)["doc"]
    made.time_partitioning = bigquery.TimePartitioning(field=kind.ended_field)
    made.clustering_fields = [kind.id_field]
    return made


def _staged(table: Table, kind: Kind) -> Any:
    made = _described(table, kind)
    made.time_partitioning = made.clustering_fields = None
    made.description = "Rows on their way into the table; expires by itself."
    made.expires = datetime.datetime.now(datetime.timezone.utc) + _STAGING_LASTS
    return made


def _groups(files: Sequence[tuple[str, int]]) -> Iterator[list[str]]:
    """The files of each load job: as few jobs as can be, of whole files, in order."""
    group: list[str] = []
    waiting = 0
    for path, number in files:
        full = len(group) == FILES_PER_LOAD or (
            not _is_in_cloud(path) and waiting + number > RECORDS_PER_UPLOAD
        )
        if group and full:
            yield group
            group, waiting = [], 0
        group.append(path)
        waiting += number
    if group:
        yield group


def _is_in_cloud(path: str) -> bool:
    return path.startswith("gs://")


def _load(
    client: Any, kind: Kind, staging: Table, paths: Sequence[str], job_id: str, location: str
) -> Any:
    bigquery = _import("google.cloud.bigquery")
    config = bigquery.LoadJobConfig(
        source_format="AVRO",
        use_avro_logical_types=True,
        create_disposition="CREATE_NEVER",
        write_disposition="WRITE_APPEND",
    )
    options = {"job_id": job_id, "location": location, "job_config": config}
    if _is_in_cloud(paths[0]):
        return client.load_table_from_uri(list(paths), str(staging), **options)
    return client.load_table_from_file(io.BytesIO(_joined(kind, paths)), str(staging), **options)


def _joined(kind: Kind, paths: Sequence[str]) -> bytes:
    """The blocks of several of our Avro files after one header, which they have in common."""
    header = b"".join(encode(kind, kind.empty(), "avro"))
    pieces = [header]
    for path in paths:
        with open(path, "rb") as file:
            if file.read(len(header)) != header:
                raise OutputError(f"{path}: is not as it was written; nothing was published")
            pieces.append(file.read())
    return b"".join(pieces)


def _in_range(closed_us: Range, column: str) -> str:
    """A condition, of constants, so that only the range's partitions are looked at."""
    bounds = zip((">=", "<"), closed_us, strict=True)
    stated = [
        f"{column} {operator} TIMESTAMP '{_instant(micros)}'"
        for operator, micros in bounds
        if micros is not None
    ]
    return " AND ".join(stated) or "TRUE"


def _instant(micros: int) -> str:
    return (_EPOCH + datetime.timedelta(microseconds=micros)).isoformat(" ", "microseconds")


# In


class Stream(NamedTuple):
    """A part of a table: a stream of the Storage Read API, and the Arrow schema that its batches have."""

    name: str
    schema: bytes


def check_columns(pattern: str, names: ColumnNames, needed: Collection[str] = ()) -> None:
    """Looks at a table's columns.

    Raises:
      JobError: it can't be had, or lacks a column that is needed.
    """
    names.check(list(_columns(pattern)[1]), pattern, needed)


def streams(
    pattern: str, names: ColumnNames, closed_us: Range = (None, None)
) -> tuple[list[Stream], int]:
    """Opens a table for reading: all of its rows as of now, or of sessions those that matter.

    Sessions that ended outside the range are left out where the table has each session once, and one
    column for its end, a timestamp; a query tells. Where it has a session several times all are
    read, because the newest row decides, and that may be one outside.

    Args:
      pattern: `bigquery:PROJECT.DATASET.TABLE`.
      names: the columns that are read, of those that the table has; of a nested one the whole record.
      closed_us: of sessions, the range in which they ended.

    Returns:
      The streams, which together hold each row once and may be read for some hours, as often as need
      be; and the size of the rows as canonical columns, roughly.

    Raises:
      JobError: the table can't be had, or lacks a column that is needed.
    """
    table, found = _columns(pattern)
    names.check(list(found), pattern)
    wanted = list(dict.fromkeys(name.split(".")[0] for name in names.all() if name in found))
    storage = _import("google.cloud.bigquery_storage_v1")
    with _explained(pattern, InputError):
        restriction = ""
        if names.kind == "sessions":
            restriction = _restriction(_client(table.project), table, names, found, closed_us)
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
    return [Stream(stream.name, schema) for stream in session.streams], num_bytes


def read(stream: Stream, pattern: str, names: Sequence[str]) -> Iterator[formats.Decode]:
    """What gives the raw batches of a stream; a row's number is 0, for a table has no order."""
    with _explained(pattern, InputError):
        for response in _read_client().read_rows(stream.name):
            batch = response.arrow_record_batch.serialized_record_batch
            if batch:
                yield functools.partial(_decode, stream.schema, batch, names)


def _decode(schema: bytes, batch: bytes, names: Sequence[str]) -> RawBatch:
    rows = pa.ipc.read_record_batch(pa.py_buffer(batch), pa.ipc.read_schema(pa.py_buffer(schema)))
    columns = formats.columns_of(rows, names)
    return RawBatch(columns, rows.num_rows, lambda: np.zeros(rows.num_rows, np.int64))


def _columns(pattern: str) -> tuple[Table, dict[str, str]]:
    """The table and the types of its columns, by name, nested ones with dots."""
    table = parse_table(pattern.removeprefix(INPUT_PREFIX))
    client, missing = _client_and_missing(table)
    with _explained(pattern, InputError):
        try:
            there = client.get_table(str(table), retry=_soon())
        except missing:
            raise InputError(f"{pattern}: no such table") from None
    if there.table_type == "VIEW":
        raise InputError(f"{pattern}: is a view, which can't be read in streams; name a table")

    def flat(fields: Iterable[Any], prefix: str = "") -> Iterator[tuple[str, str]]:
        for field in fields:
            if field.field_type not in ("RECORD", "STRUCT"):
                kind = _TYPES.get(field.field_type, field.field_type)
                yield prefix + field.name, "REPEATED" if field.mode == "REPEATED" else kind
            elif field.mode != "REPEATED":
                yield from flat(field.fields, f"{prefix}{field.name}.")

    return table, dict(flat(there.schema))


def _restriction(
    client: Any, table: Table, names: ColumnNames, found: dict[str, str], closed_us: Range
) -> str:
    """The condition on the rows of sessions that need be read for a range; empty is all of them."""
    ids, ends = (
        [name for name in names.names[column] if name in found]
        for column in ("session_id", "ended_at")
    )
    if closed_us == (None, None) or len(ids) != 1 or len(ends) != 1 or "." in ids[0] + ends[0]:
        return ""
    if found[ids[0]] != "STRING" or found[ends[0]] != "TIMESTAMP":
        return ""
    (session_id,), (ended_at,) = ids, ends
    # A session's id may have 15 or 18 characters; the first 15 are the same.
    several = client.query(
        f"SELECT 1 FROM `{table}` GROUP BY IF(STARTS_WITH(`{session_id}`, '0Mw') AND "
        f"LENGTH(`{session_id}`) IN (15, 18), SUBSTR(`{session_id}`, 1, 15), `{session_id}`) "
        "HAVING COUNT(*) > 1 LIMIT 1"
    ).result()
    return "" if list(several) else _in_range(closed_us, f"`{ended_at}`")
