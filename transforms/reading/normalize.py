"""Raw columns to canonical batches, rejects and counts. Pure; no Beam."""

from collections.abc import Callable, Iterable, Mapping

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
from transforms.reading import values
from transforms.reading.columns import ColumnNames, RawBatch
from transforms.reading.fates import Fates, Normalized

SENDERS = {"EndUser": END_USER, "Agent": AGENT, "Bot": BOT, "Chatbot": BOT, "AiAgent": BOT}

NEVER_COUNTED = ("System", "Supervisor", "Router")

MESSAGE_ENTRY_TYPES = ("Text", "Message", "MESSAGE")

_NEVER_COUNTED, _UNKNOWN_SENDER = 3, 4

_INSTANTS = ("started_at", "ended_at", "created_at", "modified_at", "accepted_at", "routed_at")


_PARSERS: Mapping[pa.DataType, Callable[[pa.Array], pa.Array]] = {
    pa.int64(): values.to_integers,
    pa.bool_(): values.to_booleans,
    pa.timestamp("us", "UTC"): values.to_instants,
}


def normalize_messages(raw: RawBatch, names: ColumnNames, source: str) -> Normalized:
    """Makes messages of raw rows.

    An entry that is no message, and a sender who is never counted, is skipped before anything else of
    the row is looked at. Order of rows is kept.

    Args:
      raw: the rows as read.
      names: where the columns are.
      source: the file, for the rejects.

    Returns:
      A batch of schema `MESSAGES`; rejects; counts `messages_read`, `messages_skipped_entry_type`,
      `messages_skipped_role` and `messages_rejected_<reason>`.
    """
    check = Fates("messages", raw, source)
    entry_type = _codes(raw, names, "entry_type")
    known = pc.is_in(entry_type.dictionary, pa.array(MESSAGE_ENTRY_TYPES))
    if not pc.all(known).as_py():
        check.skip("entry_type", ~_numpy(known.take(entry_type.indices).fill_null(True)))

    role = _codes(raw, names, "sender_role")
    senders = np.array(
        [
            SENDERS.get(name, _NEVER_COUNTED if name in NEVER_COUNTED else _UNKNOWN_SENDER)
            for name in role.dictionary.to_pylist()
        ]
        + [_UNKNOWN_SENDER],  # what a null's index is filled with
        np.int8,
    )
    sender = senders[_numpy(role.indices.fill_null(len(role.dictionary)))]
    check.skip("role", sender == _NEVER_COUNTED)

    session_id = values.to_session_ids(_codes(raw, names, "session_id"))
    message_id = _first(raw, names, "message_id", values.to_text)
    sent_at, sent_at_stated = _sent_at(raw, names)
    sequence, sequence_stated = _parsed(raw, names, "sequence", values.to_integers)

    check.reject("session_id_missing", nulls(session_id))
    check.reject("message_id_missing", nulls(message_id))
    check.reject("sent_at_missing", nulls(sent_at_stated))
    check.reject("sent_at_invalid", nulls(sent_at), sent_at_stated)
    check.reject("sender_role_missing", nulls(role))
    check.reject("sender_role_unknown", sender == _UNKNOWN_SENDER, role)
    check.reject("sequence_invalid", nulls(sequence) & ~nulls(sequence_stated), sequence_stated)

    batch = pa.RecordBatch.from_arrays(
        [session_id, message_id, sent_at, sequence.fill_null(NO_SEQUENCE), pa.array(sender)],
        schema=pa.schema([field.with_nullable(True) for field in MESSAGES]),
    )
    return check.result(batch, MESSAGES, session_id, message_id)


def normalize_sessions(
    raw: RawBatch,
    names: ColumnNames,
    source: str,
    channel_platforms: Mapping[str, str] | None = None,
    assume_platform: str | None = None,
) -> Normalized:
    """Makes sessions of raw rows.

    An In-App or Web channel (`EmbeddedMessaging`) is always an enhanced one. Any other session's
    platform is its own, else that of its channel, else the assumed one; where nobody states it the
    row is a reject.

    Args:
      raw: the rows as read.
      names: where the columns are.
      source: the file, for the rejects.
      channel_platforms: platform type by channel id.
      assume_platform: `Enhanced`, `Standard`, or None.

    Returns:
      A batch of schema `SESSIONS`, `created_at_us` filled from `started_at_us` where it is null;
      rejects; counts `sessions_read` and `sessions_rejected_<reason>`.
    """
    check = Fates("sessions", raw, source)
    session_id = values.to_session_ids(_codes(raw, names, "session_id"))
    status = _first(raw, names, "status", values.to_text)
    channel_type = _first(raw, names, "channel_type", values.to_text)
    platform = _first(raw, names, "platform_type", values.to_text)
    if channel_platforms:
        channel = _first(raw, names, "channel_id", values.to_text)
        index = pc.index_in(channel, pa.array(list(channel_platforms), pa.string()))
        stated = pa.array(list(channel_platforms.values()), pa.string()).take(index)
        platform = pc.coalesce(platform, stated)
    embedded = pc.if_else(
        pc.equal(channel_type, "EmbeddedMessaging"), "Enhanced", pa.scalar(None, pa.string())
    )
    platform = pc.coalesce(embedded, platform, pa.scalar(assume_platform, pa.string()))

    check.reject("session_id_missing", nulls(session_id))
    check.reject("status_missing", nulls(status))
    instants = {}
    for column in _INSTANTS:
        instants[column], stated = _parsed(raw, names, column, values.to_instants)
        unclear = nulls(instants[column]) & ~nulls(stated)
        check.reject(f"{column}_invalid", unclear, stated)
    check.reject("platform_unknown", nulls(platform))

    batch = pa.RecordBatch.from_arrays(
        [
            session_id,
            status,
            channel_type,
            platform,
            instants["started_at"],
            instants["ended_at"],
            pc.coalesce(instants["created_at"], instants["started_at"]),
            instants["modified_at"],
            instants["accepted_at"],
            instants["routed_at"],
        ],
        schema=pa.schema([field.with_nullable(True) for field in SESSIONS]),
    )
    return check.result(batch, SESSIONS, session_id)


def normalize_channels(
    raw: RawBatch, names: ColumnNames, source: str
) -> tuple[dict[str, str], list[Reject], Counts]:
    """Makes a table of platform type by channel id; a channel without a platform states nothing."""
    check = Fates("channels", raw, source)
    channel = _first(raw, names, "channel_id", values.to_text)
    platform = _first(raw, names, "platform_type", values.to_text)
    check.reject("channel_id_missing", nulls(channel))
    pairs = zip(channel.to_pylist(), platform.to_pylist(), strict=True)
    return {c: p for c, p in pairs if c and p}, check.rejects(), check.counts


def normalize_records(raw: RawBatch, names: ColumnNames, source: str) -> Normalized:
    """Makes Salesforce's own records of raw rows.

    A record of a type that there is not is skipped before anything else of the row is looked at.

    Args:
      raw: the rows as read.
      names: where the columns are.
      source: the file, for the rejects.

    Returns:
      A batch of schema `RECORDS`; rejects; counts `records_read`, `records_skipped_metric_type` and
      `records_rejected_<reason>`.
    """
    check = Fates("records", raw, source)
    named = _codes(raw, names, "metric_type")
    known = pc.index_in(named.dictionary, pa.array(metric_types())).cast(pa.int8())
    metric_type = known.take(named.indices)
    check.skip("metric_type", nulls(metric_type) & ~nulls(named))

    session_id = values.to_session_ids(_codes(raw, names, "session_id"))
    value, stated = _parsed(raw, names, "metric_value", values.to_integers)
    possible = pc.and_(pc.greater_equal(value, 0), pc.less_equal(value, MAX_VALUE))

    check.reject("session_id_missing", nulls(session_id))
    check.reject("metric_type_missing", nulls(named))
    check.reject("metric_value_missing", nulls(stated))
    check.reject("metric_value_invalid", ~_numpy(possible.fill_null(False)), stated)

    batch = pa.RecordBatch.from_arrays(
        [session_id, metric_type, value],
        schema=pa.schema([field.with_nullable(True) for field in SALESFORCE_RECORDS]),
    )
    return check.result(batch, SALESFORCE_RECORDS, session_id)


def normalize_summaries(raw: RawBatch, names: ColumnNames, source: str) -> Normalized:
    """Makes a batch of summaries of schema `SUMMARIES`; counts `summaries_read` and those rejected.

    A value is rejected as `<column>_invalid` where it is of another type or negative, as
    `<column>_missing` where there must be one.
    """
    check = Fates("summaries", raw, source)
    columns = []
    for field in SUMMARIES:
        if pa.types.is_string(field.type):
            column = _first(raw, names, field.name, values.to_text)
        else:
            column, stated = _parsed(raw, names, field.name, _PARSERS[field.type])
            if pa.types.is_int64(field.type):
                column = pc.if_else(pc.less(column, 0), pa.scalar(None, pa.int64()), column)
            check.reject(f"{field.name}_invalid", nulls(column) & ~nulls(stated), stated)
        if not field.nullable:
            check.reject(f"{field.name}_missing", nulls(column))
        columns.append(column.cast(field.type))
    schema = pa.schema([field.with_nullable(True) for field in SUMMARIES])
    batch = pa.RecordBatch.from_arrays(columns, schema=schema)
    return check.result(batch, SUMMARIES, columns[0])


def _first(
    raw: RawBatch, names: ColumnNames, column: str, parse: Callable[[pa.Array], pa.Array]
) -> pa.Array:
    """The column's value in each row: the first of its names that has one."""
    found = [parse(array) for _, array in names.pick(raw, column)]
    if not found:
        return pa.nulls(raw.num_rows, parse(pa.array([], pa.string())).type)
    if found[0].null_count == 0 or len(found) == 1:
        return found[0]
    return pc.coalesce(*found)


def _understood(
    columns: Iterable[tuple[pa.Array, pa.Array]], num_rows: int
) -> tuple[pa.Array, pa.Array]:
    """What is understood of a column and what is stated, from pairs of a column as read and parsed.

    A row's value is the first that is stated; one that can't be understood is a reject, no reason to
    look further.
    """
    value = stated = pa.nulls(num_rows, pa.int64())
    for array, parsed in columns:
        # Of values that are all understood no text is made.
        shown = array if array.null_count == parsed.null_count else values.to_text(array)
        if stated.null_count == num_rows:
            value, stated = parsed, shown
        else:
            value = pc.if_else(pc.is_null(stated), parsed, value)
            stated = pc.coalesce(values.to_text(stated), values.to_text(shown))
        if stated.null_count == 0:
            break
    return value, stated


def _parsed(
    raw: RawBatch, names: ColumnNames, column: str, parse: Callable[[pa.Array], pa.Array]
) -> tuple[pa.Array, pa.Array]:
    """The column's value in each row, and what the row states."""
    found = ((array, parse(array)) for _, array in names.pick(raw, column))
    return _understood(found, raw.num_rows)


def _codes(raw: RawBatch, names: ColumnNames, column: str) -> pa.DictionaryArray:
    """As `_first`, of text, as a dictionary array; one that was read as such keeps its codes."""
    found = names.pick(raw, column)
    if len(found) == 1:
        return values.to_codes(found[0][1])
    return _first(raw, names, column, values.to_text).dictionary_encode()


def _sent_at(raw: RawBatch, names: ColumnNames) -> tuple[pa.Array, pa.Array]:
    """As `_parsed`; `EntryTime` has whole seconds, `EntryTimeMilliSecs` has the rest."""

    def parse(name: str, array: pa.Array) -> pa.Array:
        instant = values.to_instants(array)
        if name != "EntryTime":
            return instant
        millis = _first(raw, names, "sent_at_ms", values.to_integers).fill_null(0)
        whole = pc.and_(
            pc.equal(pc.multiply(pc.divide(instant, 1_000_000), 1_000_000), instant),
            pc.and_(pc.greater_equal(millis, 0), pc.less(millis, 1000)),
        )
        return pc.if_else(whole, pc.add(instant, pc.multiply(millis, 1000)), instant)

    found = ((array, parse(name, array)) for name, array in names.pick(raw, "sent_at"))
    return _understood(found, raw.num_rows)


def _numpy(array: pa.Array) -> np.ndarray:
    return array.to_numpy(zero_copy_only=False)


def nulls(array: pa.Array) -> np.ndarray:
    """Which values are null, as booleans."""
    if array.null_count == 0:
        return np.zeros(len(array), bool)
    return _numpy(array.is_null())
