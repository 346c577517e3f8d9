"""From messages and sessions to metrics, as a transform."""

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from tests.support.batches import messages, sessions
from tests.support.steps import labels_of
from transforms import Batches, ComputeSessionMetrics
from transforms.plumbing.counters import add_counts

MESSAGES = messages(("a", "1", 0, "EndUser"), ("a", "2", 10, "Agent"), ("x", "1", 0, "Agent"))
SESSIONS = sessions({"session_id": "a"}, {"session_id": "b", "status": "Active"})


def batches(pipeline: beam.Pipeline, name: str, *found: pa.RecordBatch) -> Batches:
    return Batches(
        pipeline
        | f"{name}Batches" >> beam.Create(found, reshuffle=False).with_output_types(pa.RecordBatch),
        pipeline | f"{name}Rejects" >> beam.Create([], reshuffle=False),
        pipeline | f"{name}Counts" >> beam.Create([{f"{name}_read": 1}], reshuffle=False),
        pipeline | f"{name}Bytes" >> beam.Create([1], reshuffle=False),
    )


@pytest.mark.parametrize("together", [False, True])
def test_batches_apart_or_together(together):
    pipeline = beam.Pipeline(FnApiRunner(), options=PipelineOptions([]))
    inputs = (
        batches(pipeline, "all", MESSAGES, SESSIONS)
        if together
        else (batches(pipeline, "messages", MESSAGES), batches(pipeline, "sessions", SESSIONS))
    )
    found = inputs | ComputeSessionMetrics()
    rows = found.batches | "Rows" >> beam.FlatMap(
        lambda batch: zip(*batch.to_pydict().values(), strict=True)
    )
    assert_that(rows, equal_to([("a", 100_000_000, 1, 10, 0, 1, 10, 0)]), "AreRows")
    total = found.counts | "Total" >> beam.CombineGlobally(add_counts)
    read = {"all_read": 1} if together else {"messages_read": 1, "sessions_read": 1}
    expected = {
        **read,
        "messages_counted": 2,
        "messages_of_unknown_session": 1,
        "sessions_not_closed": 1,
        "sessions_reported": 1,
    }
    assert_that(total, equal_to([expected]), "AreCounts")
    pipeline.run()


def test_the_steps_that_a_job_page_shows():
    pipeline = beam.Pipeline(FnApiRunner(), options=PipelineOptions([]))
    batches(pipeline, "all", MESSAGES, SESSIONS) | ComputeSessionMetrics()
    labels = labels_of(pipeline)
    for step in ("KeyBySession", "Group", "FoldSessions"):
        assert f"ComputeSessionMetrics/{step}" in labels
