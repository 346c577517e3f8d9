"""Canonical batches of a few rows."""

import pyarrow as pa

from transforms.batches import MESSAGES, NO_SEQUENCE, SESSIONS
from transforms.instants import SECOND_US
from transforms.reading.words import SENDERS
from transforms.rejects import REJECTS, Reject


def messages(*rows: tuple) -> pa.RecordBatch:
    """Rows of session id, message id, second, sender, and perhaps sequence."""
    columns = list(zip(*((*row, None)[:5] for row in rows), strict=True)) or [()] * 5
    return pa.RecordBatch.from_arrays(
        [
            pa.array(columns[0], pa.string()).dictionary_encode(),
            pa.array(columns[1], pa.string()),
            pa.array([round(t * SECOND_US) for t in columns[2]], pa.int64()),
            pa.array([NO_SEQUENCE if q is None else q for q in columns[4]], pa.int64()),
            pa.array([SENDERS[who] for who in columns[3]], pa.int8()),
        ],
        schema=MESSAGES,
    )


def sessions(*rows: dict) -> pa.RecordBatch:
    default = {
        "deleted": False,
        "status": "Ended",
        "platform_type": "Enhanced",
        "ended_at_us": 100 * SECOND_US,
    }
    table = pa.Table.from_pylist(
        [default | row for row in rows],
        pa.schema([f.with_type(pa.string()) if f.name == "session_id" else f for f in SESSIONS]),
    ).combine_chunks()
    columns = [c.combine_chunks() for c in table.columns]
    return pa.RecordBatch.from_arrays(
        [columns[0].dictionary_encode(), *columns[1:]], schema=SESSIONS
    )


def rejects(of: str, *rows: Reject) -> pa.RecordBatch:
    """Rejects of one input, such as "messages"."""
    return pa.RecordBatch.from_pylist([{"input": of, **row._asdict()} for row in rows], REJECTS)
