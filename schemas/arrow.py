"""The Arrow schemas of the outputs, which are also those of their Parquet files."""

import functools

import pyarrow as pa

from schemas import avro_schema, is_nullable, type_of

_ARROW_TYPES = {
    "string": pa.string(),
    "int": pa.int32(),
    "long": pa.int64(),
    "boolean": pa.bool_(),
    "timestamp-micros": pa.timestamp("us", "UTC"),
}


@functools.cache
def arrow_schema(name: str = "messaging_session_metrics") -> pa.Schema:
    """Derives the Arrow (and so the Parquet) schema of `schemas/<name>.avsc`.

    The metadata of the schema and of each field have the doc of the Avro schema as `description`.

    >>> arrow_schema().field("MessagingSessionMetricValue").type
    DataType(int32)
    """
    fields = [
        pa.field(
            field["name"],
            _ARROW_TYPES[type_of(field)],
            nullable=is_nullable(field),
            metadata={"description": field["doc"]},
        )
        for field in avro_schema(name)["fields"]
    ]
    return pa.schema(fields, metadata={"description": avro_schema(name)["doc"]})
