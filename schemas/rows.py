"""Typed rows for pipelines that have rows: messages and sessions as input, records as output."""

from typing import NamedTuple

from apache_beam import coders
from apache_beam.utils.timestamp import Timestamp


class MessageRow(NamedTuple):
    """One entry of a conversation.

    Attributes:
      session_id: the id of the messaging session; None if the message names only its conversation.
      message_id: an id that is unique within the session.
      sent_at: when the server received the message.
      sender_role: `EndUser`, `Agent`, `Bot`, ... as in the exports; None if a participant has it.
      entry_type: `Text`, ... as in the exports; an entry without a type (None) is a message.
      sequence: the order of messages of one instant; a message without one (None) comes first.
      conversation_id: the id of the conversation, for a message without a session.
      participant_id: the id of the participant who sent the message, for one without a role.
      deleted: whether the entry was deleted.
    """

    session_id: str | None
    message_id: str
    sent_at: Timestamp
    sender_role: str | None
    entry_type: str | None = None
    sequence: int | None = None
    conversation_id: str | None = None
    participant_id: str | None = None
    deleted: bool | None = None


class SessionRow(NamedTuple):
    """One messaging session, or a snapshot of it.

    Attributes:
      session_id: the id of the session.
      status: `Ended` if the session is closed.
      ended_at: when the session ended; None while it is open.
      channel_type: `EmbeddedMessaging`, `Text`, ...
      platform_type: `Enhanced` or `Standard`.
      started_at: when the session started.
      created_at: when the session was created; None stands for `started_at`.
      modified_at: when the row was last changed; the newest snapshot of a session counts.
      accepted_at: when an agent accepted the session.
      routed_at: when the session was routed to agents.
      conversation_id: the id of the conversation that the session is part of.
      conversation_identifier: that conversation's `ConversationIdentifier`.
      deleted: whether the session was deleted.
      agent_message_count: how many messages of agents Salesforce has counted.
      end_user_message_count: how many messages of the end user Salesforce has counted.
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
    conversation_id: str | None = None
    conversation_identifier: str | None = None
    deleted: bool | None = None
    agent_message_count: int | None = None
    end_user_message_count: int | None = None


class MetricRow(NamedTuple):
    """One record of `MessagingSessionMetrics`, with the fields of `messaging_session_metrics.avsc`."""

    Name: str
    MessagingSessionId: str
    MessagingSessionMetricType: str
    MessagingSessionMetricValue: int
    CreatedDate: Timestamp


for _row in (MessageRow, SessionRow, MetricRow):
    coders.registry.register_row(_row)
