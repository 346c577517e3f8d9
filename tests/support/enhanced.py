"""Messages that name only their conversation: as batches, and as real exports have them."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tests.support import batches
from tests.support.conversations import Entry, Snapshot
from transforms.batches import UNASSIGNED, Counts
from transforms.keying.conversations import assign_shard, by_conversation
from transforms.keying.narrowing import sequences_of
from transforms.plumbing.texts import unpack_uuids
from transforms.reading.columns import RawBatch
from transforms.reading.fates import Normalized
from transforms.reading.messages import normalize_messages
from transforms.reading.names import ColumnNames
from transforms.reading.sessions import normalize_sessions

_INSTANT = pa.timestamp("us", "UTC")


def unassigned(*rows: tuple) -> pa.RecordBatch:
    """Rows of conversation id, message id, second, sender, and perhaps sequence."""
    columns = batches.messages(*rows).columns
    return pa.RecordBatch.from_arrays(columns, schema=UNASSIGNED)


def session(session_id: str, begin: float | None, end: float | None, **more: Any) -> dict:
    """A row for `sessions`: from a second to another, of the conversation `c`."""
    row = {
        "session_id": session_id,
        "conversation_id": "c",
        "deleted": False,
        "started_at_us": None if begin is None else round(begin * 1_000_000),
        "ended_at_us": None if end is None else round(end * 1_000_000),
    }
    return row | more


def sessions(*rows: dict) -> pa.RecordBatch:
    """Rows of `session` as `assign_shard` takes them."""
    return by_conversation(batches.sessions(*rows))


def assigned(
    *found: pa.RecordBatch, lead_us: int = 60_000_000
) -> tuple[dict[str, str], Counts, pa.RecordBatch | None]:
    """The session of each message that has one, by message id, the counts, and the batch."""
    batch, counts = assign_shard(found, lead_us)
    return sessions_of(batch), counts, batch


def sessions_of(batch: pa.RecordBatch | None) -> dict[str, str]:
    """The session of each message of a batch that may be narrowed, by message id."""
    if batch is None:
        return {}
    ids = batch.column("message_id")
    texts = ids if pa.types.is_string(ids.type) else unpack_uuids(ids)
    found = dict(zip(texts.to_pylist(), batch.column("session_id").to_pylist(), strict=True))
    assert len(found) == len(batch)
    return found


def sequences(batch: pa.RecordBatch) -> dict[str, int]:
    """The sequence of each message of a batch that is not packed, by message id."""
    ids = batch.column("message_id").to_pylist()
    return dict(zip(ids, sequences_of(batch).tolist(), strict=True))


def normalized(
    entries: Sequence[Entry], snapshots: Sequence[Snapshot]
) -> tuple[Normalized, pa.RecordBatch]:
    """The same rows as the job has them once they are read."""
    messages = _raw(
        entries,
        session_id=(pa.string(), "session_id"),
        conversation_id=(pa.string(), "conversation_id"),
        message_id=(pa.string(), "message_id"),
        sent_at=(_INSTANT, "sent_at_us"),
        sender_role=(pa.string(), "role"),
    )
    rows = _raw(
        snapshots,
        session_id=(pa.string(), "session_id"),
        conversation_id=(pa.string(), "conversation_id"),
        conversation_identifier=(pa.string(), "conversation_identifier"),
        started_at=(_INSTANT, "started_at_us"),
        created_at=(_INSTANT, "created_at_us"),
        ended_at=(_INSTANT, "ended_at_us"),
        modified_at=(_INSTANT, "modified_at_us"),
        status=(pa.string(), "status"),
        deleted=(pa.bool_(), "deleted"),
    )
    rows.columns["platform_type"] = pa.array(["Enhanced"] * len(snapshots), pa.string())
    read = normalize_sessions(rows, ColumnNames.of("sessions"), "f")
    assert not read.rejects
    return normalize_messages(messages, ColumnNames.of("messages"), "f"), read.batches[0]


def _raw(rows: Sequence[Any], **fields: tuple[pa.DataType, str]) -> RawBatch:
    columns = {
        name: pa.array([getattr(row, field) for row in rows], kind)
        for name, (kind, field) in fields.items()
    }
    return RawBatch(columns, len(rows), lambda: np.arange(len(rows)))


def pieces(batch: pa.RecordBatch, sizes: Iterable[int]) -> list[pa.RecordBatch]:
    """The rows of a batch in consecutive batches of some sizes, the last of the rest."""
    found, start = [], 0
    for size in sizes:
        found.append(batch[start : start + size])
        start += size
    return [piece for piece in [*found, batch[start:]] if len(piece)]
