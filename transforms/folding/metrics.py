"""The metrics: how the value of each `MessagingSessionMetricType` follows from a folded session."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from transforms.batches import AGENT, END_USER, KEYS, MAX_VALUE
from transforms.folding.turns import Folded, Int64s, first_of_each
from transforms.instants import SECOND_US
from transforms.policy import Policy, Rounding


class Metric(NamedTuple):
    """How the values of one type are computed.

    Attributes:
      values: takes the folded messages, the sessions (layout `batches.SESSIONS`) and the policy; gives
        the value of each session, times in whole seconds. A value may exceed `MAX_VALUE`.
      needs: the column of the sessions (without `_us`) that a value other than 0 depends on; None if
        the messages suffice.
    """

    values: Callable[[Folded, pa.RecordBatch, Policy], Int64s]
    needs: str | None = None


def to_seconds(total_us: Int64s, count: Int64s, rounding: Rounding) -> Int64s:
    """Divides and rounds to whole seconds, once; 0 where the count is 0.

    Two responses that took 3 s together, one that took 1.2 s, none:

    >>> total_us, count = np.array([3_000_000, 1_200_000, 0]), np.array([2, 1, 0])
    >>> to_seconds(total_us, count, "half_up")
    array([2, 1, 0])
    >>> to_seconds(total_us, count, "floor")
    array([1, 1, 0])
    >>> to_seconds(total_us, count, "ceil")
    array([2, 2, 0])

    Args:
      total_us: microseconds, not negative.
      count: by what to divide.
      rounding: as in `Policy`.
    """
    divisor = np.maximum(count, 1) * SECOND_US
    seconds, rest = np.divmod(total_us, divisor)
    if rounding == "half_up":
        return seconds + (2 * rest >= divisor)
    if rounding == "ceil":
        return seconds + (rest > 0)
    return seconds


def _average(of: str) -> Metric:
    def values(folded: Folded, _: pa.RecordBatch, policy: Policy) -> Int64s:
        responses = getattr(folded, of)
        return to_seconds(responses.total_us, responses.number, policy.rounding)

    return Metric(values)


def _longest(of: str) -> Metric:
    def values(folded: Folded, _: pa.RecordBatch, policy: Policy) -> Int64s:
        longest_us = getattr(folded, of).longest_us
        return to_seconds(longest_us, np.ones_like(longest_us), policy.rounding)

    return Metric(values)


def _number(sender: int) -> Metric:
    return Metric(lambda folded, _, __: folded.counts[:, sender])


def _first_since(column: str) -> Metric:
    def values(folded: Folded, sessions: pa.RecordBatch, policy: Policy) -> Int64s:
        since = sessions.column(f"{column}_us")
        stated = since.is_valid().to_numpy(zero_copy_only=False)
        since_us = since.fill_null(0).to_numpy()
        session, sent_at_us, sender = folded.messages
        rows = np.flatnonzero((sender == AGENT) & (sent_at_us >= since_us.take(session)))
        found, first_us = first_of_each(session.take(rows), sent_at_us.take(rows), len(sessions))
        waited_us = np.where(stated & found, first_us - since_us, 0)
        return to_seconds(waited_us, np.ones_like(waited_us), policy.rounding)

    return Metric(values, column)


METRICS = {
    "AgentMessageCount": _number(AGENT),
    "AverageAgentResponseTime": _average("agents"),
    "AverageEndUserResponseTime": _average("end_users"),
    "EndUserMessageCount": _number(END_USER),
    "MaxAgentResponseTime": _longest("agents"),
    "MaxEndUserResponseTime": _longest("end_users"),
    "ServiceRepAcceptToFirstResponseTime": _first_since("accepted_at"),
    "ServiceRepFirstResponseTime": _first_since("routed_at"),
}
"""How each type of `schemas.metric_types` is computed, in the same order."""


def schema_of(types: tuple[str, ...]) -> pa.Schema:
    """The layout of a batch of metrics: a row per session, with a column for each type."""
    return pa.schema([*KEYS, *(pa.field(name, pa.int32(), nullable=False) for name in types)])


def values_of(
    folded: Folded, sessions: pa.RecordBatch, policy: Policy, types: tuple[str, ...]
) -> tuple[pa.RecordBatch, int]:
    """Computes the metrics of each session.

    Args:
      folded: the messages of the sessions.
      sessions: with the columns of `batches.SESSIONS`, each id once.
      policy: the rules.
      types: the metrics.

    Returns:
      A batch of layout `schema_of(types)`, in the order of the sessions; and how many of the values
      were greater than `MAX_VALUE`, which stands in their place.
    """
    values = [METRICS[name].values(folded, sessions, policy) for name in types]
    capped = sum(int(np.count_nonzero(column > MAX_VALUE)) for column in values)
    columns = [
        sessions.column("session_id").cast(pa.string()),
        sessions.column("ended_at_us"),
        *(pa.array(np.minimum(column, MAX_VALUE).astype(np.int32)) for column in values),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema_of(types)), capped
