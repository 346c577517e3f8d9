"""Counts, twice over the same numbers: Beam counters to look at, elements to reckon with."""

import collections
from collections.abc import Iterable, Iterator, Mapping

import apache_beam as beam
from apache_beam.metrics import Metrics

from transforms.batches import Counts
from transforms.collections import COUNTS

NAMESPACE = "session_metrics"

STAGES = "session_metrics.stages"
"""The namespace of the counters that tell how much went through each stage, and how long it took."""

LIVE: collections.Counter[str] = collections.Counter()
"""What was counted in this process, for a progress display; no result depends on it."""


def emit_counts(counts: Counts) -> Iterator[beam.pvalue.TaggedOutput]:
    """Raises the Beam counters and gives the counts as an element of the output `COUNTS`."""
    LIVE.update(counts)
    for name, number in counts.items():
        Metrics.counter(NAMESPACE, name).inc(number)
    yield beam.pvalue.TaggedOutput(COUNTS, counts)


def measure_stage(stage: str, numbers: Mapping[str, int]) -> None:
    """Raises the Beam counters of a stage: rows, bytes, milliseconds. No result depends on them."""
    for name, number in numbers.items():
        Metrics.counter(STAGES, f"{stage}_{name}").inc(number)


def add_counts(many: Iterable[Counts]) -> Counts:
    """Adds counts name by name; names in alphabetical order."""
    total: Counts = {}
    for counts in many:
        for name, number in counts.items():
            total[name] = total.get(name, 0) + number
    return dict(sorted(total.items()))
