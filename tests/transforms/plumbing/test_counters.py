"""Counts of rows, as elements."""

from types import SimpleNamespace

from apache_beam.metrics.monitoring_infos import int64_user_counter
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability.portable_runner import PortableMetrics

from transforms.collections import COUNTS
from transforms.plumbing.counters import LIVE, NAMESPACE, add_counts, counters_of, emit_counts


def test_counts_are_added_by_name_in_alphabetical_order():
    found = add_counts([{"b": 1, "a": 2}, {}, {"b": 3}])
    assert found == {"a": 2, "b": 4}
    assert list(found) == ["a", "b"]


def test_counts_are_an_element_and_on_display():
    before = LIVE["tests_emitted"]
    (element,) = emit_counts({"tests_emitted": 2})
    assert (element.tag, element.value) == (COUNTS, {"tests_emitted": 2})
    assert LIVE["tests_emitted"] == before + 2


def test_counters_are_added_over_steps_also_a_zero_that_is_no_longer_attempted():
    committed = [
        int64_user_counter(NAMESPACE, "rows", 2, "One"),
        int64_user_counter(NAMESPACE, "rows", 3, "Two"),
        int64_user_counter(NAMESPACE, "rejects", 0, "One"),
        int64_user_counter("elsewhere", "rows", 5, "One"),
    ]
    response = beam_job_api_pb2.GetJobMetricsResponse()
    response.metrics.committed.extend(committed)
    result = SimpleNamespace(metrics=lambda: PortableMetrics(response))
    assert counters_of(result, NAMESPACE) == {"rejects": 0, "rows": 5}
