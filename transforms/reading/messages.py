"""Raw columns to messages, and to the participants who have sent them. Pure; no Beam."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.batches import (
    MESSAGES,
    NEVER_COUNTED,
    NO_SEQUENCE,
    PARTICIPANTS,
    UNASSIGNED,
    add_count,
)
from transforms.instants import SECOND_US
from transforms.reading import id_columns, timestamps, values
from transforms.reading.columns import Columns, RawBatch, first_stated, no_codes, nulls
from transforms.reading.fates import Fates, Normalized
from transforms.reading.lookups import NOTHING_GIVEN, Given
from transforms.reading.names import ColumnNames
from transforms.reading.words import MESSAGE_ENTRY_TYPES, NO_SENDER, by_code, one_of, senders_of


def normalize_messages(
    raw: RawBatch, names: ColumnNames, source: str, given: Given = NOTHING_GIVEN
) -> Normalized:
    """Makes messages of raw rows.

    A row that was deleted, whose entry is no message, or whose sender is never counted, is skipped
    before anything else of it is looked at. Order of rows is kept.

    Args:
      raw: the rows as read.
      names: the names of the columns.
      source: the file, for the rejects.
      given: the roles of participants, and the time zone.

    Returns:
      A batch of layout `MESSAGES` and one of layout `UNASSIGNED`, of the rows that name only their
      conversation; rejects; counts `messages_read`, `messages_skipped_<reason>`,
      `messages_rejected_<reason>` and `assigned_by_session_id`, how many name their session.
    """
    columns = Columns(raw, names)
    fates = Fates("messages", raw, source)
    deleted, deleted_stated = columns.deleted()
    fates.skip("deleted", deleted)
    entry_type = columns.codes("entry_type")
    other = one_of(MESSAGE_ENTRY_TYPES, entry_type.dictionary).is_null()
    if pc.any(other).as_py():
        skipped = other.take(entry_type.indices).fill_null(False)
        fates.skip("entry_type", skipped.to_numpy(zero_copy_only=False))

    role, participant = columns.codes("sender_role"), columns.codes("participant_id")
    sender = senders_of(role)
    if role.null_count and participant.null_count < len(participant):
        who = id_columns.to_comparable_ids(participant)
        stated = by_code(given.lookups.senders.find(who.dictionary), who)
        sender = np.where(nulls(role), stated, sender)
    fates.skip("role", sender == NEVER_COUNTED)

    session_id, conversation_id = _session_and_conversation(columns)
    message_id = id_columns.trimmed(columns.text("message_id"))
    sent_at, sent_at_stated = _sent_at(columns, given.time_zone)
    sequence, sequence_stated = columns.parsed("sequence", values.to_integers)

    fates.reject("deleted_invalid", deleted_stated)
    no_session = nulls(session_id)
    if session_id.null_count:
        fates.reject("session_id_missing", no_session & nulls(conversation_id))
    fates.reject("message_id_missing", nulls(message_id))
    fates.reject("sent_at_missing", nulls(sent_at_stated))
    fates.reject("sent_at_invalid", nulls(sent_at), sent_at_stated)
    fates.reject("sender_role_missing", nulls(role) & (sender == NO_SENDER), participant)
    fates.reject("sender_role_unknown", sender == NO_SENDER, role)
    fates.reject("sequence_invalid", nulls(sequence) & ~nulls(sequence_stated), sequence_stated)

    found = {
        "session_id": session_id,
        "conversation_id": conversation_id,
        "message_id": message_id,
        "sent_at_us": sent_at,
        "sequence": sequence.fill_null(NO_SEQUENCE),
        "sender": pa.array(sender, pa.int8()),
    }
    batches = [fates.kept(found, MESSAGES, ~no_session)]
    if session_id.null_count:
        batches.append(fates.kept(found, UNASSIGNED, no_session))
    add_count(fates.counts, "assigned_by_session_id", len(batches[0]))
    return Normalized(batches, fates.rejects(session_id, message_id), fates.counts)


def normalize_participants(raw: RawBatch, names: ColumnNames, source: str) -> Normalized:
    """Makes participants of raw rows; a participant without a role is left out.

    Args:
      raw: the rows as read.
      names: the names of the columns.
      source: the file, for the rejects.

    Returns:
      A batch of layout `PARTICIPANTS`; rejects; counts `participants_read` and
      `participants_rejected_<reason>`.
    """
    columns = Columns(raw, names)
    fates = Fates("participants", raw, source)
    participant = id_columns.to_comparable_ids(columns.codes("participant_id")).cast(pa.string())
    role = columns.codes("sender_role")
    sender = senders_of(role)
    fates.reject("participant_id_missing", nulls(participant))
    fates.reject("sender_role_unknown", (sender == NO_SENDER) & ~nulls(role), role)
    found = {"participant_id": participant, "sender": pa.array(sender, pa.int8())}
    batch = fates.kept(found, PARTICIPANTS, ~nulls(role))
    return Normalized([batch], fates.rejects(), fates.counts)


def _sent_at(columns: Columns, zone: str | None) -> tuple[pa.Array, pa.Array]:
    """When each message was sent, and what its row states; see `columns.first_stated`.

    `EntryTime` has whole seconds, `EntryTimeMilliSecs` beside it the milliseconds within the second: they
    are added to every instant of whole seconds.
    """

    def parse(array: pa.Array) -> pa.Array:
        instant = timestamps.to_instants(array, zone)
        if not columns.pick("sent_at_ms"):
            return instant
        millis = columns.first("sent_at_ms", values.to_integers).fill_null(0)
        possible = pc.and_(pc.greater(millis, 0), pc.less(millis, 1000))
        whole = pc.equal(pc.multiply(pc.divide(instant, SECOND_US), SECOND_US), instant)
        more = pc.if_else(pc.and_(whole, possible), pc.multiply(millis, 1000), 0)
        return pc.add(instant, more)

    found = ((array, parse(array)) for array in columns.pick("sent_at"))
    return first_stated(found, columns.raw.num_rows)


def _session_and_conversation(columns: Columns) -> tuple[pa.DictionaryArray, pa.DictionaryArray]:
    """The session that each message names, and the conversation; either may be null.

    A column for the conversation may hold the id of a session: the value decides, not the name.
    """
    session_id = id_columns.to_session_ids(columns.codes("session_id"))
    conversation_id = no_codes(columns.raw.num_rows)
    for array in columns.pick("conversation_id"):
        if session_id.null_count == 0:
            break
        found = values.to_codes(array)
        of_session = id_columns.is_of_session(found.dictionary)
        if pc.any(of_session).as_py():
            session_id = _either(session_id, id_columns.to_session_ids(_only(found, of_session)))
        if not pc.all(of_session).as_py():
            others = _only(found, pc.invert(of_session))
            conversation_id = _either(conversation_id, id_columns.to_comparable_ids(others))
    return session_id, conversation_id


def _only(column: pa.DictionaryArray, where: pa.BooleanArray) -> pa.DictionaryArray:
    """The values whose place in the dictionary is among those asked for; null in place of the rest."""
    if pc.all(where).as_py():
        return column
    codes = pa.array(
        np.arange(len(where), dtype=np.int32), mask=~where.to_numpy(zero_copy_only=False)
    )
    return pa.DictionaryArray.from_arrays(codes.take(column.indices), column.dictionary)


def _either(first: pa.DictionaryArray, second: pa.DictionaryArray) -> pa.DictionaryArray:
    """The first value of each row, else the second."""
    if first.null_count == 0 or second.null_count == len(second):
        return first
    if first.null_count == len(first):
        return second
    return pc.coalesce(first.cast(pa.string()), second.cast(pa.string())).dictionary_encode()
