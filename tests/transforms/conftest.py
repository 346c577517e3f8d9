"""Fixtures of the tests that have BigQuery tables."""

from tests.support.bigquery import client, run, target  # noqa: F401
