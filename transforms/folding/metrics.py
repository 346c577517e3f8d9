"""The metrics: the value of each `MessagingSessionMetricType`, from what sessions were folded to."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from schemas import metric_types
from transforms.batches import AGENT, END_USER, KEYS, MAX_VALUE
from transforms.folding.turns import Folded, Int64s, first_of_each
from transforms.instants import SECOND_US
from transforms.policy import Policy, Rounding


class Metric(NamedTuple):
    """How the values of one type are computed.

    Attributes:
      values: from the folded messages, the sessions (schema `batches.SESSIONS`) and the policy, the
        value of each session; times in whole seconds. May exceed `MAX_VALUE`.
      needs: the column of the sessions without which all values would be 0.
    """

    values: Callable[[Folded, pa.RecordBatch, Policy], Int64s]
    needs: str | None = None


def to_seconds(total_us: Int64s, count: Int64s, rounding: Rounding) -> Int64s:
    """`total_us / count` in whole seconds, rounded once; 0 where the count is 0."""
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
"""By type; those of `schemas.metric_types`, in that order."""

DEFAULT_METRICS = metric_types()[:6]
"""The six that Salesforce writes for every session."""


def schema_of(types: tuple[str, ...]) -> pa.Schema:
    """The layout of a batch of metrics: a row per session, its values side by side."""
    return pa.schema(
        [
            *KEYS,
            *(pa.field(name, pa.int32(), nullable=False) for name in types),
        ]
    )


def values_of(
    folded: Folded, sessions: pa.RecordBatch, policy: Policy, types: tuple[str, ...]
) -> tuple[pa.RecordBatch, int]:
    """The values of each session, and how many of them are capped at `MAX_VALUE`.

    Args:
      folded: the messages of the sessions.
      sessions: schema `batches.SESSIONS`, each id once.
      policy: the rules.
      types: what is computed.

    Returns:
      A batch of schema `schema_of(types)`, in the order of the sessions.
    """
    values = [METRICS[name].values(folded, sessions, policy) for name in types]
    capped = sum(int(np.count_nonzero(column > MAX_VALUE)) for column in values)
    columns = [
        sessions.column("session_id").cast(pa.string()),
        sessions.column("ended_at_us"),
        *(pa.array(np.minimum(column, MAX_VALUE).astype(np.int32)) for column in values),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema_of(types)), capped
