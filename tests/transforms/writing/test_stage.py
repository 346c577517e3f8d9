"""What is staged, and what is given of it to be published."""

import apache_beam as beam
import pyarrow as pa
from apache_beam.pipeline import PipelineVisitor
from apache_beam.testing.test_pipeline import TestPipeline as Pipeline
from apache_beam.testing.util import assert_that, equal_to

from tests.support.cli import output_bytes
from tests.support.metrics import make_small, metrics, samples
from transforms import Metrics
from transforms.plumbing.coders import SpillingCoder, spilling
from transforms.writing.destinations import Destination
from transforms.writing.records import RECORDS_OUTPUT
from transforms.writing.stage import StageFiles


def test_each_file_of_each_output(tmp_path, monkeypatch):
    make_small(monkeypatch, sessions_per_file=2, sampled=1)
    batch = metrics(["a", "b", "c"])
    destination = Destination(output=RECORDS_OUTPUT, directory=str(tmp_path / "out"))
    with Pipeline(runner="FnApiRunner") as pipeline:
        found = Metrics(
            pipeline | "Batches" >> beam.Create([batch]).with_output_types(pa.RecordBatch),
            pipeline | "Rejects" >> beam.Create([]),
            pipeline | "Counts" >> beam.Create([]),
            pipeline | "Samples" >> beam.Create(samples([batch])),
        )
        staged = found | StageFiles([destination], "csv", by_day=False, run="one")
        names = ["metrics-00000-of-00002.csv", "metrics-00001-of-00002.csv"]
        assert_that(staged, equal_to([("metrics", names[0], 6), ("metrics", names[1], 12)]))
    assert list(output_bytes(tmp_path / ".out.staging" / "one")) == names


def test_pieces_are_spilled_by_a_pipeline_that_is_built_to_spill(tmp_path):
    """Nothing that a run writes depends on that, but the memory that it takes does."""
    destination = Destination(output=RECORDS_OUTPUT, directory=str(tmp_path / "out"))
    coders = {}

    class Look(PipelineVisitor):
        def visit_transform(self, transform_node):
            if "KeyByFile" in transform_node.full_label and hasattr(transform_node.transform, "fn"):
                coders[transform_node.full_label] = transform_node.transform.args[0]

    with spilling():
        pipeline = beam.Pipeline(runner="FnApiRunner")
        empty = [
            pipeline | name >> beam.Create([]).with_output_types(kind)
            for name, kind in zip(
                "abcd", (pa.RecordBatch, pa.RecordBatch, dict, tuple[str, str]), strict=True
            )
        ]
        _ = Metrics(*empty) | StageFiles([destination], "csv", by_day=True, run="one")
        pipeline.visit(Look())
    assert [type(coder) for coder in coders.values()] == [SpillingCoder]
