"""Which session a message belongs to: the rule, session by session, and inputs to try it on.

Plain Python, straight from the words of the rule. Shares no code with the project.
"""

import re
from collections.abc import Sequence
from math import inf
from typing import NamedTuple, TypeVar

import hypothesis.strategies as st

SECOND_US = 1_000_000
# An instant with the digits of a real one: 2024-10-02T12:00:00Z.
NOON_US = 1_727_870_400 * SECOND_US

Item = TypeVar("Item")


class Entry(NamedTuple):
    """A message, and what it says of where it belongs."""

    session_id: str | None
    conversation_id: str | None
    message_id: str
    sent_at_us: int
    role: str = "EndUser"


class Snapshot(NamedTuple):
    """One row of a session: there may be several, of which the newest holds."""

    session_id: str
    conversation_id: str | None = None
    conversation_identifier: str | None = None
    started_at_us: int | None = None
    created_at_us: int | None = None
    ended_at_us: int | None = None
    modified_at_us: int | None = None
    status: str = "Ended"
    deleted: bool = False


def assign(message: Entry, sessions: list[Snapshot], lead_us: int) -> tuple[str | None, str]:
    """The session of a message, and how it was found.

    Args:
        message: The message.
        sessions: All snapshots of all sessions, in any order.
        lead_us: How long before its session a message may be, in microseconds.

    Returns:
        The session's id as the project writes it, and one of

        * `session_id`: the message names it; whether there is such a session is not asked,
        * `time`: it had begun and not ended,
        * `opening`: it begins soon after the message,
        * `late`: it had begun and ended,
        * `none`: there is no such session, and no id.
    """
    if message.session_id is not None:
        return session_key(message.session_id), "session_id"
    if message.conversation_id is None:
        return None, "none"
    if message.conversation_id.startswith("0Mw"):
        return session_key(message.conversation_id), "session_id"

    conversation = comparable(message.conversation_id)
    at = message.sent_at_us
    within: list[tuple[float, str]] = []
    begun: list[tuple[float, str]] = []
    coming: list[tuple[float, str]] = []
    for session_id, session in newest_snapshots(sessions).items():
        names = (session.conversation_id, session.conversation_identifier, session.session_id)
        if session.deleted or conversation not in [comparable(n) for n in names if n is not None]:
            continue
        start = start_of(session)
        if start > at:
            coming.append((start, session_id))
        else:
            begun.append((start, session_id))
            if at <= end_of(session):
                within.append((start, session_id))

    if within:
        return max(within)[1], "time"
    if coming:
        start, session_id = min(coming)
        if start - at <= lead_us:
            return session_id, "opening"
    if begun:
        return max(begun)[1], "late"
    return None, "none"


def newest_snapshots(sessions: list[Snapshot]) -> dict[str, Snapshot]:
    """The newest snapshot of each session: the last modified, else the one that ended last."""
    newest: dict[str, Snapshot] = {}
    for session in sessions:
        session_id = session_key(session.session_id)
        if session_id not in newest or _age(session) > _age(newest[session_id]):
            newest[session_id] = session
    return newest


def _age(session: Snapshot) -> tuple[float, float]:
    """The greater, the newer. A snapshot that does not state an instant is older than any that does."""
    modified, ended = session.modified_at_us, session.ended_at_us
    return (-inf if modified is None else modified, -inf if ended is None else ended)


def start_of(session: Snapshot) -> float:
    """The first microsecond of a session."""
    if session.started_at_us is not None:
        return session.started_at_us
    if session.created_at_us is not None:
        return session.created_at_us
    return -inf


def end_of(session: Snapshot) -> float:
    """The last microsecond of a session."""
    if session.ended_at_us is None:
        return inf
    if session.ended_at_us % SECOND_US == 0:
        return session.ended_at_us + SECOND_US - 1
    return session.ended_at_us


def session_key(text: str) -> str:
    """A session's id as the project writes it."""
    return with_suffix(text) if text.startswith("0Mw") else text


def comparable(text: str) -> str:
    """The same text for ids that are alike, and for no others."""
    if re.fullmatch("[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", text):
        return text.lower()
    return with_suffix(text)


def with_suffix(text: str) -> str:
    """The 18 characters of a Salesforce id of 15; any other text as it is.

    The last three stand for a chunk of five each: bit i says that character i is a capital.
    """
    if not re.fullmatch("[0-9A-Za-z]{15}", text):
        return text
    suffix = ""
    for first in (0, 5, 10):
        number = sum(1 << i for i in range(5) if "A" <= text[first + i] <= "Z")
        suffix += "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[number]
    return text + suffix


# Conversations, each in all the spellings of its id that are alike. Some differ from another in the case
# of a letter, or in the last one.
CONVERSATIONS = [
    (
        "5c0de4ab-09f1-4a6e-b3d2-7e01fa5b9c8d",
        "5C0DE4AB-09F1-4A6E-B3D2-7E01FA5B9C8D",
        "5c0de4ab-09F1-4a6e-B3D2-7e01fa5b9C8d",
    ),
    ("0dwbb000007MGoT", "0dwbb000007MGoTAAW"),
    ("chat-a",),
    ("5c0de4ab-09f1-4a6e-b3d2-7e01fa5b9c8e", "5C0DE4AB-09F1-4A6E-B3D2-7E01FA5B9C8E"),
    ("0dwbb000007MGot", "0dwbb000007MGotAAG"),
    ("chat-A",),
]
# Sessions, likewise.
SESSIONS = [
    ("0Mwbb000007MGoT", "0Mwbb000007MGoTCAW"),
    ("0Mwbb000007MGot", "0Mwbb000007MGotCAG"),
    ("0MwZZ00000zzzzz", "0MwZZ00000zzzzz0AA"),
    ("session-1",),
    ("\u00e9",),
]
# A session's own id may be a conversation's. It is kept as it is: each spelling is a session.
_OWN_IDS = [(spelling,) for spellings in CONVERSATIONS for spelling in spellings]

_SESSION_IDS = [spelling for spellings in SESSIONS + _OWN_IDS for spelling in spellings]
_SALESFORCE_IDS = [spelling for spelling in _SESSION_IDS if spelling.startswith("0Mw")]
# What names a session's conversations: the one column, the other, both, or its own id at most.
_NAMED_BY = [(True, False), (False, True), (True, True), (False, False)]
_STATUSES = ["Ended", "Active", "New", "Consent", "Waiting", "Paused", "Inactive", "Error"]
_ROLES = ["EndUser", "Agent", "Bot"]
# Most messages are of the conversation of a session that is drawn for them.
_KINDS = [*["of the conversation"] * 7, "of any conversation", "of an id", "named"]
_FOUR_IN_FIVE = [True, True, True, True, False]


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[Entry], list[Snapshot], int]:
    """Messages, snapshots of sessions, and the lead in microseconds.

    Sessions share their instants and conversations, and messages lie on their edges. The snapshots of
    one session differ in `modified_at_us`, and name the same conversations; rows come in any order. No
    two messages have one id.
    """
    lead_us = _one(draw, [60 * SECOND_US, SECOND_US, 2_500_000, 0])
    step_us = _one(draw, [SECOND_US, SECOND_US // 2, 30 * SECOND_US])
    # Around the epoch an instant may be 0, or less.
    origin_us = _one(draw, [NOON_US, 0])
    # Few, so that sessions begin and end together.
    instants = [origin_us + step * step_us for step in range(-2, _one(draw, [6, 2]))]

    chosen = _some(draw, CONVERSATIONS, _one(draw, [1, 2]))
    own_ids = [*SESSIONS, *((spelling,) for spellings in chosen for spelling in spellings)]
    own_ids += [own for own in [_one(draw, _OWN_IDS)] if own not in own_ids]
    snapshots: list[Snapshot] = []
    for own in _some(draw, own_ids, _one(draw, [3, 2, 4, 6, 1, 5, 0])):
        snapshots += _snapshots(draw, own, chosen, instants)
    snapshots = draw(st.permutations(snapshots))

    numbers = _some(draw, list(range(100)), _one(draw, [4, 1, 8, 12]))
    entries = [_entry(draw, f"m{n}", snapshots, chosen, instants, lead_us) for n in numbers]
    return entries, snapshots, lead_us


def _one(draw: st.DrawFn, items: Sequence[Item]) -> Item:
    """One of some items. Faster than `sampled_from`, which is made anew for each list."""
    return items[draw(st.integers(0, len(items) - 1))]


def _some(draw: st.DrawFn, items: Sequence[Item], count: int) -> list[Item]:
    """So many of some items, none of them twice."""
    rest = list(items)
    return [rest.pop(draw(st.integers(0, len(rest) - 1))) for _ in range(min(count, len(rest)))]


def _snapshots(
    draw: st.DrawFn,
    own: tuple[str, ...],
    chosen: list[tuple[str, ...]],
    instants: list[int],
) -> list[Snapshot]:
    """The snapshots of one session, whose id has these spellings."""
    by_id, by_identifier = _one(draw, _NAMED_BY)
    ids, identifiers = _one(draw, chosen), _one(draw, chosen)
    count = _one(draw, [1, 1, 2, 3])
    modified: list[int | None] = [*_some(draw, instants, count)]
    if count == 1 and _one(draw, [True, False]):
        modified = [None]
    return [
        Snapshot(
            session_id=_one(draw, own),
            conversation_id=_one(draw, ids) if by_id else None,
            conversation_identifier=_one(draw, identifiers) if by_identifier else None,
            started_at_us=_one(draw, instants) if _one(draw, _FOUR_IN_FIVE) else None,
            created_at_us=_one(draw, [None, *instants]),
            ended_at_us=(
                _one(draw, instants) + _one(draw, [0, 0, 0, 1, -1, SECOND_US - 1])
                if _one(draw, _FOUR_IN_FIVE)
                else None
            ),
            modified_at_us=modified_at_us,
            status=_one(draw, _STATUSES),
            deleted=not _one(draw, _FOUR_IN_FIVE),
        )
        for modified_at_us in modified
    ]


def _entry(
    draw: st.DrawFn,
    message_id: str,
    snapshots: list[Snapshot],
    chosen: list[tuple[str, ...]],
    instants: list[int],
    lead_us: int,
) -> Entry:
    """A message, for the most part on an edge of one of these sessions and of its conversation."""
    spellings, at = _one(draw, chosen), instants
    if snapshots:
        session = _one(draw, snapshots)
        spellings = _one(draw, _conversations_of(session) or [spellings])
        if _one(draw, _FOUR_IN_FIVE):
            at = _edges(session, lead_us) or at
    session_id: str | None = None
    conversation_id: str | None = _one(draw, spellings)
    kind = _one(draw, _KINDS)
    if kind == "of any conversation":
        conversation_id = _one(draw, [None, *(spellings[-1] for spellings in CONVERSATIONS)])
    elif kind == "of an id":
        conversation_id = _one(draw, _SALESFORCE_IDS)
    elif kind == "named":
        session_id = _one(draw, _SESSION_IDS)
        conversation_id = _one(draw, [None, conversation_id, _SALESFORCE_IDS[0]])
    return Entry(session_id, conversation_id, message_id, _one(draw, at), _one(draw, _ROLES))


def _conversations_of(session: Snapshot) -> list[tuple[str, ...]]:
    """The conversations of a session, each in all its spellings."""
    names = {session.conversation_id, session.conversation_identifier, session.session_id}
    return [spellings for spellings in CONVERSATIONS if names.intersection(spellings)]


def _edges(session: Snapshot, lead_us: int) -> list[int]:
    """The instants at which something changes for a session, and those next to them."""
    edges: list[int] = []
    for start_us in (session.started_at_us, session.created_at_us):
        if start_us is not None:
            edges += [start_us + more for more in (0, -1, 1)]
            edges += [start_us - lead_us + more for more in (0, -1, 1)]
    if session.ended_at_us is not None:
        edges += [session.ended_at_us + more for more in (0, 1, -1)]
        edges += [session.ended_at_us + SECOND_US + more for more in (-1, 0)]
    return edges
