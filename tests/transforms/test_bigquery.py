"""BigQuery tables for both directions: names, a missing package, a service that does not answer."""

import subprocess
import sys

import pytest

from transforms import bigquery
from transforms.bigquery import Table, parse_table
from transforms.errors import JobError


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("a-b:c_d.e-f", ("a-b", "c_d", "e-f")),
        ("a-b.c_d.e", ("a-b", "c_d", "e")),
        ("example.com:a-b:c.d", ("example.com:a-b", "c", "d")),
        ("example.com:a-b.c.d", ("example.com:a-b", "c", "d")),
    ],
)
def test_names_of_tables(text, table):
    assert parse_table(text) == Table(*table)


@pytest.mark.parametrize("text", ["", "t", "d.t", "p:d", "p:d.t$20241002", "p:d.`t`", "p:d.t;"])
def test_names_of_no_table(text):
    with pytest.raises(JobError) as caught:
        parse_table(text)
    assert str(caught.value) == f"{text}: not of the form PROJECT:DATASET.TABLE"


def test_google_is_imported_where_it_is_needed():
    code = """
import sys, transforms.bigquery
assert not [name for name in sys.modules if name.startswith(("apache_beam", "google.cloud."))]
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_package_is_told_in_one_line(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.cloud.bigquery", None)
    line = (
        "session-metrics: BigQuery needs the cloud extra: "
        "pip install 'messaging-session-metrics[gcp]'\n"
    )
    assert run("--output", "@out", "--output_table", "p:d.t") == (2, line)
    assert run("--messages", "bigquery:p.d.t", "--output", "@out") == (2, line)


def test_a_service_that_can_not_be_had(run, monkeypatch, tmp_path):
    pytest.importorskip("google.cloud.bigquery", reason="google-cloud-bigquery is not installed")
    words = ("--output", "@out", "--output_table", "p:d.t")
    for name in ("BIGQUERY_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    status, err = run(*words)
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith(
        "session-metrics: p.d.t: BigQuery: Your default credentials were not found"
    )
    monkeypatch.setattr(bigquery, "_CHECK_TIMEOUT_S", 0.1)
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", "http://127.0.0.1:1")
    status, err = run(*words)
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith("session-metrics: p.d.t: BigQuery: ")
    assert "Connection refused" in err
