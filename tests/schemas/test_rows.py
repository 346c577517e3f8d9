"""Typed rows have the columns of their inputs and of the records."""

import pytest

import schemas
from schemas.arrow import arrow_schema
from schemas.rows import MessageRow, MetricRow, SessionRow


@pytest.mark.parametrize(("row", "kind"), [(MessageRow, "messages"), (SessionRow, "sessions")])
def test_rows_have_columns_of_their_input(row, kind):
    columns = schemas.aliases(kind)
    assert set(row._fields) <= set(columns)
    required = {column for column, entry in columns.items() if entry["required"]}
    assert required <= set(row._fields)


def test_rows_of_records_have_the_fields_of_the_schema():
    assert list(MetricRow._fields) == arrow_schema().names
