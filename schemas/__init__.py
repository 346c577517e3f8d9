"""The project's data definitions: record schemas, column aliases and typed rows.

The Avro schema files (`*.avsc`) are the one source: the Arrow, Parquet and BigQuery schemas of both
outputs, and `docs/schema.md`, are derived from them. `aliases.json` has the names of the inputs' columns.
"""

import functools
import json
from importlib import resources
from typing import Any

_BIGQUERY_TYPES = {
    "string": "STRING",
    "int": "INTEGER",
    "long": "INTEGER",
    "boolean": "BOOLEAN",
    "timestamp-micros": "TIMESTAMP",
}


@functools.cache
def avro_schema(name: str = "messaging_session_metrics") -> dict[str, Any]:
    """Returns the parsed Avro schema `schemas/<name>.avsc`. Do not modify the dictionary."""
    return json.loads(resources.files(__name__).joinpath(f"{name}.avsc").read_text("utf-8"))


@functools.cache
def bigquery_schema(name: str = "messaging_session_metrics") -> list[dict[str, str]]:
    """Derives the BigQuery schema of `schemas/<name>.avsc`, in the form of BigQuery's REST API.

    Returns:
      For each field its `name`, `type`, `mode` (`REQUIRED`, or `NULLABLE` for a union with null) and
      `description`, the field's doc. Do not modify the list.
    """
    return [
        {
            "name": field["name"],
            "type": _BIGQUERY_TYPES[type_of(field)],
            "mode": "NULLABLE" if is_nullable(field) else "REQUIRED",
            "description": field["doc"],
        }
        for field in avro_schema(name)["fields"]
    ]


def is_nullable(field: dict[str, Any]) -> bool:
    """Whether a field of an Avro schema is a union of null and a type, in that order."""
    return isinstance(field["type"], list)


def symbols_of(field: dict[str, Any]) -> list[str]:
    """The values of a field of an Avro schema if the field is an enum, else an empty list."""
    return field["type"].get("symbols", []) if isinstance(field["type"], dict) else []


def type_of(field: dict[str, Any]) -> str:
    """The type of a field of an Avro schema, or its logical type; that of an enum is `string`."""
    avro_type = field["type"][1] if is_nullable(field) else field["type"]
    if isinstance(avro_type, dict):
        return avro_type.get("logicalType", "string")
    return avro_type


@functools.cache
def metric_types() -> tuple[str, ...]:
    """The restricted list of `MessagingSessionMetricType`, in the order of a session's records.

    >>> metric_types()[:3]
    ('AgentMessageCount', 'AverageAgentResponseTime', 'AverageEndUserResponseTime')
    """
    (field,) = (
        field for field in avro_schema()["fields"] if field["name"] == "MessagingSessionMetricType"
    )
    return tuple(symbols_of(field))


DEFAULT_METRICS = metric_types()[:6]
"""The six that Salesforce writes for every session."""


def aliases(kind: str) -> dict[str, dict[str, Any]]:
    """Returns the columns of an input and the names under which files may have them.

    Args:
      kind: `messages`, `sessions`, `participants`, `channels`, `records` or `summaries`.

    Returns:
      For each canonical column whether the column is `required`, the column that may stand in for it
      (`or`), and its `names` in order of preference. Do not modify the dictionary.

    >>> aliases("messages")["message_id"]["names"]
    ['message_id', 'MessageIdentifier', 'identifier', 'Id']
    """
    return _alias_table()[kind]


def envelopes() -> list[str]:
    """Returns the columns that hold a row inside of them, as an object or as JSON text."""
    return _alias_table()["envelopes"]


@functools.cache
def _alias_table() -> dict[str, Any]:
    return json.loads(resources.files(__name__).joinpath("aliases.json").read_text("utf-8"))
