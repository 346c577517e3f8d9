"""The rejects that are kept, and the files of them."""

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.test_pipeline import TestPipeline as Pipeline
from apache_beam.testing.util import assert_that, equal_to

from tests.support.batches import rejects
from tests.support.cli import output_bytes
from transforms import ToRejects
from transforms.collections import REJECTS
from transforms.rejects import Reject
from transforms.writing import stage_rejects
from transforms.writing.destinations import RejectsPlace
from transforms.writing.rejects import encode_rejects
from transforms.writing.stage_rejects import KeepRejects, StageRejects


def of_rows(*rows, reason="malformed_row"):
    return rejects("messages", *(Reject("b.csv", row, reason, "", None, None) for row in rows))


@pytest.mark.parametrize(("within", "path"), [("a/b", "a/b/"), ("", "")])
@pytest.mark.parametrize("batches", [[of_rows(2), of_rows(1)], []], ids=len)
def test_one_file(batches, within, path, tmp_path):
    place = RejectsPlace(str(tmp_path / "out"), within)
    name = f"{path}rejects-00000-of-00001.jsonl"
    with Pipeline(runner="FnApiRunner") as pipeline:
        found = pipeline | beam.Create(batches).with_output_types(pa.RecordBatch)
        staged = found | KeepRejects() | StageRejects(place, "one")
        assert_that(staged, equal_to([(REJECTS, name, 2)] if batches else []))
    expected = {f".out.staging/one/{name}": encode_rejects(of_rows(1, 2))} if batches else {}
    assert output_bytes(tmp_path) == expected


def test_several_files_where_there_are_many(tmp_path, monkeypatch):
    monkeypatch.setattr(stage_rejects, "_PER_FILE", 2)
    place = RejectsPlace(str(tmp_path / "out"), "")
    with Pipeline(runner="FnApiRunner") as pipeline:
        some = beam.Create([of_rows(3, 1, 5), of_rows(2, 4)]).with_output_types(pa.RecordBatch)
        staged = pipeline | some | KeepRejects() | StageRejects(place, "one")
        names = [f"rejects-{number:05d}-of-00003.jsonl" for number in range(3)]
        numbers = zip(names, (1, 2, 2), strict=True)
        assert_that(staged, equal_to([(REJECTS, name, number) for name, number in numbers]))
    assert output_bytes(tmp_path / ".out.staging" / "one") == {
        name: encode_rejects(of_rows(*rows))
        for name, rows in zip(names, ([1], [2, 3], [4, 5]), strict=True)
    }


def test_a_reason_of_which_there_are_few_stays_open():
    """What was sorted in bounds only the reasons that have as many rejects as are kept."""
    many = of_rows(*range(9), reason="sent_at_invalid")
    with Pipeline(runner="FnApiRunner") as pipeline:
        some = beam.Create([of_rows(1), many, of_rows(2)]).with_output_types(pa.RecordBatch)
        kept = pipeline | some | KeepRejects(4) | ToRejects()
        rows = kept | beam.Map(lambda reject: (reject.reason, reject.row))
        expected = [("malformed_row", 1), ("malformed_row", 2)]
        assert_that(rows, equal_to([*expected, *(("sent_at_invalid", row) for row in range(4))]))


def test_the_first_of_each_reason_are_kept():
    batches = [of_rows(*range(n, 100, 7)) for n in (3, 1, 6, 0, 2, 5, 4)]
    batches.append(of_rows(50, reason="sent_at_invalid"))
    with Pipeline(runner="FnApiRunner") as pipeline:
        found = pipeline | beam.Create(batches).with_output_types(pa.RecordBatch) | KeepRejects(4)
        expected = [Reject("b.csv", row, "malformed_row", "", None, None) for row in range(4)]
        expected.append(Reject("b.csv", 50, "sent_at_invalid", "", None, None))
        assert_that(found | ToRejects(), equal_to(expected))
