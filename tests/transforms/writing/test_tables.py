"""BigQuery tables as output: what is asked of the service, and what an emulator makes of it."""

import io
import json

import fastavro
import pyarrow as pa
import pytest

from pipelines import report
from schemas import avro_schema, bigquery_schema
from tests.support.bigquery import MESSAGES, SESSIONS, names_of, put, rows_of
from tests.support.cli import RUNNER, output_bytes, read_records
from tests.support.metrics import metrics, write
from transforms import WriteMetrics
from transforms.bigquery import Table
from transforms.errors import OutputError
from transforms.publishing.publish import PreparedOutputs
from transforms.writing import tables as table_output
from transforms.writing.encoders import encode_avro
from transforms.writing.records import RECORDS_OUTPUT
from transforms.writing.tables import RECORDS_PER_UPLOAD, TableRange, _groups, _joined

DAY_US = 86_400_000_000
TABLE = Table("p", "d", "t")
STAGING = Table("p", "d", "t_staging_1")


def test_schema_is_that_of_the_records():
    described = {f["name"]: f["doc"] for f in avro_schema()["fields"]}
    types = {
        "Name": "STRING",
        "MessagingSessionId": "STRING",
        "MessagingSessionMetricType": "STRING",
        "MessagingSessionMetricValue": "INTEGER",
        "CreatedDate": "TIMESTAMP",
    }
    assert bigquery_schema() == [
        {"name": name, "type": kind, "mode": "REQUIRED", "description": described[name]}
        for name, kind in types.items()
    ]
    assert list(described) == list(types)


def test_a_range_is_replaced_by_one_statement():
    closed_us = (DAY_US, 2 * DAY_US + 1)
    assert TableRange(TABLE, closed_us)._statement(STAGING, []) == (
        "MERGE `p.d.t` AS T\n"
        "USING (SELECT * FROM `p.d.t_staging_1` WHERE "
        "CreatedDate >= TIMESTAMP '1970-01-02 00:00:00.000000+00:00' AND "
        "CreatedDate < TIMESTAMP '1970-01-03 00:00:00.000001+00:00') AS S\n"
        "ON FALSE\n"
        "WHEN NOT MATCHED BY SOURCE AND "
        "T.CreatedDate >= TIMESTAMP '1970-01-02 00:00:00.000000+00:00' AND "
        "T.CreatedDate < TIMESTAMP '1970-01-03 00:00:00.000001+00:00' THEN DELETE\n"
        "WHEN NOT MATCHED BY TARGET THEN INSERT (Name, MessagingSessionId, "
        "MessagingSessionMetricType, MessagingSessionMetricValue, CreatedDate) VALUES (Name, "
        "MessagingSessionId, MessagingSessionMetricType, MessagingSessionMetricValue, CreatedDate)"
    )
    whole = TableRange(TABLE)._statement(STAGING, [])
    assert "t_staging_1` WHERE TRUE)" in whole
    assert "BY SOURCE AND TRUE THEN DELETE" in whole


def test_more_days_than_a_statement_may_change_are_one_transaction():
    first, *merges, last = TableRange(TABLE, (0, None))._statement(STAGING, [5, 9]).split(";\n")
    assert (first, last) == ("BEGIN TRANSACTION", "COMMIT TRANSACTION;")
    parts = [TableRange(TABLE, part) for part in ((0, 5), (5, 9), (9, None))]
    assert merges == [part._statement(STAGING, []) for part in parts]


def test_files_go_in_as_few_loads_as_can_be():
    in_cloud = [(f"gs://b/{i:05d}", 1 << 30) for i in range(20_001)]
    groups = list(_groups(in_cloud))
    assert [len(group) for group in groups] == [10_000, 10_000, 1]
    assert [path for group in groups for path in group] == [path for path, _ in in_cloud]
    half = RECORDS_PER_UPLOAD // 2
    here = [("a", half), ("b", half), ("c", 1), ("d", 10 * half), ("e", 0)]
    assert list(_groups(here)) == [["a", "b"], ["c"], ["d"], ["e"]]
    assert list(_groups([])) == []


def put_avro(path, batch: pa.RecordBatch) -> tuple[str, int]:
    path.write_bytes(b"".join(encode_avro(RECORDS_OUTPUT, batch)))
    return str(path), len(batch) * 6


def test_files_are_uploaded_as_one(tmp_path):
    pieces = [put_avro(tmp_path / name, metrics(list(name))) for name in ("ab", "c")]
    whole = metrics(list("abc"))
    joined = fastavro.reader(io.BytesIO(_joined(RECORDS_OUTPUT, [path for path, _ in pieces])))
    assert list(joined) == list(
        fastavro.reader(io.BytesIO(b"".join(encode_avro(RECORDS_OUTPUT, whole))))
    )
    (tmp_path / "ab").write_bytes(b"not Avro")
    with pytest.raises(OutputError, match="ab: is not as it was written"):
        _joined(RECORDS_OUTPUT, [str(tmp_path / "ab")])


def test_no_table_is_loaded_with_them(tmp_path):
    """Looked at before the service is asked for anything."""
    good = metrics(["a", "b"])
    place = good.schema.get_field_index("MaxAgentResponseTime")
    bad = good.set_column(place, good.schema.field(place), pa.array([0, 10**9], pa.int32()))
    to = WriteMetrics(str(tmp_path / "out"), table=TableRange(TABLE))
    with pytest.raises(
        OutputError, match=r"^metrics: a row with MaxAgentResponseTime out of range"
    ):
        write([bad], to)
    assert not (tmp_path / "out").exists()


def test_no_table_is_changed_once_another_run_has_taken_the_output(tmp_path):
    """Looked at before the service is asked for anything."""
    output = str(tmp_path / "out")
    to = WriteMetrics(output, table=TableRange(TABLE), run="one")
    with (
        PreparedOutputs([output], "two"),
        pytest.raises(OutputError, match="another run has taken it over; nothing was published"),
    ):
        write([metrics(["a"])], to)


def test_a_table_takes_avro_files():
    to = WriteMetrics("out", output_format="parquet", table=TableRange(TABLE))
    with pytest.raises(ValueError, match="a table is loaded with avro files, not with parquet"):
        to.expand(None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--output_table d.t", "--output_table d.t: not of the form PROJECT:DATASET.TABLE"),
        (
            "--output_table p:d.t",
            "--output_table without --output needs --temp_location gs://BUCKET/DIR for the files "
            "that are loaded",
        ),
        (
            "--output_table p:d.t --output @out --output_format parquet",
            "--output_table takes Avro files; leave --output_format out",
        ),
        (
            "--output_table p:d.t --temp_location @tmp --partition_by day",
            "--partition_by is of --output, which is not given",
        ),
        (
            "--output_table p:d.t --output @out --created_from 2024-10-02",
            "--output_table is replaced by when sessions ended, so sessions that --created_from and "
            "--created_until leave out would be removed; use --closed_from and --closed_until",
        ),
    ],
)
def test_bad_usage(words, said, run, tmp_path):
    before = output_bytes(tmp_path)
    assert run(*words.split()) == (2, f"session-metrics: {said}\n")
    assert output_bytes(tmp_path) == before


def session(session_id: str, ended_at: str) -> str:
    return f"{session_id},Ended,{ended_at},Enhanced"


def put_inputs(tmp_path, **ended_at: str) -> None:
    """Sessions, in each of which the end user wrote once."""
    sessions = [session(name, when) for name, when in ended_at.items()]
    put(tmp_path / "s.csv", SESSIONS, *sessions)
    lines = [f"{name},1,2024-10-01T00:00:00Z,EndUser" for name in ended_at]
    put(tmp_path / "m.csv", MESSAGES, *lines)


def test_a_run_makes_the_table_of_summaries(client, target, storage, run, tmp_path):
    """With files or another table beside it; a range is replaced in both."""
    put_inputs(tmp_path, a="2024-10-02T12:00:00.000001Z", b="2024-10-03T00:00:00Z")
    of_summaries = target._replace(table="summaries")
    words = ["--session_summary", f"{target.project}:{target.dataset}.summaries"]
    status, err = run(*words, "--output", "@out")
    assert status == 0, err
    assert err.endswith(f"published in {tmp_path}/out and {of_summaries}\n")
    assert list(output_bytes(tmp_path / "out")) == ["metrics-00000-of-00001.avro"]
    made = client.get_table(str(of_summaries))
    assert [f.to_api_repr() for f in made.schema] == bigquery_schema("messaging_session_summary")
    assert (made.time_partitioning.type_, made.time_partitioning.field) == ("DAY", "ended_at")
    assert made.clustering_fields == ["session_id"]
    assert made.description == avro_schema("messaging_session_summary")["doc"]

    def ids() -> list[tuple]:
        rows = [dict(row) for row in client.list_rows(str(of_summaries))]
        return sorted((r["session_id"], r["end_user_messages"], r["unanswered_us"]) for r in rows)

    day_us = 86_400_000_000
    before = [("a", 1, day_us * 3 // 2 + 1), ("b", 1, 2 * day_us)]
    assert ids() == before
    put_inputs(tmp_path, c="2024-10-02T00:00:00Z")
    words += ["--output_table", f"{target.project}:{target.dataset}.{target.table}"]
    words += ["--temp_location", storage.path("tmp")]
    words += ["--closed_from", "2024-10-02", "--closed_until", "2024-10-03"]
    status, err = run(*words)
    assert status == 0, err
    assert err.endswith(f"published in {target} and {of_summaries}\n")
    assert ids() == [("b", 1, 2 * day_us), ("c", 1, day_us)]
    assert {row["MessagingSessionId"] for row in rows_of(client, target)} == {"c"}
    assert sorted(names_of(client, target)) == ["metrics", "summaries"]


def test_a_table_of_summaries_gives_the_page_that_files_give(client, target, run, tmp_path):
    put_inputs(tmp_path, a="2024-10-02T12:00:00.000001Z", b="2024-10-03T00:00:00Z")
    table = f"{target.project}:{target.dataset}.summaries"
    for place in (table, "@summaries"):
        status, err = run("--session_summary", place, "--output", "@out")
        assert status == 0, err
    pages = []
    for source in (f"bigquery:{table.replace(':', '.')}", f"{tmp_path}/summaries/*.avro"):
        words = ["--summaries", source, "--output", f"{tmp_path}/page.html", RUNNER]
        assert report.main(words) == 0
        pages.append((tmp_path / "page.html").read_bytes())
    assert pages[0] == pages[1]
    assert b">2</dd>" in pages[0]


def test_a_run_makes_the_table(client, target, storage, run, tmp_path):
    put_inputs(tmp_path, a="2024-10-02T12:00:00.000001Z", b="2024-10-03T00:00:00Z")
    assert run("--output", "@out")[0] == 0
    words = ["--output_table", f"{target.project}:{target.dataset}.{target.table}"]
    words += ["--temp_location", storage.path("tmp")]
    status, err = run(*words)
    assert status == 0, err
    assert err.endswith(f"published in {target}\n")
    made = client.get_table(str(target))
    assert [field.to_api_repr() for field in made.schema] == bigquery_schema()
    assert (made.time_partitioning.type_, made.time_partitioning.field) == ("DAY", "CreatedDate")
    assert made.clustering_fields == ["MessagingSessionId"]
    assert made.description == avro_schema()["doc"]
    assert rows_of(client, target) == read_records(tmp_path / "out")
    assert names_of(client, target) == [target.table]
    assert storage.list() == {}

    first = rows_of(client, target)
    assert run(*words)[0] == 0
    assert rows_of(client, target) == first


def test_a_range_is_replaced_and_nothing_else(client, target, run, tmp_path):
    """With files beside, from this machine; days that have no sessions any more are emptied."""

    def sessions_after(*more: str, **ended_at: str) -> list[str]:
        put_inputs(tmp_path, **ended_at)
        status, err = run("--output", "@out", "--output_table", str(target), *more)
        assert status == 0, err
        assert err.endswith(f"published in {tmp_path}/out and {target}\n")
        return sorted({row["MessagingSessionId"] for row in rows_of(client, target)})

    days = {"a": "2024-10-01T23:59:59Z", "b": "2024-10-02T00:00:00Z", "c": "2024-10-03T00:00:00Z"}
    night = ("--closed_from", "2024-10-02", "--closed_until", "2024-10-03")
    assert sessions_after(**days) == ["a", "b", "c"]
    assert sessions_after(*night, d="2024-10-02T23:59:59.999999Z", e=days["c"]) == ["a", "c", "d"]
    assert {r["MessagingSessionId"] for r in read_records(tmp_path / "out")} == {"d"}
    assert sessions_after(*night, e=days["c"]) == ["a", "c"]
    assert sessions_after("--closed_from", "2024-10-02", f=days["b"]) == ["a", "f"]
    assert sessions_after("--partition_by", "day", **days) == ["a", "b", "c"]
    assert sessions_after() == []


def test_files_on_their_way_leave_nothing_behind(client, target, run, tmp_path):
    put_inputs(tmp_path, a="2024-10-02T12:00:00Z")
    (tmp_path / "tmp").mkdir()
    words = ["--output_table", str(target), "--temp_location", "@tmp", "--summary", "@counts.json"]
    status, err = run(*words)
    assert status == 0, err
    assert len(rows_of(client, target)) == 6
    assert list((tmp_path / "tmp").iterdir()) == []
    assert json.loads((tmp_path / "counts.json").read_text())["records_written"] == 6


def test_a_run_that_fails_has_replaced_nothing(client, target, run, storage, tmp_path):
    put_inputs(tmp_path, a="2024-10-02T12:00:00Z")
    words = ["--output_table", str(target), "--temp_location", storage.path("tmp")]
    assert run(*words)[0] == 0
    before = rows_of(client, target)
    put(tmp_path / "m.csv", MESSAGES, "a,1,never,EndUser")
    status, err = run(*words)
    assert (status, "nothing was published" in err) == (1, True)
    assert rows_of(client, target) == before
    assert storage.list() == {}
    status, err = run(*words, "--max_reject_ratio", "1", "--allow_no_messages")
    assert status == 0, err
    assert rows_of(client, target) != before
    (name,) = (name for name in storage.list("tmp/") if "/rejects/" in name)
    assert f"rejects are in {storage.path(name.rpartition('/')[0])}\n" in err
    assert json.loads(storage.get(name))["reason"] == "sent_at_invalid"


def test_a_load_that_fails_and_is_tried_again(client, target, storage):
    """One file is there, the other is not: nothing is replaced. Later both are."""
    here = TableRange(target)

    def put_object(name: str, ids: list[str]) -> tuple[str, int]:
        content = b"".join(encode_avro(RECORDS_OUTPUT, metrics(ids)))
        return storage.put(f"{name}.avro", content), len(ids) * 6

    here.replace([put_object("old", ["old"])], f"{target.dataset}a")
    before = rows_of(client, target)
    assert len(before) == 6
    one, two = put_object("one", ["a", "b"]), (storage.path("two.avro"), 6)
    with pytest.raises(OutputError):
        here.replace([one, two], f"{target.dataset}b")
    assert rows_of(client, target) == before
    with pytest.raises(OutputError, match=": 12 of 13 metrics were loaded; nothing was replaced"):
        here.replace([(one[0], 13)], f"{target.dataset}c")
    assert rows_of(client, target) == before
    here.replace([one, put_object("two", ["c"])], f"{target.dataset}d")
    after = rows_of(client, target)
    assert sorted({row["MessagingSessionId"] for row in after}) == ["a", "b", "c"]
    assert len(after) == 18


def test_a_bundle_that_is_tried_again_starts_no_second_job(client, target, storage):
    here = TableRange(target)
    files = [(storage.put("a.avro", b"".join(encode_avro(RECORDS_OUTPUT, metrics(["a"])))), 6)]
    here.replace(files, target.dataset)
    first = rows_of(client, target)
    jobs = {job.job_id for job in client.list_jobs()}
    ours = f"session-metrics-{target.dataset}"
    assert {f"{ours}-load-00000", f"{ours}-replace"} <= jobs
    storage.delete("a.avro")  # has been published
    here.replace(files, target.dataset)
    assert rows_of(client, target) == first
    assert {job.job_id for job in client.list_jobs()} == jobs
    assert names_of(client, target) == [target.table]


def test_days_beyond_the_limit_of_a_statement(client, target, tmp_path, monkeypatch):
    monkeypatch.setattr(table_output, "PARTITIONS_PER_STATEMENT", 2)
    days = [3, 5, 8, 13, 21]
    ids = [f"s{day:02d}" for day in days]
    files = [put_avro(tmp_path / "a.avro", metrics(ids, [day * DAY_US for day in days]))]
    here = TableRange(target, (0, 30 * DAY_US))
    for name in "ab":
        here.replace(files, target.dataset + name)
        assert sorted({row["MessagingSessionId"] for row in rows_of(client, target)}) == ids
        assert len(rows_of(client, target)) == 30


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (
            {**{f["name"]: f["type"] for f in bigquery_schema()}, "LoadedBy": "STRING"},
            "column LoadedBy is REQUIRED, and metrics have no such field",
        ),
        ({"Name": "STRING"}, "column MessagingSessionId is missing, it must be STRING"),
        (
            {**{f["name"]: f["type"] for f in bigquery_schema()}, "CreatedDate": "DATE"},
            "column CreatedDate is DATE, it must be TIMESTAMP",
        ),
    ],
)
def test_a_table_of_another_make_is_refused(client, target, run, schema, said, tmp_path):
    from google.cloud import bigquery as google

    fields = [google.SchemaField(name, kind, "REQUIRED") for name, kind in schema.items()]
    client.create_table(google.Table(str(target), fields))
    status, err = run("--output", "@out", "--output_table", str(target))
    assert (status, err) == (2, f"session-metrics: {target}: {said}\n")
    assert not (tmp_path / "out").exists()


def test_a_dataset_that_is_not_there(client, bigquery, run):
    status, err = run("--output", "@out", "--output_table", f"{bigquery.project}:nowhere.t")
    assert (status, err) == (
        2,
        f"session-metrics: {bigquery.project}.nowhere.t: no such dataset; make it: "
        f"bq mk --dataset {bigquery.project}:nowhere\n",
    )
