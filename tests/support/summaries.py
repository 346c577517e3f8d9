"""Summaries of sessions for tests of the report: as given, and as a contact centre might have them."""

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.arrow import arrow_schema
from transforms.folding.summaries import COLUMNS
from transforms.writing.summary_rows import SUMMARIES_OUTPUT

SCHEMA = arrow_schema("messaging_session_summary")
POLICY = "response_from=first_message bots=ignore late_messages=include"
UTC = datetime.timezone.utc
SECOND_US, MINUTE_US, HOUR_US, DAY_US = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000


def at(text: str) -> int:
    """An instant, UTC, as microseconds since the epoch."""
    instant = datetime.datetime.fromisoformat(text).replace(tzinfo=UTC)
    return (instant - datetime.datetime(1970, 1, 1, tzinfo=UTC)) // datetime.timedelta(
        microseconds=1
    )


def summary(
    session_id: str,
    ended_at: int,
    agent_us: int | None = None,
    end_user_us: int | None = None,
    **others: Any,
) -> dict[str, Any]:
    """One session; each side that has an average has one response."""
    row: dict[str, Any] = {
        "session_id": session_id,
        "ended_at": ended_at,
        "agent_messages": 2,
        "end_user_messages": 3,
        "bot_messages": 1,
        "ends_unanswered": False,
        "late_messages": 0,
        "duplicate_messages": 0,
        "assigned_by_time_messages": 0,
        "policy_response_from": "first_message",
        "policy_bots": "ignore",
        "policy_late_messages": "include",
    }
    for side, time_us in (("agent", agent_us), ("end_user", end_user_us)):
        row[f"{side}_responses"] = 0 if time_us is None else 1
        for name in ("total", "average", "median", "p90", "max"):
            row[f"{side}_response_{name}_us"] = time_us
    return row | others


def batch(rows: Iterable[Mapping[str, Any]]) -> pa.RecordBatch:
    """Rows as a batch of summaries; a field that a row lacks is null."""
    rows = list(rows)
    arrays = []
    for field in SCHEMA:
        values = [row.get(field.name) for row in rows]
        kind = pa.int64() if pa.types.is_timestamp(field.type) else field.type
        arrays.append(pa.array(values, kind).cast(field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def computed(summaries: pa.RecordBatch) -> pa.RecordBatch:
    """The same as the job has them on the way to files: the columns that go into those alone."""
    ended_at_us = summaries.column("ended_at").cast(pa.int64())
    columns = [summaries.column(field.name).cast(field.type) for field in COLUMNS]
    columns = [
        column.fill_null(-1) if pa.types.is_int64(column.type) else column for column in columns
    ]
    arrays = [summaries.column("session_id"), ended_at_us, *columns]
    return pa.RecordBatch.from_arrays(arrays, schema=SUMMARIES_OUTPUT.layout)


def contact_centre(
    days: int = 28,
    sessions: int = 6000,
    channels: Mapping[str | None, float] | None = None,
    first_day: str = "2024-09-30",
) -> pa.RecordBatch:
    """Sessions of some weeks: busy by day, few at the weekend, slow at night and in the late morning."""
    shares = channels or {"EmbeddedMessaging": 0.55, "WhatsApp": 0.33, "Text": 0.12}
    random = np.random.default_rng(7)
    day = np.arange(days)
    of_day = np.where(day % 7 < 5, 1.0, 0.35) * (1 + 0.15 * np.sin(day / 4))
    of_hour = np.array(
        [1, 1, 1, 1, 1, 2, 4, 9, 16, 20, 22, 20, 16, 18, 20, 19, 17, 13, 9, 7, 5, 4, 2, 1]
    )
    started_day = random.choice(day, sessions, p=of_day / of_day.sum())
    hour = random.choice(24, sessions, p=of_hour / of_hour.sum())
    started_us = (
        at(first_day)
        + started_day * DAY_US
        + hour * HOUR_US
        + random.integers(0, HOUR_US, sessions)
    )
    names = list(shares)
    weights = np.array(list(shares.values()), float)
    channel = random.choice(len(names), sessions, p=weights / weights.sum())
    slow = 1 + 2.2 * ((hour < 7) | (hour > 20)) + 0.8 * ((hour >= 10) & (hour < 13))
    slow = slow * (1 + 0.5 * (started_day % 7 >= 5)) * np.array([1, 3.5, 2])[channel % 3]
    agent_us = (random.lognormal(3.9, 0.9, sessions) * slow * SECOND_US).astype(np.int64)
    end_user_us = (random.lognormal(4.4, 1.3, sessions) * SECOND_US).astype(np.int64)
    answered = random.random(sessions) > 0.06
    replied = answered & (random.random(sessions) > 0.1)
    unanswered = ~answered | (random.random(sessions) < 0.03)
    turns = random.geometric(0.25, sessions)
    ended_us = started_us + (agent_us + end_user_us) * turns + 10 * MINUTE_US
    rows = (
        summary(
            f"0Mw5f{i:010d}AAA",
            int(ended_us[i]),
            int(agent_us[i]) if answered[i] else None,
            int(end_user_us[i]) if replied[i] else None,
            channel_type=names[channel[i]],
            created_at=int(started_us[i]),
            started_at=int(started_us[i]),
            agent_messages=int(turns[i] * 2) if answered[i] else 0,
            end_user_messages=int(turns[i] * 2 + 1),
            bot_messages=int(i % 3),
            agent_responses=int(turns[i]) if answered[i] else 0,
            agent_response_total_us=int(agent_us[i] * turns[i]) if answered[i] else None,
            end_user_responses=int(turns[i]) if replied[i] else 0,
            end_user_response_total_us=int(end_user_us[i] * turns[i]) if replied[i] else None,
            agent_response_max_us=int(agent_us[i] * 2) if answered[i] else None,
            ends_unanswered=bool(unanswered[i]),
        )
        for i in range(sessions)
    )
    return batch(rows)
