"""The canonical batches: one Arrow layout for each kind of input, whatever its rows came from.

`normalize_*` takes the columns of one piece of an input as they were read and gives the canonical
batch, the rejects and the counts. Pure functions; no Beam.
"""

from typing import Literal, NamedTuple, SupportsInt

import numpy as np
import pyarrow as pa

from schemas import aliases, arrow_schema

END_USER, AGENT, BOT = 0, 1, 2

MAX_VALUE = 999_999_999  # of a metric: the field has nine digits

NO_SEQUENCE = np.iinfo(np.int64).min  # a message without a sequence comes before any with one

ID = pa.dictionary(pa.int32(), pa.string())

MESSAGES = pa.schema(
    [
        pa.field("session_id", ID, nullable=False),
        pa.field("message_id", pa.string(), nullable=False),
        pa.field("sent_at_us", pa.int64(), nullable=False),
        pa.field("sequence", pa.int64(), nullable=False),
        pa.field("sender", pa.int8(), nullable=False),
    ]
)

SESSIONS = pa.schema(
    [
        pa.field("session_id", ID, nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("channel_type", pa.string()),
        pa.field("platform_type", pa.string()),
        pa.field("started_at_us", pa.int64()),
        pa.field("ended_at_us", pa.int64()),
        pa.field("created_at_us", pa.int64()),
        pa.field("modified_at_us", pa.int64()),
        pa.field("accepted_at_us", pa.int64()),
        pa.field("routed_at_us", pa.int64()),
    ]
)

KEYS = pa.schema(
    [
        pa.field("session_id", pa.string(), nullable=False),
        pa.field("ended_at_us", pa.int64(), nullable=False),
    ]
)
"""The first columns of what is computed, a row per session."""

SALESFORCE_RECORDS = pa.schema(
    [
        pa.field("session_id", ID, nullable=False),
        pa.field("metric_type", pa.int8(), nullable=False),  # its place in `schemas.metric_types`
        pa.field("value", pa.int64(), nullable=False),
    ]
)

SUMMARIES = pa.schema(
    [arrow_schema("messaging_session_summary").field(n) for n in aliases("summaries")]
)
"""Those fields of a summary that a report is made of."""

Kind = Literal["messages", "sessions", "records"]
"""What the rows of a batch are, where batches of several kinds travel in one PCollection."""


def kind_of(batch: pa.RecordBatch) -> Kind:
    """Tells what the rows of a batch are, from its columns.

    Args:
      batch: of layout `MESSAGES`, whole or narrowed for the shuffle (`keying.sharding.narrow`), of
        layout `SESSIONS`, or of layout `SALESFORCE_RECORDS`.
    """
    names = batch.schema.names
    if "message_id" in names:
        return "messages"
    return "records" if "metric_type" in names else "sessions"


Counts = dict[str, int]

SIDES = ("agent", "end_user")
"""The sides of a conversation whose responses are timed."""


class Reject(NamedTuple):
    """A row that can't be used. Never holds what a customer or an agent wrote.

    `source` is the file, `row` the line in a text file and the ordinal of the row elsewhere, both from 1.
    """

    source: str
    row: int
    reason: str
    detail: str
    session_id: str | None
    message_id: str | None


def add_count(counts: Counts, name: str, number: SupportsInt) -> None:
    """Adds a number to a count; a count of 0 is left out."""
    if int(number):
        counts[name] = counts.get(name, 0) + int(number)
