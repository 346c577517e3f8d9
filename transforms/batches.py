"""The canonical batches: one Arrow layout for each kind of input, whatever its rows came from.

Instants are microseconds since the epoch, UTC, in columns named `..._us`.
"""

from typing import Literal, SupportsInt

import numpy as np
import pyarrow as pa

from schemas import aliases
from schemas.arrow import arrow_schema

END_USER, AGENT, BOT = 0, 1, 2
"""The senders whose messages count."""

NEVER_COUNTED = 3
"""The senders whose messages do not: system, supervisor, router."""

SIDES = ("agent", "end_user")
"""The sides of a conversation whose responses are timed."""

MAX_VALUE = 999_999_999
"""The greatest value of a metric: the field has nine digits."""

NO_SEQUENCE = np.iinfo(np.int64).min
"""In place of a sequence that a message has not: before any other."""

SESSION_ID_PREFIX = "0Mw"
"""The ids of messaging sessions of Salesforce begin so, and no other ids do."""

ID = pa.dictionary(pa.int32(), pa.string())

MESSAGES = pa.schema(
    [
        pa.field("session_id", ID, nullable=False),
        # Unique within a session, at best.
        pa.field("message_id", pa.string(), nullable=False),
        # When the server received the message.
        pa.field("sent_at_us", pa.int64(), nullable=False),
        # Orders the messages of one instant; may be NO_SEQUENCE.
        pa.field("sequence", pa.int64(), nullable=False),
        # END_USER, AGENT or BOT.
        pa.field("sender", pa.int8(), nullable=False),
    ]
)
"""One row per message. On the way to the fold it may be narrowed, see `keying.narrowing.narrow`."""

BY_TIME = pa.field("by_time", pa.bool_(), nullable=False)
"""A column more of messages whose session was found by time; a batch without it has none of these."""

UNASSIGNED = pa.schema([pa.field("conversation_id", ID, nullable=False), *list(MESSAGES)[1:]])
"""One row per message that names its conversation and no session."""

SESSIONS = pa.schema(
    [
        pa.field("session_id", ID, nullable=False),
        # The conversation that the session is part of, as an id of Salesforce and as an identifier.
        pa.field("conversation_id", pa.string()),
        pa.field("conversation_identifier", pa.string()),
        # Whether the session was deleted: it gets no records and takes no messages.
        pa.field("deleted", pa.bool_(), nullable=False),
        # "Ended" if the session is closed.
        pa.field("status", pa.string(), nullable=False),
        # Such as "EmbeddedMessaging" or "Text".
        pa.field("channel_type", pa.string()),
        # "Enhanced" or "Standard"; only enhanced sessions get records.
        pa.field("platform_type", pa.string()),
        # When the conversation began.
        pa.field("started_at_us", pa.int64()),
        # When the session ended: CreatedDate of its records.
        pa.field("ended_at_us", pa.int64()),
        # When Salesforce made the session's record; started_at where the input has no such column.
        pa.field("created_at_us", pa.int64()),
        # The newest snapshot of a session counts.
        pa.field("modified_at_us", pa.int64()),
        # When an agent accepted the work: ServiceRepAcceptToFirstResponseTime is timed from here.
        pa.field("accepted_at_us", pa.int64()),
        # When the work was routed to an agent: ServiceRepFirstResponseTime is timed from here.
        pa.field("routed_at_us", pa.int64()),
        # How many messages Salesforce has counted itself.
        pa.field("agent_message_count", pa.int64()),
        pa.field("end_user_message_count", pa.int64()),
    ]
)
"""One row per session, or per snapshot of one. It may be narrowed, too."""

PLATFORMS = ("Enhanced", "Standard")

CHANNELS = pa.schema(
    [
        pa.field("channel_id", pa.string(), nullable=False),
        # The place of the platform in `PLATFORMS`.
        pa.field("platform", pa.int8(), nullable=False),
    ]
)
"""One row per channel that states its platform."""

PARTICIPANTS = pa.schema(
    [
        pa.field("participant_id", pa.string(), nullable=False),
        # END_USER, AGENT, BOT or NEVER_COUNTED.
        pa.field("sender", pa.int8(), nullable=False),
    ]
)
"""One row per participant of a conversation who states a role."""

KEYS = pa.schema(
    [
        pa.field("session_id", pa.string(), nullable=False),
        pa.field("ended_at_us", pa.int64(), nullable=False),
    ]
)
"""The first columns of a batch of metrics, which has one row per session."""

SALESFORCE_RECORDS = pa.schema(
    [
        pa.field("session_id", ID, nullable=False),
        # The place of the type in `schemas.metric_types`.
        pa.field("metric_type", pa.int8(), nullable=False),
        pa.field("value", pa.int64(), nullable=False),
    ]
)
"""One row per record that Salesforce wrote itself."""

SUMMARIES = pa.schema(
    [arrow_schema("messaging_session_summary").field(n) for n in aliases("summaries")]
)
"""One row per session: the fields of a summary row that the page is made of."""

INPUTS = ("messages", "sessions", "participants", "channels", "records")
"""What a run reads, as its counts name it, in the order in which it is told."""

Kind = Literal["messages", "unassigned", "sessions", "records", "channels", "participants"]
"""The kinds of rows; batches of several kinds travel in one PCollection."""

# For each kind a column that tells it from those that follow.
_KIND_OF_COLUMN: dict[str, Kind] = {
    "metric_type": "records",
    "participant_id": "participants",
    "platform": "channels",
    "status": "sessions",
    "session_id": "messages",
    "conversation_id": "unassigned",
}


def kind_of(batch: pa.RecordBatch) -> Kind:
    """Finds out from its columns what the rows of a batch are.

    Args:
      batch: of the layout of one of the kinds, whole or narrowed.
    """
    index_of = batch.schema.get_field_index
    return next(kind for column, kind in _KIND_OF_COLUMN.items() if index_of(column) >= 0)


Counts = dict[str, int]
"""How many rows had each fate, by the name of the fate; a fate that no row had is left out."""


def add_count(counts: Counts, name: str, number: SupportsInt) -> None:
    """Adds a number to a count; a count of 0 is left out."""
    if int(number):
        counts[name] = counts.get(name, 0) + int(number)
