"""Which snapshot of a session counts. Pure; no Beam."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.batches import SESSIONS
from transforms.plumbing.dictionaries import one_array
from transforms.plumbing.texts import order_of


def newest_snapshots(sessions: pa.Table, by: Sequence[str] = ("session_id",)) -> pa.Array:
    """Of each session the newest snapshot.

    The newest snapshot has the newest `modified_at`, else the latest `ended_at`; the rest of the columns
    break a tie, so that arrival never does.

    Args:
      sessions: with the columns of `batches.SESSIONS`, ids as plain texts, in any order.
      by: the columns that tell one session from another.

    Returns:
      Their rows, in the order of `by` (by code point); no two have the same values there.
    """
    order = _sorted_by(sessions, by)
    differ = _differ(sessions.select(by).take(order))
    if differ.all():
        return order
    keys = [*by, "modified_at_us", "ended_at_us"]
    order = _sorted_by(sessions, [*keys, *(n for n in SESSIONS.names if n not in keys)])
    # Of each session the last row.
    return order.filter(pa.array(np.append(differ, True)))


def _sorted_by(sessions: pa.Table, keys: Sequence[str]) -> pa.Array:
    columns = pa.table([_nulls_least(sessions[key]) for key in keys], keys)
    if len(keys) == 1:
        return pa.array(order_of(one_array(columns[0])))
    return pc.sort_indices(columns, [(key, "ascending") for key in keys])


def _differ(table: pa.Table) -> NDArray[np.bool_]:
    """Which rows, but the last, differ from the next one in any column."""
    differ = np.zeros(max(len(table) - 1, 0), bool)
    for column in table.combine_chunks().columns:
        differ |= pc.not_equal(column[1:], column[:-1]).to_numpy()
    return differ


def _nulls_least(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column with a value that sorts before all others in place of null."""
    if pa.types.is_string(column.type):
        return column.fill_null("")
    return column.fill_null(np.iinfo(np.int64).min) if column.null_count else column
