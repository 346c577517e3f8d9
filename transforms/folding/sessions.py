"""The sessions of a shard that get records. Pure; no Beam."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.batches import Counts, add_count
from transforms.instants import DAY_US, date_of_day
from transforms.keying.sharding import shards_of
from transforms.keying.snapshots import newest_snapshots
from transforms.plumbing.dictionaries import one_batch
from transforms.policy import Policy

SAMPLED = 1 << 10
"""One session in so many is looked at to find where files are cut."""

Sample = tuple[str, str]
"""The day on which a session ended, UTC, as `YYYY-MM-DD`, and the id of the session."""


def sample_sessions(sessions: pa.RecordBatch, policy: Policy) -> Iterator[Sample]:
    """Picks one session in `SAMPLED`, by hash of the id, so that every run picks the same ones.

    A row counts if its session would get records by this row alone. A newer row may say otherwise;
    for an estimate of where to cut files that does not matter.

    Args:
      sessions: of layout `batches.SESSIONS`.
      policy: which sessions; nothing else of it is used.
    """
    ids = sessions.column("session_id")
    picked = (shards_of(ids.dictionary, SAMPLED) == 0).take(ids.indices.to_numpy())
    rows = pa.Table.from_batches([sessions.filter(pa.array(picked))])
    for _, condition in conditions(policy):
        rows = rows.filter(condition(rows))
    days = (rows["ended_at_us"].to_numpy() // DAY_US).tolist()
    yield from zip(
        map(date_of_day, days), rows["session_id"].cast(pa.string()).to_pylist(), strict=True
    )


def select_sessions(sessions: pa.RecordBatch, policy: Policy, counts: Counts) -> pa.RecordBatch:
    """Selects the sessions that get records: newest snapshot, not deleted, closed, eligible, in range.

    `keying.snapshots.newest_snapshots` says which is the newest.

    Args:
      sessions: of layout `batches.SESSIONS`, in any order, a row per snapshot.
      policy: the ranges; nothing else of it is used.
      counts: the fate of the other rows is added.

    Returns:
      Rows of the same layout, but for ids that are plain texts; sorted by id (by code point), each id
      once.
    """
    table = pa.Table.from_batches([sessions])
    table = table.set_column(0, "session_id", table.column(0).cast(pa.string()))
    newest = newest_snapshots(table)
    add_count(counts, "sessions_superseded", len(table) - len(newest))
    kept = np.ones(len(newest), bool)
    for fate, condition in conditions(policy):
        met = condition(table).fill_null(False).take(newest).to_numpy()
        add_count(counts, f"sessions_{fate}", np.count_nonzero(kept & ~met))
        kept &= met
    return one_batch(table.take(newest.filter(pa.array(kept))))


Condition = Callable[[pa.Table], pa.ChunkedArray]
"""Which rows of a table of sessions meet a condition; null where a column is."""


def conditions(policy: Policy) -> list[tuple[str, Condition]]:
    """The conditions that a session must meet to get records, in the order in which they are tried.

    Each stands beside the fate of the sessions that fail it: `sessions_<fate>` is the count.
    """

    def is_there(table: pa.Table) -> pa.ChunkedArray:
        return pc.invert(table["deleted"])

    def is_closed(table: pa.Table) -> pa.ChunkedArray:
        return pc.and_(pc.equal(table["status"], "Ended"), pc.is_valid(table["ended_at_us"]))

    def is_enhanced(table: pa.Table) -> pa.ChunkedArray:
        return pc.equal(table["platform_type"], "Enhanced")

    found: list[tuple[str, Condition]] = [
        ("deleted", is_there),
        ("not_closed", is_closed),
        ("not_enhanced", is_enhanced),
    ]
    for column, start, end in (
        ("ended_at_us", policy.closed_from_us, policy.closed_until_us),
        ("created_at_us", policy.created_from_us, policy.created_until_us),
    ):
        for compare, bound in ((pc.greater_equal, start), (pc.less, end)):
            if bound is not None:
                found.append(("out_of_range", functools.partial(_compared, compare, column, bound)))
    return found


def _compared(compare: Any, column: str, bound: int, table: pa.Table) -> pa.ChunkedArray:
    return compare(table[column], bound)
