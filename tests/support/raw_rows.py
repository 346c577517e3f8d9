"""Rows as they are read, and what is made of them."""

import numpy as np
import pyarrow as pa

from transforms.reading.columns import ColumnNames, RawBatch
from transforms.reading.normalize import normalize_messages, normalize_sessions

NOON = "2024-10-02T12:00:00.000Z"
NOON_US = 1_727_870_400_000_000
MESSAGE = {"session_id": "s", "message_id": "m", "sent_at": NOON, "sender_role": "EndUser"}
SESSION = {"session_id": "s", "status": "Ended", "ended_at": NOON, "platform_type": "Enhanced"}


def raw(rows, malformed=()):
    """Rows as text columns, numbered from 11; a key that a row lacks is null."""
    keys = dict.fromkeys(key for row in rows for key in row)
    columns = {key: pa.array([row.get(key) for row in rows], pa.string()) for key in keys}
    return RawBatch(columns, len(rows), lambda: np.arange(11, 11 + len(rows)), malformed)


def messages(*rows, mapping=None, malformed=()):
    return normalize_messages(raw(rows, malformed), ColumnNames.of("messages", mapping), "f")


def sessions(*rows, mapping=None, **options):
    return normalize_sessions(raw(rows), ColumnNames.of("sessions", mapping), "f", **options)


def one(row, **changes):
    return {key: value for key, value in {**row, **changes}.items() if value is not ...}
