"""Raw columns to sessions, and to the channels that they came by. Pure; no Beam."""

import functools

import pyarrow as pa
import pyarrow.compute as pc

from transforms.batches import CHANNELS, PLATFORMS, SESSIONS, SIDES
from transforms.reading import id_columns, timestamps, values
from transforms.reading.columns import Columns, RawBatch, nulls
from transforms.reading.fates import SESSION_INSTANTS, Fates, Normalized
from transforms.reading.lookups import NOTHING_GIVEN, Given
from transforms.reading.names import ColumnNames
from transforms.reading.words import EMBEDDED, STATUSES, one_of


def normalize_sessions(
    raw: RawBatch, names: ColumnNames, source: str, given: Given = NOTHING_GIVEN
) -> Normalized:
    """Makes sessions of raw rows.

    An In-App or Web channel (`EmbeddedMessaging`) is always an enhanced one. Any other session's
    platform is its own, else its channel's, else the assumed one; a session without any is a reject.

    Args:
      raw: the rows as read.
      names: the names of the columns.
      source: the file, for the rejects.
      given: the platforms of channels, the assumed platform, and the time zone.

    Returns:
      A batch of layout `SESSIONS`, `created_at_us` filled from `started_at_us` where it is null;
      rejects; counts `sessions_read` and `sessions_rejected_<reason>`.
    """
    columns = Columns(raw, names)
    fates = Fates("sessions", raw, source)
    session_id = id_columns.to_session_ids(columns.codes("session_id"))
    deleted, deleted_stated = columns.deleted()
    status_stated, channel_type = columns.codes("status"), columns.codes("channel_type")
    status = one_of(STATUSES, status_stated)
    platform, platform_stated = _platform(columns, channel_type, given)

    fates.reject("session_id_missing", nulls(session_id))
    fates.reject("deleted_invalid", deleted_stated)
    fates.reject("status_missing", nulls(status_stated))
    fates.reject("status_unknown", nulls(status), status_stated)
    found = {
        "session_id": session_id,
        **{name: _ids(columns, name) for name in ("conversation_id", "conversation_identifier")},
        "deleted": pa.array(deleted),
        "status": status,
        "channel_type": _texts(channel_type),
        "platform_type": platform,
    }
    to_instants = functools.partial(timestamps.to_instants, zone=given.time_zone)
    for column in SESSION_INSTANTS:
        instant, stated = columns.parsed(column, to_instants)
        fates.reject(f"{column}_invalid", nulls(instant) & ~nulls(stated), stated)
        found[f"{column}_us"] = instant
    for side in SIDES:
        count, stated = columns.parsed(f"{side}_message_count", values.to_integers)
        wrong = nulls(count) & ~nulls(stated)
        fates.reject(f"{side}_message_count_invalid", wrong, stated)
        found[f"{side}_message_count"] = count
    fates.reject("platform_unknown", nulls(platform), platform_stated)
    found["created_at_us"] = pc.coalesce(found["created_at_us"], found["started_at_us"])
    return fates.result(found, SESSIONS, session_id)


def _platform(
    columns: Columns, channel_type: pa.DictionaryArray, given: Given
) -> tuple[pa.Array, pa.Array]:
    """The platform of each session, and what its own row states."""
    stated = columns.codes("platform_type")
    platform = one_of(PLATFORMS, stated)
    channel = id_columns.to_comparable_ids(columns.codes("channel_id"))
    if channel.null_count < len(channel):
        found = given.lookups.platforms.find(channel.dictionary)
        of_channel = pa.array(PLATFORMS).take(found).take(channel.indices)
        platform = pc.if_else(stated.is_null(), of_channel, platform)
    assumed = pa.scalar(given.assume_platform, pa.string())
    platform = pc.if_else(stated.is_null(), pc.coalesce(platform, assumed), platform)
    embedded = pc.equal(one_of((EMBEDDED,), channel_type), EMBEDDED).fill_null(False)
    return pc.if_else(embedded, PLATFORMS[0], platform), stated


def normalize_channels(raw: RawBatch, names: ColumnNames, source: str) -> Normalized:
    """Makes channels of raw rows; a channel without a platform is left out.

    Args:
      raw: the rows as read.
      names: the names of the columns.
      source: the file, for the rejects.

    Returns:
      A batch of layout `CHANNELS`; rejects; counts `channels_read` and `channels_rejected_<reason>`.
    """
    columns = Columns(raw, names)
    fates = Fates("channels", raw, source)
    channel = _ids(columns, "channel_id")
    stated = columns.codes("platform_type")
    platform = pc.index_in(one_of(PLATFORMS, stated), pa.array(PLATFORMS)).cast(pa.int8())
    fates.reject("channel_id_missing", nulls(channel))
    fates.reject("platform_unknown", nulls(platform) & ~nulls(stated), stated)
    batch = fates.kept({"channel_id": channel, "platform": platform}, CHANNELS, ~nulls(stated))
    return Normalized([batch], fates.rejects(), fates.counts)


def _ids(columns: Columns, name: str) -> pa.StringArray:
    """The ids in a column, as they are compared."""
    if not columns.pick(name):
        return pa.nulls(columns.raw.num_rows, pa.string())
    return _texts(id_columns.to_comparable_ids(columns.codes(name)))


def _texts(column: pa.DictionaryArray) -> pa.StringArray:
    return column.cast(pa.string())
