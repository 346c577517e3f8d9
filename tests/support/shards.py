"""One shard, folded."""

import numpy as np
import pyarrow as pa

from schemas import DEFAULT_METRICS
from transforms.folding.metrics import schema_of
from transforms.folding.shard import fold_shard
from transforms.policy import Policy


def fold_any_order(*batches: pa.RecordBatch, **policy) -> tuple[dict, dict]:
    """The six values by session id, and the counts; the same whatever the order of batches and rows."""
    metrics, counts = fold_shard(batches, Policy(**policy))
    assert metrics.schema == schema_of(DEFAULT_METRICS)
    shuffled = [b.take(pa.array(np.random.default_rng(1).permutation(len(b)))) for b in batches]
    again, counts_again = fold_shard(shuffled[::-1], Policy(**policy))
    assert again.equals(metrics)
    assert counts_again == counts
    ids = metrics.column("session_id").to_pylist()
    assert ids == sorted(set(ids))
    return {row[0]: row[2:] for row in zip(*metrics.to_pydict().values(), strict=True)}, counts
