"""The summaries as rows, and their bytes in each format."""

import datetime
import io
import json

import fastavro
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from schemas import avro_schema
from schemas.arrow import arrow_schema
from tests.support.batches import messages, sessions
from tests.support.records import EXAMPLE
from transforms.errors import OutputError
from transforms.folding.shard import fold_shard
from transforms.folding.summaries import SUMMARY_SCHEMA
from transforms.policy import Policy
from transforms.writing.encoders import ENCODERS
from transforms.writing.summary_rows import SUMMARIES_OUTPUT, to_summaries

ROLES = {"e": "EndUser", "a": "Agent", "b": "Bot"}


def example() -> pa.RecordBatch:
    rows = [
        (i, f"m{n}", at, role, None)
        for i, text in (("s", "e1 a3.5"), ('t"\n,', "b1 e2 a2 e9"), ("u", ""))
        for n, (at, role) in enumerate((float(p[1:]), ROLES[p[0]]) for p in text.split())
    ]
    found, _ = fold_shard(
        [
            messages(*rows),
            sessions(
                {"session_id": "s", "channel_type": 'a "b"\n', "created_at_us": -1},
                {"session_id": 't"\n,', "started_at_us": 1},
                {"session_id": "u", "channel_type": "Zoë"},
            ),
        ],
        Policy(),
        summarize=True,
    )
    return found


def rows_of(batch: pa.RecordBatch) -> list[dict]:
    return to_summaries(batch).to_pylist()


def text_of(value: object) -> object:
    return (
        value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime.datetime) else value
    )


def test_avro_is_read_by_fastavro():
    content = b"".join(ENCODERS["avro"](SUMMARIES_OUTPUT, example()))
    reader = fastavro.reader(io.BytesIO(content))
    assert json.loads(reader.metadata["avro.schema"]) == avro_schema(SUMMARY_SCHEMA)
    assert list(reader) == rows_of(example())
    assert (
        list(
            fastavro.reader(io.BytesIO(b"".join(ENCODERS["avro"](SUMMARIES_OUTPUT, example()[:0]))))
        )
        == []
    )
    assert all(fastavro.validate(row, avro_schema(SUMMARY_SCHEMA)) for row in rows_of(example()))


def test_avro_bytes_are_those_of_fastavro():
    schema = fastavro.parse_schema(avro_schema(SUMMARY_SCHEMA))
    expected = io.BytesIO()
    for row in rows_of(example()):
        fastavro.schemaless_writer(expected, schema, row)
    assert b"".join(SUMMARIES_OUTPUT.to_avro(example()).to_pylist()) == expected.getvalue()


def test_parquet_has_the_descriptions():
    file = pq.ParquetFile(io.BytesIO(b"".join(ENCODERS["parquet"](SUMMARIES_OUTPUT, example()))))
    assert file.schema_arrow.equals(arrow_schema(SUMMARY_SCHEMA), check_metadata=True)
    assert file.read().to_pylist() == rows_of(example())


def test_json_lines_and_csv():
    rows = [{name: text_of(v) for name, v in row.items()} for row in rows_of(example())]
    lines = b"".join(ENCODERS["jsonl"](SUMMARIES_OUTPUT, example())).decode().splitlines()
    assert [json.loads(line) for line in lines] == rows
    content = b"".join(ENCODERS["csv"](SUMMARIES_OUTPUT, example()))
    texts = pa.csv.read_csv(
        io.BytesIO(content),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types={name: pa.string() for name in rows[0]}, strings_can_be_null=True
        ),
    ).to_pylist()
    shown = [
        {
            n: None if v is None else str(v).lower() if isinstance(v, bool) else str(v)
            for n, v in row.items()
        }
        for row in rows
    ]
    assert texts == shown


def test_averages_are_rounded_half_up():
    """Responses after 1 and 2 microseconds: 1.5 are 2. A side without responses has no average."""
    rows = [
        ("s", f"m{n}", at / 1e6, who, None)
        for n, (at, who) in enumerate(
            [(0, "EndUser"), (1, "Agent"), (10, "EndUser"), (12, "Agent")]
        )
    ]
    batch, _ = fold_shard(
        [messages(*rows), sessions({"session_id": "s"}, {"session_id": "t"})],
        Policy(),
        summarize=True,
    )
    found = {row["session_id"]: row["agent_response_average_us"] for row in rows_of(batch)}
    assert found == {"s": 2, "t": None}


def test_metrics_without_summaries():
    with pytest.raises(OutputError, match="there are no summaries of the sessions; nothing was"):
        to_summaries(EXAMPLE)
