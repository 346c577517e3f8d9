"""BigQuery tables as output: the rows of a range replaced by Avro files."""

import contextlib
import dataclasses
import datetime
import functools
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas import avro_schema, bigquery_schema
from transforms.bigquery import (
    TYPE_NAMES,
    Range,
    Table,
    client_and_missing,
    condition_of,
    explained,
    import_client,
    retry_briefly,
)
from transforms.errors import OutputError
from transforms.folding.metrics import MAX_VALUE
from transforms.instants import DAY_US, EPOCH
from transforms.writing.encoders import encode
from transforms.writing.outputs import Output
from transforms.writing.records import RECORDS_OUTPUT

FILES_PER_LOAD = 10_000

RECORDS_PER_UPLOAD = 1 << 21  # some ten megabytes, deflated

PARTITIONS_PER_STATEMENT = 4_000

_STAGING_LASTS = datetime.timedelta(days=1)


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
    kind: Output = RECORDS_OUTPUT

    def check(self) -> None:
        """Looks at the dataset and the table, so that a mistake is told before any work.

        Raises:
          JobError: they can't be had, the table is none or lacks a column, or no package for it is
            installed.
        """
        client, missing = client_and_missing(self.table)
        with explained(self.table, OutputError):
            try:
                client.get_dataset(".".join(self.table[:2]), retry=retry_briefly())
            except missing:
                raise OutputError(
                    f"{self.table}: no such dataset; make it: bq mk --dataset "
                    f"{self.table.project}:{self.table.dataset}"
                ) from None
            try:
                found = client.get_table(str(self.table), retry=retry_briefly())
            except missing:
                return
        if found.table_type not in (None, "TABLE"):
            raise OutputError(f"{self.table}: is a {found.table_type.lower()}, not a table")
        types = {f.name: f.field_type for f in found.schema if f.mode != "REPEATED"}
        for field in bigquery_schema(self.kind.schema):
            kind = types.pop(field["name"], "missing")
            if TYPE_NAMES.get(kind, kind) != field["type"]:
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
        client, missing = client_and_missing(self.table)
        with explained(self.table, OutputError):
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
                except import_client("google.api_core.exceptions").Conflict:
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
        with contextlib.suppress(OutputError), explained(staging, OutputError):
            client.delete_table(str(staging), not_found_ok=True)

    def _edges_us(self, staging: Table, query: Callable[[str], Any]) -> list[int]:
        """Where the range is cut, so that no statement changes more partitions than one may."""
        start, end = self.closed_us
        most_us = (PARTITIONS_PER_STATEMENT - 1) * DAY_US
        if start is not None and end is not None and end - start <= most_us:
            return []
        ended = self.kind.ended_field
        rows = query(
            f"SELECT DISTINCT DATE({ended}) AS day FROM (SELECT {ended} FROM `{self.table}` "
            f"WHERE {condition_of(self.closed_us, ended)} UNION ALL SELECT {ended} FROM `{staging}`) "
            "ORDER BY day"
        )
        days = [(row.day - EPOCH.date()).days for row in rows]
        return [day * DAY_US for day in days[PARTITIONS_PER_STATEMENT::PARTITIONS_PER_STATEMENT]]

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
            f"USING (SELECT * FROM `{staging}` WHERE {condition_of(closed_us, ended)}) AS S\n"
            "ON FALSE\n"
            f"WHEN NOT MATCHED BY SOURCE AND {condition_of(closed_us, f'T.{ended}')} THEN DELETE\n"
            f"WHEN NOT MATCHED BY TARGET THEN INSERT ({names}) VALUES ({names})"
        )


def check_rows(kind: Output, batch: pa.RecordBatch) -> None:
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
    return (utc - EPOCH.replace(tzinfo=None)) // datetime.timedelta(microseconds=1)


def _described(table: Table, kind: Output) -> Any:
    bigquery = import_client("google.cloud.bigquery")
    fields = bigquery_schema(kind.schema)
    made = bigquery.Table(
        str(table), [bigquery.SchemaField.from_api_repr(field) for field in fields]
    )
    made.description = avro_schema(kind.schema)["doc"]
    made.time_partitioning = bigquery.TimePartitioning(field=kind.ended_field)
    made.clustering_fields = [kind.id_field]
    return made


def _staged(table: Table, kind: Output) -> Any:
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
    client: Any, kind: Output, staging: Table, paths: Sequence[str], job_id: str, location: str
) -> Any:
    bigquery = import_client("google.cloud.bigquery")
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


def _joined(kind: Output, paths: Sequence[str]) -> bytes:
    """The blocks of several of our Avro files after one header, which they have in common."""
    header = b"".join(encode(kind, kind.empty(), "avro"))
    pieces = [header]
    for path in paths:
        with open(path, "rb") as file:
            if file.read(len(header)) != header:
                raise OutputError(f"{path}: is not as it was written; nothing was published")
            pieces.append(file.read())
    return b"".join(pieces)
