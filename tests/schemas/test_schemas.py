"""The schemas that are derived from the Avro files, and the table of column names."""

import pyarrow as pa
import pytest

import schemas
from schemas.arrow import arrow_schema

NAMES = ("messaging_session_metrics", "messaging_session_summary")
INPUTS = ("messages", "sessions", "channels", "records", "summaries")


@pytest.mark.parametrize("name", NAMES)
def test_derived_schemas_have_the_same_fields_and_docs(name):
    fields = schemas.avro_schema(name)["fields"]
    docs = {field["name"]: field["doc"] for field in fields}
    arrow, bigquery = arrow_schema(name), schemas.bigquery_schema(name)
    assert {field.name: field.metadata[b"description"].decode() for field in arrow} == docs
    assert {field["name"]: field["description"] for field in bigquery} == docs
    assert [field.nullable for field in arrow] == [schemas.is_nullable(field) for field in fields]


def test_types_of_the_records():
    assert [str(field.type) for field in arrow_schema()] == [
        "string",
        "string",
        "string",
        "int32",
        "timestamp[us, tz=UTC]",
    ]
    assert [(field["type"], field["mode"]) for field in schemas.bigquery_schema()] == [
        ("STRING", "REQUIRED"),
        ("STRING", "REQUIRED"),
        ("STRING", "REQUIRED"),
        ("INTEGER", "REQUIRED"),
        ("TIMESTAMP", "REQUIRED"),
    ]


def test_null_is_the_first_type_of_a_union():
    """Avro's default of such a field is then null."""
    for name in NAMES:
        for field in schemas.avro_schema(name)["fields"]:
            if schemas.is_nullable(field):
                assert field["type"][0] == "null" and len(field["type"]) == 2


def test_symbols():
    by_name = {field["name"]: field for field in schemas.avro_schema(NAMES[1])["fields"]}
    assert schemas.symbols_of(by_name["policy_bots"]) == ["ignore", "answer"]
    assert schemas.symbols_of(by_name["session_id"]) == []
    assert schemas.symbols_of(by_name["ended_at"]) == []


def test_metric_types_ascend():
    """Sorting by type is sorting by name; a type's place is a digit of the record's `Name`."""
    assert list(schemas.metric_types()) == sorted(schemas.metric_types())
    assert len(schemas.metric_types()) <= 9


@pytest.mark.parametrize("kind", INPUTS)
def test_a_name_stands_for_one_column(kind):
    names = [name for entry in schemas.aliases(kind).values() for name in entry["names"]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("kind", INPUTS)
def test_the_canonical_name_comes_first(kind):
    for column, entry in schemas.aliases(kind).items():
        assert entry["names"][0] == column or column == "sent_at_ms"


def test_summaries_are_read_by_the_names_that_are_written():
    written = arrow_schema("messaging_session_summary")
    assert set(schemas.aliases("summaries")) <= set(written.names)
    assert pa.types.is_timestamp(written.field("ended_at").type)
