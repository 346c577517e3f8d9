"""Counts of rows, twice: as Beam counters, to be looked at; as elements, to be computed with.

A pipeline can't read its own Beam counters: where it decides by a count, or writes it, it takes the
elements.
"""

import collections
from collections.abc import Iterable, Iterator, Mapping

import apache_beam as beam
from apache_beam.metrics import Metrics as BeamMetrics
from apache_beam.runners.runner import PipelineResult

from transforms.batches import Counts
from transforms.collections import COUNTS

NAMESPACE = "session_metrics"
"""The namespace of the counters of rows."""

STAGES = "session_metrics.stages"
"""The namespace of the counters of each stage: how much went through it, how long that took."""

LIVE: collections.Counter[str] = collections.Counter()
"""The counts of this process so far, for a progress display; no result depends on them."""


def emit_counts(counts: Counts) -> Iterator[beam.pvalue.TaggedOutput]:
    """Raises the Beam counters and yields the counts as an element of the output `COUNTS`."""
    LIVE.update(counts)
    for name, number in counts.items():
        BeamMetrics.counter(NAMESPACE, name).inc(number)
    yield beam.pvalue.TaggedOutput(COUNTS, counts)


def measure_stage(stage: str, numbers: Mapping[str, int]) -> None:
    """Raises the Beam counters of a stage: rows, bytes, milliseconds. No result depends on them."""
    for name, number in numbers.items():
        BeamMetrics.counter(STAGES, f"{stage}_{name}").inc(number)


def add_counts(many: Iterable[Counts]) -> Counts:
    """Adds counts name by name; the names of the sum are in alphabetical order."""
    total: Counts = {}
    for counts in many:
        for name, number in counts.items():
            total[name] = total.get(name, 0) + number
    return dict(sorted(total.items()))


def counters_of(result: PipelineResult, namespace: str) -> Counts:
    """The Beam counters of a namespace after a run, each added up over the steps of the pipeline."""
    found = result.metrics().query(beam.metrics.MetricsFilter().with_namespace(namespace))
    # `result` is None for a counter that was committed as zero, where none is being attempted.
    return add_counts({c.key.metric.name: c.result or 0} for c in found["counters"])
