"""Typed rows, for pipelines that have rows: what comes in, and the records that go out."""

from typing import NamedTuple

from apache_beam import coders
from apache_beam.utils.timestamp import Timestamp


class MessageRow(NamedTuple):
    """One entry of a conversation.

    Attributes:
      session_id: of the messaging session.
      message_id: unique within the session.
      sent_at: when the server received it.
      sender_role: `EndUser`, `Agent`, `Bot`, ... as in the exports.
      entry_type: None is a message.
      sequence: orders messages of one instant; None comes first.
    """

    session_id: str
    message_id: str
    sent_at: Timestamp
    sender_role: str
    entry_type: str | None = None
    sequence: int | None = None


class SessionRow(NamedTuple):
    """One messaging session, or a snapshot of it.

    Attributes:
      session_id: its id.
      status: `Ended` where it is closed.
      ended_at: None while it is open.
      channel_type: `EmbeddedMessaging`, `Text`, ...
      platform_type: `Enhanced` or `Standard`.
      started_at: when it started.
      created_at: None is `started_at`.
      modified_at: the newest snapshot of a session counts.
      accepted_at: when an agent accepted it.
      routed_at: when it was routed to agents.
    """

    session_id: str
    status: str
    ended_at: Timestamp | None = None
    channel_type: str | None = None
    platform_type: str | None = None
    started_at: Timestamp | None = None
    created_at: Timestamp | None = None
    modified_at: Timestamp | None = None
    accepted_at: Timestamp | None = None
    routed_at: Timestamp | None = None


class MetricRow(NamedTuple):
    """One record of `MessagingSessionMetrics`; the fields of `messaging_session_metrics.avsc`."""

    Name: str
    MessagingSessionId: str
    MessagingSessionMetricType: str
    MessagingSessionMetricValue: int
    CreatedDate: Timestamp


for _row in (MessageRow, SessionRow, MetricRow):
    coders.registry.register_row(_row)
