"""BigQuery tables, as both input and output know them: names, clients, errors, ranges. No Beam.

Google's clients are imported when they are first needed. They use Application Default Credentials, and
their jobs run in the table's project. Two environment variables lead them to an emulator, without
credentials: `BIGQUERY_EMULATOR_HOST`, which the client library knows (`http://127.0.0.1:9050`), and
`BIGQUERY_STORAGE_GRPC_ENDPOINT` for the Storage Read API, which only this project knows
(`127.0.0.1:9060`).
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

_TABLE = re.compile(r"(?P<project>[a-z][\w.:-]*)[:.](?P<dataset>\w+)\.(?P<table>[\w-]+)")

TYPE_NAMES = {"INT64": "INTEGER"}
"""Types that a table's schema may have under another name, and the name that our schemas have."""

Range = tuple[int | None, int | None]
"""A half-open range of instants, in microseconds since the epoch; None is no bound."""


class Table(NamedTuple):
    """The name of a table; as text `PROJECT.DATASET.TABLE`."""

    project: str
    dataset: str
    table: str

    def __str__(self) -> str:
        return ".".join(self)


def parse_table(text: str) -> Table:
    """Makes a table of `PROJECT:DATASET.TABLE` or `PROJECT.DATASET.TABLE`.

    >>> str(parse_table("my-project:exports.messages"))
    'my-project.exports.messages'

    Raises:
      JobError: the text is neither.
    """
    found = _TABLE.fullmatch(text)
    if not found:
        raise JobError(f"{text}: not of the form PROJECT:DATASET.TABLE")
    return Table(**found.groupdict())


def is_table(pattern: str) -> bool:
    """Whether an input is a table, `bigquery:PROJECT.DATASET.TABLE`, and no file."""
    return pattern.startswith(INPUT_PREFIX)


def is_table_name(place: str) -> bool:
    """Whether a place for output is a table, and no directory."""
    return ":" in place and bool(_TABLE.fullmatch(place))


def import_client(name: str) -> Any:
    """Imports a module of Google's clients.

    Raises:
      JobError: it is not installed; the error names the extra that installs it.
    """
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
    """How requests are tried again after a passing fault: for half a minute, not the default ten."""
    return import_client("google.cloud.bigquery").DEFAULT_RETRY.with_timeout(_CHECK_TIMEOUT_S)


@contextlib.contextmanager
def explained(table: object, kind: type[JobError]) -> Iterator[None]:
    """Raises, for an error of the service or the network, one of `kind` with one line.

    Args:
      table: what the line begins with.
      kind: the class of the error.
    """
    of_calls, of_credentials = (
        import_client(f"google.{name}.exceptions") for name in ("api_core", "auth")
    )
    try:
        yield
    except (of_calls.GoogleAPIError, of_credentials.GoogleAuthError, OSError) as error:
        # An error that gave up trying again has the last attempt's as its cause.
        cause = getattr(error, "cause", None) or error
        text = str(getattr(cause, "message", "") or cause).strip() or type(cause).__name__
        raise kind(f"{table}: BigQuery: {text.splitlines()[0]}") from error


def client_and_missing(table: Table) -> tuple[Any, Any]:
    """A client for a table, and the class of error that it raises for a missing table or dataset."""
    with explained(table, OutputError):
        return client_of(table.project), import_client("google.api_core.exceptions").NotFound


def condition_of(closed_us: Range, column: str) -> str:
    """The SQL condition that a column is in a range.

    Its bounds are constants, so that BigQuery reads only the partitions of the range.

    >>> condition_of((0, None), "CreatedDate")
    "CreatedDate >= TIMESTAMP '1970-01-01 00:00:00.000000+00:00'"
    """
    bounds = zip((">=", "<"), closed_us, strict=True)
    stated = [
        f"{column} {operator} TIMESTAMP '{_instant(micros)}'"
        for operator, micros in bounds
        if micros is not None
    ]
    return " AND ".join(stated) or "TRUE"


def _instant(micros: int) -> str:
    return (EPOCH + datetime.timedelta(microseconds=micros)).isoformat(" ", "microseconds")
