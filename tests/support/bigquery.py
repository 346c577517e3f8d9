"""A job with tables, the tables of the service, and their rows."""

import pytest

from tests.support.cli import call_main
from transforms.bigquery import Table


def put(path, *lines: str) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return str(path)


MESSAGES = "session_id,message_id,sent_at,sender_role"
SESSIONS = "session_id,status,ended_at,platform_type"


@pytest.fixture
def run(tmp_path, capfd):
    """Runs the job on `m.csv` and `s.csv`; gives the status and the text on stderr.

    Words that begin with `@` are files in the test's directory.
    """
    put(tmp_path / "m.csv", MESSAGES)
    put(tmp_path / "s.csv", SESSIONS)

    def call(
        *words: str, inputs: tuple[str, ...] = ("--messages", "@m.csv", "--sessions", "@s.csv")
    ):
        capfd.readouterr()
        argv = [word.replace("@", f"{tmp_path}/") for word in (*inputs, *words)]
        return call_main(*argv), capfd.readouterr().err

    return call


@pytest.fixture
def client(bigquery, storage, monkeypatch):
    """The client of the user whose tables these are."""
    from google.cloud import bigquery as google

    monkeypatch.setenv("BIGQUERY_STORAGE_GRPC_ENDPOINT", bigquery.grpc)
    return google.Client(bigquery.project)


@pytest.fixture
def target(client, bigquery):
    """The name of a table that does not exist yet."""
    return Table(bigquery.project, bigquery.dataset, "metrics")


def rows_of(client, table: Table) -> list[dict]:
    """The rows of a table, in the order of records."""
    rows = [dict(row) for row in client.list_rows(str(table))]
    return sorted(rows, key=lambda r: (r["MessagingSessionId"], r["MessagingSessionMetricType"]))


def names_of(client, table: Table) -> list[str]:
    return [found.table_id for found in client.list_tables(f"{table.project}.{table.dataset}")]
