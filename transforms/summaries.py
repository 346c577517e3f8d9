"""The summary of a session: one row beside its records, with the response times in microseconds.

Pure; no Beam. `schemas/messaging_session_summary.avsc` has the meaning of each field.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas import arrow_schema
from transforms import encoding
from transforms.batches import AGENT, BOT, END_USER
from transforms.fold import Folded, Int64s, Responses, first_of_each, waiting_since
from transforms.policy import Policy

SUMMARY = "messaging_session_summary"
"""The name of the schema."""

_INSTANTS = ("created_at", "started_at", "ended_at")


def summarize(
    folded: Folded,
    sessions: pa.RecordBatch,
    late: Int64s,
    duplicates: Int64s,
    policy: Policy,
) -> pa.RecordBatch:
    """Makes a row for each session.

    Args:
      folded: the messages of the sessions.
      sessions: schema `batches.SESSIONS`, each id once.
      late: shape (sessions,), messages after the end.
      duplicates: shape (sessions,), messages dropped as such.
      policy: the rules that were followed.

    Returns:
      A batch of the schema `SUMMARY`, in the order of the sessions.
    """
    ended_at_us = sessions.column("ended_at_us").to_numpy()
    waiting, since_us = waiting_since(folded.agent_turns, len(sessions))
    columns: dict[str, pa.Array] = {
        "session_id": sessions.column("session_id").cast(pa.string()),
        "channel_type": sessions.column("channel_type"),
        **{
            name: sessions.column(f"{name}_us").cast(pa.timestamp("us", "UTC"))
            for name in _INSTANTS
        },
        "agent_messages": pa.array(folded.counts[:, AGENT]),
        "end_user_messages": pa.array(folded.counts[:, END_USER]),
        "bot_messages": pa.array(folded.counts[:, BOT]),
        **_statistics("agent", folded.agents),
        **_statistics("end_user", folded.end_users),
        **_first_response(folded, sessions),
        "ends_unanswered": pa.array(waiting),
        "unanswered_us": pa.array(np.maximum(ended_at_us - since_us, 0), mask=~waiting),
        "late_messages": pa.array(late),
        "duplicate_messages": pa.array(duplicates),
        "policy": pa.array([rules(policy)]).take(pa.array(np.zeros(len(sessions), np.int8))),
    }
    schema = arrow_schema(SUMMARY)
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def rules(policy: Policy) -> str:
    """The rules that the times of a summary follow, which are rounded to nothing."""
    names = ("response_from", "bots", "late_messages")
    return " ".join(f"{name}={getattr(policy, name)}" for name in names)


def _statistics(side: str, responses: Responses) -> dict[str, pa.Array]:
    none = responses.number == 0
    divisor = np.maximum(responses.number, 1)
    average, rest = np.divmod(responses.total_us, divisor)
    average += 2 * rest >= divisor
    starts = np.cumsum(responses.number) - responses.number
    ascending = sort_within(responses.session, responses.time_us)
    columns = {
        "total": responses.total_us,
        "average": average,
        "median": _percentile(ascending, starts, responses.number, 50),
        "p90": _percentile(ascending, starts, responses.number, 90),
        "max": responses.longest_us,
    }
    return {
        f"{side}_responses": pa.array(responses.number),
        **{
            f"{side}_response_{name}_us": pa.array(values, mask=none)
            for name, values in columns.items()
        },
    }


def sort_within(session: NDArray[np.integer], time_us: Int64s) -> Int64s:
    """The times in ascending order within each session; the sessions ascend already."""
    bits = int(time_us.max(initial=0)).bit_length()
    if int(session.max(initial=0)).bit_length() + bits > 63:
        return time_us.take(np.lexsort((time_us, session)))
    # As one number: several times as fast as by two keys.
    key = np.sort(session.astype(np.int64) << bits | time_us)
    return key & ((1 << bits) - 1)


def _percentile(ascending: Int64s, starts: Int64s, number: Int64s, percent: int) -> Int64s:
    """The least of a session's times that at least `percent` of them do not exceed."""
    rank = np.maximum(-(-number * percent // 100), 1) - 1
    where = np.where(number > 0, starts + rank, 0)
    return ascending.take(where) if len(ascending) else np.zeros(len(number), np.int64)


def _first_response(folded: Folded, sessions: pa.RecordBatch) -> dict[str, pa.Array]:
    """How long the agents' first response took, from the start and from the first message."""
    number = len(sessions)
    answered, first_us = first_of_each(folded.agents.session, folded.agents.at_us, number)
    session, sent_at_us, sender = folded.messages
    asked = np.flatnonzero(sender == END_USER)
    _, asked_us = first_of_each(session.take(asked), sent_at_us.take(asked), number)
    started_us = sessions.column("started_at_us")
    from_start = first_us - started_us.fill_null(0).to_numpy()
    known = answered & started_us.is_valid().to_numpy(zero_copy_only=False) & (from_start >= 0)
    return {
        "first_agent_response_from_start_us": pa.array(from_start, mask=~known),
        "first_agent_response_from_message_us": pa.array(first_us - asked_us, mask=~answered),
    }


def _same(summaries: pa.RecordBatch) -> pa.RecordBatch:
    return summaries


def _to_avro(summaries: pa.RecordBatch) -> pa.Buffer:
    return encoding.avro_rows(summaries, SUMMARY)


def _one(_: pa.RecordBatch) -> int:
    return 1


SUMMARIES = encoding.Kind(
    schema=SUMMARY,
    files="summaries",
    id_field="session_id",
    ended_field="ended_at",
    partition="ended_date",
    ended_column="ended_at",
    layout=arrow_schema(SUMMARY),
    to_rows=_same,
    to_avro=_to_avro,
    rows_per_session=_one,
    csv_columns=tuple(arrow_schema(SUMMARY).names),
)
