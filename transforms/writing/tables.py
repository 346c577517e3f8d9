"""BigQuery tables as output: the rows of a range replaced by Avro files."""

import contextlib
import dataclasses
import datetime
import functools
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

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
from transforms.instants import DAY_US, EPOCH
from transforms.writing.encoders import encode_avro
from transforms.writing.outputs import Output
from transforms.writing.records import RECORDS_OUTPUT

FILES_PER_LOAD = 10_000

# Some ten megabytes, deflated.
RECORDS_PER_UPLOAD = 1 << 21

PARTITIONS_PER_STATEMENT = 4_000

_STAGING_LASTS = datetime.timedelta(days=1)


@dataclasses.dataclass(frozen=True)
class TableRange:
    """The rows of a table that a run replaces: those of the sessions that ended in a range.

    Attributes:
      table: the table; it is made if it does not exist.
      closed_us: the range; without bounds it is the whole table.
      output: what its rows are.
    """

    table: Table
    closed_us: Range = (None, None)
    output: Output = RECORDS_OUTPUT

    def check(self) -> None:
        """Checks the dataset and the table before any work.

        Raises:
          JobError: the dataset does not exist or can't be read, the table is a view or lacks a column,
            or the package for BigQuery is not installed.
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
        for field in bigquery_schema(self.output.schema):
            found_type = types.pop(field["name"], "missing")
            if TYPE_NAMES.get(found_type, found_type) != field["type"]:
                raise OutputError(
                    f"{self.table}: column {field['name']} is {found_type}, it must be "
                    f"{field['type']}"
                )
        needed = [f.name for f in found.schema if f.name in types and f.mode == "REQUIRED"]
        if needed:
            raise OutputError(
                f"{self.table}: column {needed[0]} is REQUIRED, and {self.output.files} have no such "
                "field"
            )

    def replace(self, files: Iterable[tuple[str, int]], run: str) -> None:
        """Puts the rows of Avro files in place of the range's rows, at once or not at all.

        The files are loaded into a table beside this one, which expires by itself; one statement then
        moves its rows. Jobs are named after the run: called again, it waits for the jobs that exist
        and starts no second one.

        Args:
          files: their paths, all of this machine or all `gs://`, and the numbers of their rows.
          run: letters and digits that no other run has.

        Raises:
          OutputError: the table is as it was.
        """
        client, missing = client_and_missing(self.table)
        staging = self.table._replace(table=f"{self.table.table}_staging_{run}")
        with explained(self.table, OutputError):
            dataset = client.get_dataset(".".join(self.table[:2]))
            client.create_table(_described(self.table, self.output), exists_ok=True)
            client.create_table(_staged(staging, self.output), exists_ok=True)
            prefix = f"session-{self.output.files}-{run}"
            jobs = _Jobs(client, missing, dataset.location, prefix)
            self._load(jobs, staging, sorted(files))
            edges_us = self._edges_us(staging, functools.partial(jobs.query, "days"))
            jobs.query("replace", self._statement(staging, edges_us))
        # The table has its rows: what is left over is no reason to fail.
        with contextlib.suppress(OutputError), explained(staging, OutputError):
            client.delete_table(str(staging), not_found_ok=True)

    def _load(self, jobs: "_Jobs", staging: Table, files: Sequence[tuple[str, int]]) -> None:
        """Loads files into the staging table; all load jobs run at the same time."""
        loads = [
            jobs.once(
                f"load-{number:05d}",
                functools.partial(_load, jobs.client, self.output, staging, paths),
            )
            for number, paths in enumerate(_groups(files))
        ]
        loaded = sum(job.result().output_rows for job in loads)
        expected = sum(number for _, number in files)
        if loaded != expected:
            raise OutputError(
                f"{self.table}: {loaded:,} of {expected:,} {self.output.files} were loaded; "
                "nothing was replaced"
            )

    def _edges_us(self, staging: Table, query: Callable[[str], Any]) -> list[int]:
        """Where the range is cut, so that no statement changes more partitions than BigQuery allows."""
        start, end = self.closed_us
        most_us = (PARTITIONS_PER_STATEMENT - 1) * DAY_US
        if start is not None and end is not None and end - start <= most_us:
            return []
        ended = self.output.ended_field
        rows = query(
            f"SELECT DISTINCT DATE({ended}) AS day FROM (SELECT {ended} FROM `{self.table}` "
            f"WHERE {condition_of(self.closed_us, ended)} UNION ALL SELECT {ended} FROM `{staging}`) "
            "ORDER BY day"
        )
        days = [(row.day - EPOCH.date()).days for row in rows]
        return [day * DAY_US for day in days[PARTITIONS_PER_STATEMENT::PARTITIONS_PER_STATEMENT]]

    def _statement(self, staging: Table, edges_us: Sequence[int]) -> str:
        """Replaces the rows: a MERGE for each part of the range; if there are several, a transaction."""
        start, end = self.closed_us
        merges = [
            self._merge(staging, closed_us)
            for closed_us in itertools.pairwise([start, *edges_us, end])
        ]
        if len(merges) == 1:
            return merges[0]
        return ";\n".join(["BEGIN TRANSACTION", *merges, "COMMIT TRANSACTION;"])

    def _merge(self, staging: Table, closed_us: Range) -> str:
        """A MERGE whose condition is never true: all rows of the range go, all staged ones come."""
        names = ", ".join(field["name"] for field in bigquery_schema(self.output.schema))
        ended = self.output.ended_field
        return (
            f"MERGE `{self.table}` AS T\n"
            f"USING (SELECT * FROM `{staging}` WHERE {condition_of(closed_us, ended)}) AS S\n"
            "ON FALSE\n"
            f"WHEN NOT MATCHED BY SOURCE AND {condition_of(closed_us, f'T.{ended}')} THEN DELETE\n"
            f"WHEN NOT MATCHED BY TARGET THEN INSERT ({names}) VALUES ({names})"
        )


@dataclasses.dataclass(frozen=True)
class _Jobs:
    """The jobs of one run, each of which is started once, however often it is asked for.

    Attributes:
      client: starts them.
      missing: what the client raises for a job that does not exist.
      location: of the dataset.
      prefix: what their names begin with; no other run has it.
    """

    client: Any
    missing: Any
    location: str
    prefix: str

    def once(self, name: str, start: Callable[..., Any]) -> Any:
        """The job of a name, started if it does not exist."""
        job_id = f"{self.prefix}-{name}"
        with contextlib.suppress(self.missing):
            return self.client.get_job(job_id, location=self.location)
        try:
            return start(job_id=job_id, location=self.location)
        except import_client("google.api_core.exceptions").Conflict:
            return self.client.get_job(job_id, location=self.location)

    def query(self, name: str, statement: str) -> Any:
        """The result of a statement that is run once."""
        start = functools.partial(self.client.query, statement, job_retry=None)
        return self.once(name, start).result()


def _described(table: Table, output: Output) -> Any:
    bigquery = import_client("google.cloud.bigquery")
    fields = bigquery_schema(output.schema)
    made = bigquery.Table(
        str(table), [bigquery.SchemaField.from_api_repr(field) for field in fields]
    )
    made.description = avro_schema(output.schema)["doc"]
    made.time_partitioning = bigquery.TimePartitioning(field=output.ended_field)
    made.clustering_fields = [output.id_field]
    return made


def _staged(table: Table, output: Output) -> Any:
    made = _described(table, output)
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
    client: Any, output: Output, staging: Table, paths: Sequence[str], job_id: str, location: str
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
    return client.load_table_from_file(io.BytesIO(_joined(output, paths)), str(staging), **options)


def _joined(output: Output, paths: Sequence[str]) -> bytes:
    """The blocks of several of our Avro files after one header, which they have in common."""
    header = b"".join(encode_avro(output, output.empty()))
    pieces = [header]
    for path in paths:
        with open(path, "rb") as file:
            if file.read(len(header)) != header:
                raise OutputError(f"{path}: is not as it was written; nothing was published")
            pieces.append(file.read())
    return b"".join(pieces)
