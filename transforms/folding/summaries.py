"""The summary of a session: one row beside its records, with the response times in microseconds.

Pure; no Beam. `schemas/messaging_session_summary.avsc` has the meaning of each field.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.arrow import arrow_schema
from transforms.batches import AGENT, BOT, END_USER, SIDES
from transforms.folding.turns import Folded, Int64s, Responses, first_of_each, waiting_since
from transforms.policy import RULES, Policy

SUMMARY_SCHEMA = "messaging_session_summary"
"""The name of the schema of a summary."""

# The fields that travel in a narrower type than the schema's.
_NARROW = {
    "channel_type": pa.dictionary(pa.int32(), pa.string()),
    **{
        f"{name}_messages": pa.int32()
        for name in (*SIDES, "bot", "late", "duplicate", "assigned_by_time")
    },
    **{f"{side}_responses": pa.int32() for side in SIDES},
    **{f"policy_{switch}": pa.dictionary(pa.int8(), pa.string()) for switch in RULES},
}

# The fields that are not computed here: metrics have the first two, and the averages follow from totals.
_ELSEWHERE = ("session_id", "ended_at", *(f"{side}_response_average_us" for side in SIDES))

NO_DURATION_US = -1
"""In place of a null duration: cheaper to move than a null."""


def is_duration(name: str) -> bool:
    """Whether a field of the summaries is a duration."""
    return name.endswith("_us")


COLUMNS = pa.schema(
    [
        pa.field(
            field.name,
            _NARROW.get(field.name, field.type),
            field.nullable and not is_duration(field.name),
        )
        for field in arrow_schema(SUMMARY_SCHEMA)
        if field.name not in _ELSEWHERE
    ]
)
"""The summary columns that travel beside the metrics, in the narrowest types that hold them.

A null duration is stored as -1.
"""


class Handled(NamedTuple):
    """How many messages of each session were treated in some way, shape (sessions,) each.

    Attributes:
      late: came after the end.
      duplicates: were dropped as duplicates.
      by_time: have their session by time.
    """

    late: Int64s
    duplicates: Int64s
    by_time: Int64s


def summarize(
    folded: Folded, sessions: pa.RecordBatch, handled: Handled, policy: Policy
) -> pa.RecordBatch:
    """Makes the columns of a summary for each session.

    Args:
      folded: the messages of the sessions.
      sessions: with the columns of `batches.SESSIONS`, each id once.
      handled: how many messages of each session were late and so on.
      policy: the rules that were followed.

    Returns:
      A batch of layout `COLUMNS`, in the order of the sessions.
    """
    ended_at_us = sessions.column("ended_at_us").to_numpy()
    waiting, since_us = waiting_since(folded.agent_turns, len(sessions))
    first_value = pa.array(np.zeros(len(sessions), np.int8))
    columns: dict[str, pa.Array] = {
        "conversation_id": pc.coalesce(
            sessions.column("conversation_id"), sessions.column("conversation_identifier")
        ),
        "channel_type": sessions.column("channel_type").dictionary_encode(),
        "created_at": sessions.column("created_at_us"),
        "started_at": sessions.column("started_at_us"),
        "agent_messages": pa.array(folded.counts[:, AGENT]),
        "end_user_messages": pa.array(folded.counts[:, END_USER]),
        "bot_messages": pa.array(folded.counts[:, BOT]),
        **_statistics("agent", folded.agents),
        **_statistics("end_user", folded.end_users),
        **_first_response(folded, sessions),
        "ends_unanswered": pa.array(waiting),
        "unanswered_us": _durations(np.maximum(ended_at_us - since_us, 0), waiting),
        "late_messages": pa.array(handled.late),
        "duplicate_messages": pa.array(handled.duplicates),
        "assigned_by_time_messages": pa.array(handled.by_time),
        **{
            f"policy_{switch}": pa.DictionaryArray.from_arrays(
                first_value, [getattr(policy, switch)]
            )
            for switch in RULES
        },
    }
    arrays = [columns[field.name].cast(field.type) for field in COLUMNS]
    return pa.RecordBatch.from_arrays(arrays, schema=COLUMNS)


def _statistics(side: str, responses: Responses) -> dict[str, pa.Array]:
    starts = np.cumsum(responses.number) - responses.number
    ascending = sort_within(responses.session, responses.time_us)
    columns = {
        "total": responses.total_us,
        "median": _percentile(ascending, starts, responses.number, 50),
        "p90": _percentile(ascending, starts, responses.number, 90),
        "max": responses.longest_us,
    }
    return {
        f"{side}_responses": pa.array(responses.number),
        **{
            f"{side}_response_{name}_us": _durations(values, responses.number > 0)
            for name, values in columns.items()
        },
    }


def sort_within(session: NDArray[np.integer], time_us: Int64s) -> Int64s:
    """Sorts times within each session.

    Where session and time fit into 63 bits, they are sorted as one number, session first. Measured with
    ten million messages: 1.5 ms a shard, where `np.lexsort` of the two takes 15 ms, 6 % of the job. With
    times of no more than 4 bits:

        session, time     0, 9    0, 2    1, 5
        number            0x09    0x02    0x15
        sorted            0x02    0x09    0x15
        time              2       9       5

    Args:
      session: shape (times,), ascending.
      time_us: shape (times,), microseconds, not negative.

    Returns:
      The times in the order of their sessions, ascending within each.
    """
    bits = int(time_us.max(initial=0)).bit_length()
    if int(session.max(initial=0)).bit_length() + bits > 63:
        return time_us.take(np.lexsort((time_us, session)))
    key = session.astype(np.int64)
    key <<= bits
    key |= time_us
    # Sessions ascend, so the numbers are nearly in order: the stable sort makes use of that.
    key.sort(kind="stable")
    key &= (1 << bits) - 1
    return key


def _durations(values_us: Int64s, stated: NDArray[np.bool_]) -> pa.Array:
    return pa.array(np.where(stated, values_us, NO_DURATION_US))


def _percentile(ascending: Int64s, starts: Int64s, number: Int64s, percent: int) -> Int64s:
    """The least of each session's times that at least `percent` of them do not exceed; 0 without times.

    Args:
      ascending: all times, in the order of their sessions, ascending within each.
      starts: shape (sessions,), where the times of each session begin.
      number: shape (sessions,), how many times each session has.
      percent: 1 to 100.
    """
    rank = np.maximum(-(-number * percent // 100), 1) - 1
    where = np.where(number > 0, starts + rank, 0)
    return ascending.take(where) if len(ascending) else np.zeros(len(number), np.int64)


def _first_response(folded: Folded, sessions: pa.RecordBatch) -> dict[str, pa.Array]:
    """How long the agents' first response took: from the session's start and from its first message."""
    number = len(sessions)
    answered, first_us = first_of_each(folded.agents.session, folded.agents.at_us, number)
    session, sent_at_us, sender = folded.messages
    asked = np.flatnonzero(sender == END_USER)
    _, asked_us = first_of_each(session.take(asked), sent_at_us.take(asked), number)
    started_us = sessions.column("started_at_us")
    from_start = first_us - started_us.fill_null(0).to_numpy()
    known = answered & started_us.is_valid().to_numpy(zero_copy_only=False) & (from_start >= 0)
    return {
        "first_agent_response_from_start_us": _durations(from_start, known),
        "first_agent_response_from_message_us": _durations(first_us - asked_us, answered),
    }
