"""The project's data definitions: record schemas, column aliases and typed rows.

The Avro schema files are the one source; everything else about the records is derived from them.
"""

import functools
import json
from importlib import resources
from typing import Any

import pyarrow as pa

_ARROW_TYPES = {
    "string": pa.string(),
    "int": pa.int32(),
    "long": pa.int64(),
    "boolean": pa.bool_(),
    "timestamp-micros": pa.timestamp("us", "UTC"),
}
_BIGQUERY_TYPES = {
    "string": "STRING",
    "int": "INTEGER",
    "long": "INTEGER",
    "boolean": "BOOLEAN",
    "timestamp-micros": "TIMESTAMP",
}


@functools.cache
def avro_schema(name: str = "messaging_session_metrics") -> dict[str, Any]:
    """Returns the parsed Avro schema `schemas/<name>.avsc`. Do not modify it."""
    return json.loads(resources.files(__name__).joinpath(f"{name}.avsc").read_text("utf-8"))


@functools.cache
def arrow_schema(name: str = "messaging_session_metrics") -> pa.Schema:
    """Derives the Arrow (and so the Parquet) schema, each field with its doc as `description`."""
    fields = [
        pa.field(
            field["name"],
            _ARROW_TYPES[_type_of(field)],
            nullable=is_nullable(field),
            metadata={"description": field["doc"]},
        )
        for field in avro_schema(name)["fields"]
    ]
    return pa.schema(fields, metadata={"description": avro_schema(name)["doc"]})


@functools.cache
def bigquery_schema(name: str = "messaging_session_metrics") -> list[dict[str, str]]:
    """Derives the BigQuery schema, as its REST API has it. Do not modify it.

    Returns:
      For each field its `name`, `type`, `mode` (`REQUIRED`, or `NULLABLE` for a union with null) and
      `description`, the field's doc.
    """
    return [
        {
            "name": field["name"],
            "type": _BIGQUERY_TYPES[_type_of(field)],
            "mode": "NULLABLE" if is_nullable(field) else "REQUIRED",
            "description": field["doc"],
        }
        for field in avro_schema(name)["fields"]
    ]


def is_nullable(field: dict[str, Any]) -> bool:
    """Whether a field of an Avro schema is a union of null, which comes first, and a type."""
    return isinstance(field["type"], list)


def symbols_of(field: dict[str, Any]) -> list[str]:
    """The restricted list of a field of an Avro schema that is an enum; empty for any other."""
    return field["type"].get("symbols", []) if isinstance(field["type"], dict) else []


def _type_of(field: dict[str, Any]) -> str:
    avro_type = field["type"][1] if is_nullable(field) else field["type"]
    if isinstance(avro_type, dict):
        return avro_type.get("logicalType", "string")  # an enum is a string
    return avro_type


@functools.cache
def metric_types() -> tuple[str, ...]:
    """The restricted list of `MessagingSessionMetricType`, in the order of the records."""
    (field,) = (
        field for field in avro_schema()["fields"] if field["name"] == "MessagingSessionMetricType"
    )
    return tuple(symbols_of(field))


@functools.cache
def aliases(kind: str) -> dict[str, dict[str, Any]]:
    """Returns the columns of an input and the names that each is known by.

    Args:
      kind: `messages`, `sessions`, `channels`, `records` or `summaries`.

    Returns:
      For each canonical column whether it is `required`, and its `names` in order of preference.
    """
    table = json.loads(resources.files(__name__).joinpath("aliases.json").read_text("utf-8"))
    return table[kind]
