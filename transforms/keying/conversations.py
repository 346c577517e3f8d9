"""Which session of its conversation a message belongs to. Pure functions over arrays; no Beam.

The rule is of docs/decisions.md, "Which session a message belongs to". The sessions of a conversation
stand in the order of their starts, those of one start by id. For a message it is

* *by time*: the last session that had begun and not ended;
* else, *as opening* it, the next one, if it begins within the lead: a message that opens a session is
  received before the session's record is made;
* else, *as late*, the last one that had begun;
* else none.

With a lead of 60 s, the sessions A from 100 to 200 s and B from 300 s on, which is open:

    sent at     30      40       200    230     240       300    900
    session     none    A        A      A       B         B      B
    how         -       opening  time   late    opening   time   time
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.batches import (
    BY_TIME,
    ID,
    MESSAGES,
    SESSION_ID_PREFIX,
    SESSIONS,
    Counts,
    add_count,
    kind_of,
)
from transforms.ids import comparable
from transforms.instants import end_of_second
from transforms.keying.narrowing import (
    concat_message_ids,
    concat_sessions,
    instants_of,
    sequences_of,
)
from transforms.keying.snapshots import newest_snapshots
from transforms.plumbing.dictionaries import numbers_of, one_batch

Int64s = NDArray[np.int64]

HOW = ("by_time", "as_opening", "as_late", "to_none")
IN_TIME, AS_OPENING, AS_LATE, TO_NONE = range(len(HOW))

KEY = "key"
"""The column by which sessions are keyed: an id of the conversation, or the session's own."""

_KEYED = pa.schema(
    [
        pa.field(KEY, ID, nullable=False),
        *(f.with_type(pa.string()) if f.name == "session_id" else f for f in SESSIONS),
    ]
)

_EVER, _NEVER = np.iinfo(np.int64).min, np.iinfo(np.int64).max


def of_conversations(sessions: pa.RecordBatch) -> pa.RecordBatch:
    """The sessions with any id that a message may have for their conversation; see `by_conversation`.

    Args:
      sessions: of layout `batches.SESSIONS`.
    """
    session_id = sessions.column("session_id")
    own = pc.invert(pc.starts_with(session_id.dictionary, SESSION_ID_PREFIX))
    found = own.take(session_id.indices)
    for column in ("conversation_id", "conversation_identifier"):
        found = pc.or_(found, sessions.column(column).is_valid())
    return sessions.filter(found)


def by_conversation(sessions: pa.RecordBatch) -> pa.RecordBatch:
    """Sessions with each id that a message may have for their conversation, a row for each.

        session_id    conversation_id       conversation_identifier
        0Mw1          0dw1                  8a1d

        key     session_id ...
        0dw1    0Mw1
        8a1d    0Mw1

    A session's own id is one of them, unless it is an id of Salesforce: messages with that name their
    session.

    Args:
      sessions: of layout `batches.SESSIONS`, whole or narrowed.

    Returns:
      A batch whose first column is `key`, a dictionary; the others are those of `batches.SESSIONS`, with
      the ids as plain texts.
    """
    sessions = one_batch(concat_sessions([sessions]))
    session_id = sessions.column("session_id").cast(pa.string())
    # A dictionary would go whole with each piece that the batch is cut into.
    place = sessions.schema.get_field_index("session_id")
    sessions = sessions.set_column(place, "session_id", session_id)
    own = pc.if_else(
        pc.starts_with(session_id, SESSION_ID_PREFIX), pa.scalar(None, pa.string()), session_id
    )
    found = [own, sessions.column("conversation_id"), sessions.column("conversation_identifier")]
    rows = [np.flatnonzero(column.is_valid()) for column in found]
    keys = pa.concat_arrays([comparable(found[0].drop_null()), *(c.drop_null() for c in found[1:])])
    taken = sessions.take(pa.array(np.concatenate(rows)))
    return pa.RecordBatch.from_arrays([keys.dictionary_encode(), *taken.columns], schema=_KEYED)


class Spans(NamedTuple):
    """The sessions of many conversations, in the order of conversation, start and id.

    Attributes:
      edges: shape (conversations + 1,): the sessions of conversation i are those from `edges[i]` to
        before `edges[i + 1]`.
      begins_us: shape (sessions,), when each begins.
      lasts_us: shape (sessions,), the last microsecond of each.
    """

    edges: Int64s
    begins_us: Int64s
    lasts_us: Int64s


def find_sessions(
    conversation: NDArray[np.integer], sent_at_us: Int64s, spans: Spans, lead_us: int
) -> tuple[Int64s, NDArray[np.int8]]:
    """Finds the session of each message.

    >>> spans = Spans(np.array([0, 2]), np.array([100, 300]), np.array([200, _NEVER]))
    >>> sent_at_us = np.array([30, 40, 200, 230, 240, 300, 900])
    >>> session, how = find_sessions(np.zeros(7, np.int64), sent_at_us, spans, lead_us=60)
    >>> session
    array([-1,  0,  0,  0,  1,  1,  1])
    >>> [HOW[code] for code in how.tolist()]
    ['to_none', 'as_opening', 'by_time', 'as_late', 'as_opening', 'by_time', 'by_time']

    Args:
      conversation: shape (messages,), the number of the conversation; -1 if it has no sessions.
      sent_at_us: shape (messages,).
      spans: the sessions.
      lead_us: how long before its session a message may be that opened it.

    Returns:
      For each message the number of its session, -1 if there is none, and how it was found, an index
      of `HOW`.
    """
    edges = np.append(spans.edges, spans.edges[-1])
    first, end = edges.take(conversation), edges.take(conversation + 1)
    first = np.where(conversation < 0, end, first)
    after = _count_begun(first, end, sent_at_us, spans.begins_us)
    begun = np.flatnonzero(after > first)

    session = np.full(len(sent_at_us), -1)
    how = np.full(len(sent_at_us), TO_NONE, np.int8)
    session[begun], how[begun] = after[begun] - 1, AS_LATE
    in_time = begun[spans.lasts_us.take(session[begun]) >= sent_at_us[begun]]
    how[in_time] = IN_TIME
    rest = np.flatnonzero(how == AS_LATE)
    if len(rest):
        open_ = _last_that_lasts(session[rest], first[rest], sent_at_us[rest], spans.lasts_us)
        found = open_ >= 0
        session[rest[found]], how[rest[found]] = open_[found], IN_TIME
    rest = np.flatnonzero((how != IN_TIME) & (after < end))
    if len(rest):
        following = after[rest]
        opens = spans.begins_us.take(following) - sent_at_us[rest] <= lead_us
        session[rest[opens]], how[rest[opens]] = following[opens], AS_OPENING
    return session, how


def _count_begun(first: Int64s, end: Int64s, sent_at_us: Int64s, begins_us: Int64s) -> Int64s:
    """Behind the last session that had begun, by a binary search in each message's conversation."""
    low, high = first.copy(), end.copy()
    for _ in range(int((end - first).max(initial=0)).bit_length()):
        middle = (low + high) >> 1
        is_open = low < high
        begun = is_open & (begins_us.take(middle, mode="clip") <= sent_at_us)
        high = np.where(is_open & ~begun, middle, high)
        low = np.where(begun, middle + 1, low)
    return low


def _last_that_lasts(
    session: Int64s, first: Int64s, sent_at_us: Int64s, lasts_us: Int64s
) -> Int64s:
    """The last session, from `session` back to `first`, that had not ended; -1 if all had.

    Steps back by 8, 4, 2 and 1 sessions, each time if none of these had lasted. The longest of 2^k
    sessions is known for each place.
    """
    place, longest = session.copy(), [lasts_us]
    steps = int((session - first).max(initial=0) + 1).bit_length()
    for level in range(1, steps):
        before, half = longest[-1], 1 << (level - 1)
        longer = before.copy()
        np.maximum(before[half:], before[:-half], out=longer[half:])
        longest.append(longer)
    for level in reversed(range(steps)):
        ended = (place >= first) & (longest[level].take(place, mode="clip") < sent_at_us)
        place = np.where(ended, place - (1 << level), place)
    return np.where(place >= first, place, -1)


def assign_shard(
    batches: Sequence[pa.RecordBatch], lead_us: int
) -> tuple[pa.RecordBatch | None, Counts]:
    """Gives the messages of some conversations their sessions.

    Args:
      batches: all messages (of layout `batches.UNASSIGNED`, whole or narrowed) and all sessions
        (`by_conversation`, whole or narrowed) of these conversations, in any order.
      lead_us: as for `find_sessions`.

    Returns:
      The messages that have a session, of layout `batches.MESSAGES`, narrowed, with the column
      `by_time`; None if there are none. Counts `assigned_...` of how sessions were found, and
      `messages_of_unknown_session`.
    """
    messages = [batch for batch in batches if kind_of(batch) == "unassigned"]
    sessions = [batch for batch in batches if kind_of(batch) == "sessions"]
    counts: Counts = {}
    if not messages:
        return None, counts
    keys, session_ids, spans = _spans_of(sessions)
    conversation = numbers_of(
        [batch.column(0) for batch in messages], lambda ids: pc.index_in(ids, keys).fill_null(-1)
    )
    sent_at_us = np.concatenate([instants_of(batch) for batch in messages])
    session, how = find_sessions(conversation, sent_at_us, spans, lead_us)
    for name, number in zip(HOW, np.bincount(how, minlength=len(HOW)), strict=True):
        add_count(counts, f"assigned_{name}", number)
    add_count(counts, "messages_of_unknown_session", np.count_nonzero(how == TO_NONE))

    rows = np.flatnonzero(session >= 0)
    if not len(rows):
        return None, counts
    codes = pa.array(session[rows].astype(np.int32))
    columns = {
        "session_id": pa.DictionaryArray.from_arrays(codes, session_ids),
        "message_id": concat_message_ids(messages).take(pa.array(rows)),
        "sent_at_us": pa.array(sent_at_us[rows]),
        "sender": pa.array(np.concatenate([b.column("sender").to_numpy() for b in messages])[rows]),
        BY_TIME.name: pa.array(np.ones(len(rows), bool)),
    }
    if any("sequence" in batch.schema.names for batch in messages):
        columns["sequence"] = pa.array(
            np.concatenate([sequences_of(batch) for batch in messages])[rows]
        )
    schema = pa.schema(
        [
            field.with_type(columns[field.name].type)
            for field in (*MESSAGES, BY_TIME)
            if field.name in columns
        ]
    )
    return pa.RecordBatch.from_arrays(
        [columns[name] for name in schema.names], schema=schema
    ), counts


def _spans_of(sessions: Sequence[pa.RecordBatch]) -> tuple[pa.Array, pa.Array, Spans]:
    """The conversations that have sessions, each once; the ids of the sessions; their spans."""
    if not sessions:
        nothing = np.zeros(0, np.int64)
        return (
            pa.array([], pa.string()),
            pa.array([], pa.string()),
            Spans(np.zeros(1, np.int64), nothing, nothing),
        )
    table = concat_sessions(sessions, _KEYED)
    table = table.set_column(0, KEY, table.column(KEY).cast(pa.string()))
    newest = table.take(newest_snapshots(table, (KEY, "session_id")))
    newest = newest.filter(pc.invert(newest["deleted"])).combine_chunks()
    encoded = newest[KEY].combine_chunks().dictionary_encode()
    begins_us = _known(pc.coalesce(newest["started_at_us"], newest["created_at_us"]), _EVER)
    # An open session lasts for ever, to which no second can be added.
    ended_us = _known(newest["ended_at_us"], _NEVER)
    lasts_us = np.where(ended_us == _NEVER, _NEVER, end_of_second(ended_us))
    # Sorted by key and id so far: the stable sort keeps the ids of one start in order.
    codes = encoded.indices.to_numpy()
    order = np.lexsort((begins_us, codes))
    numbers = np.bincount(codes, minlength=len(encoded.dictionary))
    spans = Spans(np.append(0, np.cumsum(numbers)), begins_us[order], lasts_us[order])
    return encoded.dictionary, newest["session_id"].combine_chunks().take(pa.array(order)), spans


def _known(column: pa.ChunkedArray, otherwise: int) -> Int64s:
    return column.fill_null(otherwise).to_numpy()
