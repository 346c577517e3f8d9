"""Makes `docs/schema.md` of the schema files: `python -m schemas.markdown > docs/schema.md`."""

from collections.abc import Iterator

from schemas import aliases, arrow_schema, avro_schema, is_nullable, metric_types


def lines() -> Iterator[str]:
    """The page, line by line."""
    yield "# Schemas"
    yield ""
    yield "Made of the files in `schemas/` by `python -m schemas.markdown`; do not edit."
    for name in ("messaging_session_metrics", "messaging_session_summary"):
        schema = avro_schema(name)
        yield ""
        yield f"## {schema['name']}"
        yield ""
        yield schema["doc"]
        yield ""
        yield "| field | Avro | Parquet | meaning |"
        yield "|---|---|---|---|"
        for field, column in zip(schema["fields"], arrow_schema(name), strict=True):
            null = " or null" if is_nullable(field) else ""
            kind = field["type"][1] if null else field["type"]
            if isinstance(kind, dict):
                kind = kind.get("logicalType", kind["type"])
            yield f"| `{field['name']}` | {kind}{null} | {column.type} | {field['doc']} |"
        if name == "messaging_session_metrics":
            yield ""
            yield f"Types: {', '.join(f'`{name}`' for name in metric_types())}."
    for kind in ("messages", "sessions", "channels", "records", "summaries"):
        yield ""
        yield f"## Columns of {kind}"
        yield ""
        yield "| column | | known names, in order of preference |"
        yield "|---|---|---|"
        for column, entry in aliases(kind).items():
            needed = "required" if entry["required"] else "optional"
            names = ", ".join(f"`{name}`" for name in entry["names"])
            yield f"| `{column}` | {needed} | {names} |"


if __name__ == "__main__":
    print("\n".join(lines()))
