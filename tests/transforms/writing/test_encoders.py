"""The bytes of records in each format, read back by libraries that share no code with the encoders."""

import csv
import datetime
import io
import json

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas import avro_schema
from schemas.arrow import arrow_schema
from tests.support.records import EXAMPLE, FIELDS, as_rows, many, metrics
from transforms.writing.encoders import ENCODERS
from transforms.writing.records import RECORDS_OUTPUT, to_records


@pytest.mark.parametrize("batch", [EXAMPLE, EXAMPLE[2:5], EXAMPLE[:0], many(5000)], ids=len)
def test_avro(batch):
    """5,000 sessions are more than a block."""
    content = b"".join(ENCODERS["avro"](RECORDS_OUTPUT, batch))
    assert list(fastavro.reader(io.BytesIO(content))) == as_rows(batch)
    reader = fastavro.reader(io.BytesIO(content))
    assert reader.codec == "deflate"
    assert json.loads(reader.metadata["avro.schema"]) == avro_schema()
    for field in reader.writer_schema["fields"]:
        assert len(field["doc"]) > 10


@pytest.mark.parametrize("batch", [EXAMPLE, EXAMPLE[2:5], EXAMPLE[:0], many(70_000)], ids=len)
def test_parquet(batch):
    """70,000 sessions are more than a row group."""
    file = pq.ParquetFile(io.BytesIO(b"".join(ENCODERS["parquet"](RECORDS_OUTPUT, batch))))
    assert file.schema_arrow.equals(arrow_schema())
    for field, avro in zip(file.schema_arrow, avro_schema()["fields"], strict=True):
        assert field.metadata[b"description"].decode() == avro["doc"]
        assert not field.nullable
    assert file.schema_arrow.metadata[b"description"].decode() == avro_schema()["doc"]
    assert file.read().combine_chunks() == pa.Table.from_batches([to_records(batch)])


@pytest.mark.parametrize("batch", [EXAMPLE, EXAMPLE[2:5], EXAMPLE[:0]], ids=len)
def test_csv_has_what_bulk_api_can_insert(batch):
    text = b"".join(ENCODERS["csv"](RECORDS_OUTPUT, batch)).decode()
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns = FIELDS[1:4]
    assert header == columns
    assert rows == [[str(row[c]) for c in columns] for row in as_rows(batch)]
    assert text.startswith(",".join(columns) + "\n")


def test_csv_quotes_as_rfc_4180():
    batch = metrics(*((i, 0, 1, 2, 3, 4, 5, 6) for i in ('a"b', "c,d", "e\r\nf", "plain")))
    text = b"".join(ENCODERS["csv"](RECORDS_OUTPUT, batch)).decode()
    assert '\n"a""b","AgentMessageCount",1\n' in text
    assert '\n"c,d","AgentMessageCount",1\n' in text
    assert '\n"e\r\nf","AgentMessageCount",1\n' in text


@pytest.mark.parametrize("batch", [EXAMPLE, EXAMPLE[2:5], EXAMPLE[:0], many(5000)], ids=len)
def test_json_lines(batch):
    lines = b"".join(ENCODERS["jsonl"](RECORDS_OUTPUT, batch)).decode().split("\n")
    assert lines.pop() == ""
    rows = [json.loads(line) for line in lines]
    for row in rows:
        assert list(row) == FIELDS
        assert row["CreatedDate"].endswith("Z") and len(row["CreatedDate"]) == 27
        row["CreatedDate"] = datetime.datetime.strptime(
            row["CreatedDate"], "%Y-%m-%dT%H:%M:%S.%f%z"
        )
    assert rows == as_rows(batch)


def test_same_records_have_same_bytes():
    for output_format in ENCODERS:
        whole = b"".join(ENCODERS[output_format](RECORDS_OUTPUT, EXAMPLE))
        assert b"".join(ENCODERS[output_format](RECORDS_OUTPUT, EXAMPLE)) == whole
        pieces = pa.Table.from_batches([EXAMPLE[:4], EXAMPLE[4:]]).combine_chunks().to_batches()
        assert b"".join(ENCODERS[output_format](RECORDS_OUTPUT, pieces[0])) == whole
