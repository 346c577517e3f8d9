"""BigQuery tables: read as Arrow columns, and replaced by the Avro files that a run has written.

Nothing here imports Beam, and Google's clients are imported when they are first needed. They take
credentials from where Google's clients find them (Application Default Credentials), and run in the
table's project. For an emulator, `BIGQUERY_EMULATOR_HOST` is its address as google-cloud-bigquery knows
it (`http://127.0.0.1:9050`) and `BIGQUERY_STORAGE_GRPC_ENDPOINT` that of its Storage Read API
(`127.0.0.1:9060`), for which the client library has no variable; neither is given credentials.
"""

import contextlib
import datetime
import importlib
import os
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from transforms.errors import JobError, OutputError
from transforms.instants import EPOCH

INPUT_PREFIX = "bigquery:"

_CHECK_TIMEOUT_S = 30.0


TABLE = re.compile(r"(?P<project>[a-z][\w.:-]*)[:.](?P<dataset>\w+)\.(?P<table>[\w-]+)")

TYPE_NAMES = {"INT64": "INTEGER"}  # the other name of a type that a schema may have

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


def import_client(name: str) -> Any:
    """Imports a module of Google's clients, or says which extra has them."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise JobError(
            "BigQuery needs the cloud extra: pip install 'messaging-session-metrics[gcp]'"
        ) from None


def client_of(project: str) -> Any:
    """A BigQuery client for the jobs of a project."""
    bigquery = import_client("google.cloud.bigquery")
    credentials = None
    if os.environ.get("BIGQUERY_EMULATOR_HOST"):
        credentials = import_client("google.auth.credentials").AnonymousCredentials()
    return bigquery.Client(project, credentials)


def retry_briefly() -> Any:
    """Tries again what may be a passing fault, but not for the ten minutes that are the default."""
    return import_client("google.cloud.bigquery").DEFAULT_RETRY.with_timeout(_CHECK_TIMEOUT_S)


@contextlib.contextmanager
def explained(table: object, kind: type[JobError]) -> Iterator[None]:
    """Makes one line of what the service or the network says."""
    of_calls, of_credentials = (
        import_client(f"google.{name}.exceptions") for name in ("api_core", "auth")
    )
    try:
        yield
    except (of_calls.GoogleAPIError, of_credentials.GoogleAuthError, OSError) as error:
        cause = getattr(error, "cause", None) or error  # of what was tried again in vain
        said = str(getattr(cause, "message", "") or cause).strip() or type(cause).__name__
        raise kind(f"{table}: BigQuery: {said.splitlines()[0]}") from error


def client_and_missing(table: Table) -> tuple[Any, Any]:
    """A client, and what it raises for what is not there."""
    with explained(table, OutputError):
        return client_of(table.project), import_client("google.api_core.exceptions").NotFound


def condition_of(closed_us: Range, column: str) -> str:
    """A condition, of constants, so that only the range's partitions are looked at."""
    bounds = zip((">=", "<"), closed_us, strict=True)
    stated = [
        f"{column} {operator} TIMESTAMP '{_instant(micros)}'"
        for operator, micros in bounds
        if micros is not None
    ]
    return " AND ".join(stated) or "TRUE"


def _instant(micros: int) -> str:
    return (EPOCH + datetime.timedelta(microseconds=micros)).isoformat(" ", "microseconds")
