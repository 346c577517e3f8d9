"""Metrics of sessions, and the files that are written of them."""

import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.test_pipeline import TestPipeline as Pipeline
from apache_beam.testing.util import assert_that, equal_to

from schemas import DEFAULT_METRICS
from tests.support.batches import sessions
from tests.support.cli import output_bytes
from transforms import Metrics, WriteMetrics
from transforms.folding import sessions as folded_sessions
from transforms.folding.metrics import schema_of
from transforms.folding.sessions import sample_sessions
from transforms.plumbing.counters import add_counts
from transforms.policy import Policy
from transforms.writing import file_ranges

METRICS = schema_of(DEFAULT_METRICS)
IDS = [f"0Mwbb{i:010d}CAW" for i in range(300)] + ["Zoë", "会話", "😀", "\uffff", "~", "é"]


def metrics(ids: list[str], ended_at_us: list[int] | None = None) -> pa.RecordBatch:
    """Sessions with values that tell them apart."""
    columns = [ids, ended_at_us or [0] * len(ids)]
    columns += [[hash_of(i) + place for i in ids] for place in range(6)]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, METRICS, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=METRICS)


def hash_of(session_id: str) -> int:
    return sum(session_id.encode())


def write(
    batches: list[pa.RecordBatch],
    to: WriteMetrics,
    rejects: Sequence[pa.RecordBatch] = (),
    counts: tuple[dict, ...] = (),
) -> dict[str, bytes]:
    with Pipeline(runner="FnApiRunner") as pipeline:
        found = Metrics(
            pipeline
            | "Batches" >> beam.Create(batches, reshuffle=False).with_output_types(pa.RecordBatch),
            pipeline
            | "Rejects" >> beam.Create(rejects, reshuffle=False).with_output_types(pa.RecordBatch),
            pipeline | "Counts" >> beam.Create(counts, reshuffle=False),
            pipeline | "Samples" >> beam.Create(samples(batches), reshuffle=False),
        )
        total = add_counts([*counts, {"records_written": sum(map(len, batches)) * 6}])
        assert_that(found | dataclasses.replace(to), equal_to([total]))
    return output_bytes(Path(to.output))


def samples(batches: list[pa.RecordBatch]) -> list[tuple[str, str]]:
    """Those of the sessions, as they were read."""
    found = []
    for batch in batches:
        ids, ends = batch.column(0).to_pylist(), batch.column(1).to_pylist()
        rows = ({"session_id": i, "ended_at_us": end} for i, end in zip(ids, ends, strict=True))
        found += sample_sessions(sessions(*rows), Policy())
    return found


def split(ids: list[str], batches: int, seed: int) -> list[pa.RecordBatch]:
    """Sessions in so many batches, each sorted as a shard's is; the batches in any order."""
    rng = random.Random(seed)
    shards: list[list[str]] = [[] for _ in range(batches)]
    for session_id in ids:
        rng.choice(shards).append(session_id)
    return [metrics(sorted(shard)) for shard in shards if shard]


def make_small(patch: pytest.MonkeyPatch, sessions_per_file: int, sampled: int) -> None:
    """Has files cut after a few sessions, of which one in `sampled` is looked at."""
    patch.setattr(file_ranges, "SESSIONS_PER_FILE", sessions_per_file)
    patch.setattr(file_ranges, "SAMPLED", sampled)
    patch.setattr(folded_sessions, "SAMPLED", sampled)
