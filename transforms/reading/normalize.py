"""Raw columns to canonical batches, rejects and counts. Pure; no Beam."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas import metric_types
from transforms.batches import (
    AGENT,
    BOT,
    END_USER,
    MAX_VALUE,
    MESSAGES,
    NO_SEQUENCE,
    SALESFORCE_RECORDS,
    SESSIONS,
    SUMMARIES,
    Counts,
    Reject,
)
from transforms.instants import SECOND_US
from transforms.reading import values
from transforms.reading.columns import ColumnNames, Columns, Parse, RawBatch, first_stated
from transforms.reading.fates import SESSION_INSTANTS, Fates, Normalized

SENDERS = {"EndUser": END_USER, "Agent": AGENT, "Bot": BOT, "Chatbot": BOT, "AiAgent": BOT}

NEVER_COUNTED = ("System", "Supervisor", "Router")

MESSAGE_ENTRY_TYPES = ("Text", "Message", "MESSAGE")

_NEVER_COUNTED, _UNKNOWN_SENDER = 3, 4

_PARSERS: Mapping[pa.DataType, Parse] = {
    pa.int64(): values.to_integers,
    pa.bool_(): values.to_booleans,
    pa.timestamp("us", "UTC"): values.to_instants,
}


def normalize_messages(raw: RawBatch, names: ColumnNames, source: str) -> Normalized:
    """Makes messages of raw rows.

    A row whose entry is no message, or whose sender is never counted, is skipped before anything else
    of it is looked at. Order of rows is kept.

    Args:
      raw: the rows as read.
      names: the names of the columns.
      source: the file, for the rejects.

    Returns:
      A batch of layout `MESSAGES`; rejects; counts `messages_read`, `messages_skipped_entry_type`,
      `messages_skipped_role` and `messages_rejected_<reason>`.
    """
    columns = Columns(raw, names)
    fates = Fates("messages", raw, source)
    entry_type = columns.codes("entry_type")
    known = pc.is_in(entry_type.dictionary, pa.array(MESSAGE_ENTRY_TYPES))
    if not pc.all(known).as_py():
        fates.skip("entry_type", ~_numpy(known.take(entry_type.indices).fill_null(True)))

    role = columns.codes("sender_role")
    senders = np.array(
        [
            SENDERS.get(name, _NEVER_COUNTED if name in NEVER_COUNTED else _UNKNOWN_SENDER)
            for name in role.dictionary.to_pylist()
        ]
        # A null has the index after the last.
        + [_UNKNOWN_SENDER],
        np.int8,
    )
    sender = senders[_numpy(role.indices.fill_null(len(role.dictionary)))]
    fates.skip("role", sender == _NEVER_COUNTED)

    session_id = values.to_session_ids(columns.codes("session_id"))
    message_id = columns.text("message_id")
    sent_at, sent_at_stated = _sent_at(columns)
    sequence, sequence_stated = columns.parsed("sequence", values.to_integers)

    fates.reject("session_id_missing", _nulls(session_id))
    fates.reject("message_id_missing", _nulls(message_id))
    fates.reject("sent_at_missing", _nulls(sent_at_stated))
    fates.reject("sent_at_invalid", _nulls(sent_at), sent_at_stated)
    fates.reject("sender_role_missing", _nulls(role))
    fates.reject("sender_role_unknown", sender == _UNKNOWN_SENDER, role)
    fates.reject("sequence_invalid", _nulls(sequence) & ~_nulls(sequence_stated), sequence_stated)

    found = {
        "session_id": session_id,
        "message_id": message_id,
        "sent_at_us": sent_at,
        "sequence": sequence.fill_null(NO_SEQUENCE),
        "sender": pa.array(sender),
    }
    return fates.result(found, MESSAGES, session_id, message_id)


def normalize_sessions(
    raw: RawBatch,
    names: ColumnNames,
    source: str,
    channel_platforms: Mapping[str, str] | None = None,
    assume_platform: str | None = None,
) -> Normalized:
    """Makes sessions of raw rows.

    An In-App or Web channel (`EmbeddedMessaging`) is always an enhanced one. Any other session's
    platform is its own, else its channel's, else the assumed one; a session without any is a reject.

    Args:
      raw: the rows as read.
      names: the names of the columns.
      source: the file, for the rejects.
      channel_platforms: platform type by channel id.
      assume_platform: `Enhanced`, `Standard`, or None.

    Returns:
      A batch of layout `SESSIONS`, `created_at_us` filled from `started_at_us` where it is null;
      rejects; counts `sessions_read` and `sessions_rejected_<reason>`.
    """
    columns = Columns(raw, names)
    fates = Fates("sessions", raw, source)
    session_id = values.to_session_ids(columns.codes("session_id"))
    status = columns.text("status")
    channel_type = columns.text("channel_type")
    platform = columns.text("platform_type")
    if channel_platforms:
        channel = columns.text("channel_id")
        index = pc.index_in(channel, pa.array(list(channel_platforms), pa.string()))
        stated = pa.array(list(channel_platforms.values()), pa.string()).take(index)
        platform = pc.coalesce(platform, stated)
    embedded = pc.if_else(
        pc.equal(channel_type, "EmbeddedMessaging"), "Enhanced", pa.scalar(None, pa.string())
    )
    platform = pc.coalesce(embedded, platform, pa.scalar(assume_platform, pa.string()))

    fates.reject("session_id_missing", _nulls(session_id))
    fates.reject("status_missing", _nulls(status))
    found = {
        "session_id": session_id,
        "status": status,
        "channel_type": channel_type,
        "platform_type": platform,
    }
    for column in SESSION_INSTANTS:
        instant, stated = columns.parsed(column, values.to_instants)
        fates.reject(f"{column}_invalid", _nulls(instant) & ~_nulls(stated), stated)
        found[f"{column}_us"] = instant
    fates.reject("platform_unknown", _nulls(platform))
    found["created_at_us"] = pc.coalesce(found["created_at_us"], found["started_at_us"])
    return fates.result(found, SESSIONS, session_id)


def normalize_channels(
    raw: RawBatch, names: ColumnNames, source: str
) -> tuple[dict[str, str], list[Reject], Counts]:
    """Makes a table of platform type by channel id of raw rows; a channel without a platform is left out.

    Args:
      raw: the rows as read.
      names: the names of the columns.
      source: the file, for the rejects.

    Returns:
      The table; rejects; counts `channels_read` and `channels_rejected_<reason>`.
    """
    columns = Columns(raw, names)
    fates = Fates("channels", raw, source)
    channel = columns.text("channel_id")
    platform = columns.text("platform_type")
    fates.reject("channel_id_missing", _nulls(channel))
    pairs = zip(channel.to_pylist(), platform.to_pylist(), strict=True)
    return {c: p for c, p in pairs if c and p}, fates.rejects(), fates.counts


def normalize_records(raw: RawBatch, names: ColumnNames, source: str) -> Normalized:
    """Makes Salesforce's own records of raw rows.

    A record whose type the schema does not list is skipped before anything else of it is looked at.

    Args:
      raw: the rows as read.
      names: the names of the columns.
      source: the file, for the rejects.

    Returns:
      A batch of layout `SALESFORCE_RECORDS`; rejects; counts `records_read`,
      `records_skipped_metric_type` and `records_rejected_<reason>`.
    """
    columns = Columns(raw, names)
    fates = Fates("records", raw, source)
    named = columns.codes("metric_type")
    known = pc.index_in(named.dictionary, pa.array(metric_types())).cast(pa.int8())
    metric_type = known.take(named.indices)
    fates.skip("metric_type", _nulls(metric_type) & ~_nulls(named))

    session_id = values.to_session_ids(columns.codes("session_id"))
    value, stated = columns.parsed("metric_value", values.to_integers)
    possible = pc.and_(pc.greater_equal(value, 0), pc.less_equal(value, MAX_VALUE))

    fates.reject("session_id_missing", _nulls(session_id))
    fates.reject("metric_type_missing", _nulls(named))
    fates.reject("metric_value_missing", _nulls(stated))
    fates.reject("metric_value_invalid", ~_numpy(possible.fill_null(False)), stated)

    found = {"session_id": session_id, "metric_type": metric_type, "value": value}
    return fates.result(found, SALESFORCE_RECORDS, session_id)


def normalize_summaries(raw: RawBatch, names: ColumnNames, source: str) -> Normalized:
    """Makes summary rows of raw rows.

    Args:
      raw: the rows as read.
      names: the names of the columns.
      source: the file, for the rejects.

    Returns:
      A batch of layout `SUMMARIES`; rejects; counts `summaries_read` and `summaries_rejected_<reason>`.
    """
    columns = Columns(raw, names)
    fates = Fates("summaries", raw, source)
    found = {}
    for field in SUMMARIES:
        if pa.types.is_string(field.type):
            column = columns.text(field.name)
        else:
            column, stated = columns.parsed(field.name, _PARSERS[field.type])
            if pa.types.is_int64(field.type):
                column = pc.if_else(pc.less(column, 0), pa.scalar(None, pa.int64()), column)
            fates.reject(f"{field.name}_invalid", _nulls(column) & ~_nulls(stated), stated)
        if not field.nullable:
            fates.reject(f"{field.name}_missing", _nulls(column))
        found[field.name] = column.cast(field.type)
    return fates.result(found, SUMMARIES, found["session_id"])


def _sent_at(columns: Columns) -> tuple[pa.Array, pa.Array]:
    """When each message was sent, and what its row states; see `columns.first_stated`.

    `EntryTime` has whole seconds, `EntryTimeMilliSecs` beside it the milliseconds within the second.
    """

    def parse(name: str, array: pa.Array) -> pa.Array:
        instant = values.to_instants(array)
        if name != "EntryTime":
            return instant
        millis = columns.first("sent_at_ms", values.to_integers).fill_null(0)
        whole = pc.and_(
            pc.equal(pc.multiply(pc.divide(instant, SECOND_US), SECOND_US), instant),
            pc.and_(pc.greater_equal(millis, 0), pc.less(millis, 1000)),
        )
        return pc.if_else(whole, pc.add(instant, pc.multiply(millis, 1000)), instant)

    found = ((array, parse(name, array)) for name, array in columns.pick("sent_at"))
    return first_stated(found, columns.raw.num_rows)


def _numpy(array: pa.Array) -> np.ndarray:
    return array.to_numpy(zero_copy_only=False)


def _nulls(array: pa.Array) -> np.ndarray:
    """Which values are null, as booleans."""
    if array.null_count == 0:
        return np.zeros(len(array), bool)
    return _numpy(array.is_null())
