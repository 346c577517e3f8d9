"""Rows as they are read, and what is made of them."""

import numpy as np
import pyarrow as pa

from transforms.reading.columns import RawBatch
from transforms.reading.lookups import NOTHING_GIVEN
from transforms.reading.messages import normalize_messages
from transforms.reading.names import ColumnNames
from transforms.reading.sessions import normalize_sessions

NOON = "2024-10-02T12:00:00.000Z"
NOON_US = 1_727_870_400_000_000
MESSAGE = {"session_id": "s", "message_id": "m", "sent_at": NOON, "sender_role": "EndUser"}
SESSION = {"session_id": "s", "status": "Ended", "ended_at": NOON, "platform_type": "Enhanced"}


def raw(rows, malformed=()):
    """Rows as text columns, numbered from 11; a key that a row lacks is null."""
    keys = dict.fromkeys(key for row in rows for key in row)
    columns = {key: pa.array([row.get(key) for row in rows], pa.string()) for key in keys}
    return RawBatch(columns, len(rows), lambda: np.arange(11, 11 + len(rows)), malformed)


def messages(*rows, mapping=None, malformed=(), given=NOTHING_GIVEN):
    names = ColumnNames.of("messages", mapping)
    return normalize_messages(raw(rows, malformed), names, "f", given)


def sessions(*rows, mapping=None, given=NOTHING_GIVEN):
    return normalize_sessions(raw(rows), ColumnNames.of("sessions", mapping), "f", given)


def one(row, **changes):
    return {key: value for key, value in {**row, **changes}.items() if value is not ...}
