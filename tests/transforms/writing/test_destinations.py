"""Where files go, and which files of an earlier run they replace."""

import pytest

from transforms.writing.destinations import RejectsPlace, file_name, is_file_of
from transforms.writing.records import RECORDS_OUTPUT
from transforms.writing.summary_rows import SUMMARIES_OUTPUT

ALL = (None, None)


def test_names_of_files():
    assert file_name(RECORDS_OUTPUT, ("", 1, 12), "csv") == "metrics-00001-of-00012.csv"
    name = file_name(SUMMARIES_OUTPUT, ("2024-10-02", 0, 1), "avro")
    assert name == "ended_date=2024-10-02/summaries-00000-of-00001.avro"
    assert is_file_of(SUMMARIES_OUTPUT, ALL, name) and not is_file_of(RECORDS_OUTPUT, ALL, name)


@pytest.mark.parametrize(
    "name",
    [
        "metrics-00000-of-00001.avro",
        "metrics-00000-of-00001.parquet",
        "metrics-00007-of-00009.csv",
        "created_date=2024-10-02/metrics-00000-of-00001.jsonl",
    ],
)
def test_files_of_any_earlier_run(name):
    assert is_file_of(RECORDS_OUTPUT, ALL, name)


@pytest.mark.parametrize(
    "name",
    [
        "metrics-00000-of-00001.avro.bak",
        "metrics-0-of-1.avro",
        "metrics-00000-of-00001.txt",
        "sub/metrics-00000-of-00001.avro",
        "created_date=soon/metrics-00000-of-00001.avro",
        "ended_date=2024-10-02/metrics-00000-of-00001.avro",
        "summaries-00000-of-00001.avro",
    ],
)
def test_files_of_others(name):
    assert not is_file_of(RECORDS_OUTPUT, ALL, name)


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ((None, None), ["1", "2", "3"]),
        (("2024-10-02", None), ["2", "3"]),
        ((None, "2024-10-03"), ["1", "2"]),
        (("2024-10-02", "2024-10-03"), ["2"]),
    ],
)
def test_files_of_a_range_of_days(days, expected):
    """A file that is in no directory by day is of an earlier run that had none: it is replaced."""
    names = {f"created_date=2024-10-0{n}/metrics-00000-of-00001.avro": str(n) for n in (1, 2, 3)}
    assert [n for name, n in names.items() if is_file_of(RECORDS_OUTPUT, days, name)] == expected
    assert is_file_of(RECORDS_OUTPUT, days, "metrics-00000-of-00001.avro")


@pytest.mark.parametrize(
    ("rejects", "place"),
    [
        (None, ("@/out", "rejects")),
        ("@/out/rejects", ("@/out", "rejects")),
        ("@/out/a/b/", ("@/out", "a/b")),
        ("@/out", ("@/out", "")),
        ("@/out/", ("@/out", "")),
        ("@/output", ("@/output", "")),
        ("@/bad", ("@/bad", "")),
        ("@", ("@", "")),
    ],
)
@pytest.mark.parametrize("top", ["/tmp/none", "gs://bucket/some"])
def test_places_of_rejects(rejects, place, top):
    found = RejectsPlace.of(f"{top}/out", rejects and rejects.replace("@", top))
    assert (found.directory, found.within) == tuple(part.replace("@", top) for part in place)


def test_rejects_on_another_filesystem_than_the_output():
    assert RejectsPlace.of("gs://bucket/out", "/out") == RejectsPlace("/out", "")


def test_rejects_of_an_earlier_run():
    name = "rejects-00001-of-00002.jsonl"
    assert RejectsPlace("out", "").owns(name)
    assert not RejectsPlace("out", "").owns(f"rejects/{name}")
    assert RejectsPlace("out", "a/b").owns(f"a/b/{name}")
    for other in (name, f"a/{name}", f"a/b/c/{name}", "a/b/notes.txt"):
        assert not RejectsPlace("out", "a/b").owns(other)
