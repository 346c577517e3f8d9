"""The rule in cases worked out by hand, one or more for each of its sentences."""

import pytest
from hypothesis import Phase, find, settings

from tests.support.conversations import (
    NOON_US,
    SECOND_US,
    Entry,
    Snapshot,
    assign,
    comparable,
    conversations,
    newest_snapshots,
    session_key,
    with_suffix,
)

LEAD_US = 60 * SECOND_US
UUID = "5c0de4ab-09f1-4a6e-b3d2-7e01fa5b9c8d"


def us(second: float | None) -> int | None:
    return None if second is None else NOON_US + round(second * SECOND_US)


def session(session_id: str, start: float | None, end: float | None, **more) -> Snapshot:
    """A session of the conversation `c`, from a second to another."""
    columns = {"conversation_id": "c", "started_at_us": us(start), "ended_at_us": us(end)}
    return Snapshot(session_id, **(columns | more))


def at(second: float, *sessions: Snapshot, lead_us: int = LEAD_US) -> tuple[str | None, str]:
    """Where a message of that second and of the conversation `c` belongs."""
    found = {
        assign(Entry(None, "c", "m", us(second)), rows, lead_us)
        for rows in (list(sessions), list(reversed(sessions)))
    }
    assert len(found) == 1
    return found.pop()


def of(conversation_id: str | None, *sessions: Snapshot) -> str | None:
    """The session of a message in the midst of all of them."""
    return assign(Entry(None, conversation_id, "m", us(5)), list(sessions), LEAD_US)[0]


def test_the_session_that_it_names():
    sessions = [session("other", 0, 10)]
    for session_id, conversation_id, expected in [
        ("0Mwbb000007MGoT", "c", "0Mwbb000007MGoTCAW"),
        ("0Mwbb000007MGoTCAW", None, "0Mwbb000007MGoTCAW"),
        ("of no row", "c", "of no row"),
        # In either column.
        (None, "0Mwbb000007MGoT", "0Mwbb000007MGoTCAW"),
        ("one", "0Mwbb000007MGoT", "one"),
        # Any other id is kept as it is.
        (UUID.upper(), None, UUID.upper()),
        ("0dwbb000007MGoT", None, "0dwbb000007MGoT"),
    ]:
        message = Entry(session_id, conversation_id, "m", us(5))
        assert assign(message, sessions, LEAD_US) == (expected, "session_id")


def test_the_sessions_of_its_conversation():
    row = {"started_at_us": us(0), "ended_at_us": us(10)}
    assert of("c", Snapshot("s", "c", **row)) == "s"
    assert of("c", Snapshot("s", None, "c", **row)) == "s"
    assert of("c", Snapshot("s", "other", "c", **row)) == "s"
    assert of("c", Snapshot("c", **row)) == "c"
    assert of("c", Snapshot("c", "other", "another", **row)) == "c"
    assert of("c", Snapshot("s", "d", "e", **row)) is None
    assert of("c", Snapshot("s", **row)) is None
    assert of(None, Snapshot("s", **row)) is None
    assert of("c") is None


def test_ids_that_are_alike():
    row = {"started_at_us": us(0), "ended_at_us": us(10)}
    for one, other, alike in [
        (UUID, UUID.upper(), True),
        (UUID, UUID[:-1] + "e", False),
        (UUID, UUID.replace("-", "_").upper(), False),
        ("0dwbb000007MGoT", "0dwbb000007MGoTAAW", True),
        ("0dwbb000007MGoT", "0dwbb000007MGot", False),
        ("0dwbb000007MGoTAAW", "0dwbb000007MGotAAG", False),
        ("chat-a", "chat-a", True),
        ("chat-a", "chat-A", False),
        ("chat-a", "chat-a ", False),
    ]:
        for mine, theirs in ((one, other), (other, one)):
            assert (comparable(mine) == comparable(theirs)) is alike
            assert of(mine, Snapshot("s", theirs, **row)) == ("s" if alike else None)
            assert of(mine, Snapshot("s", "x", theirs, **row)) == ("s" if alike else None)
            # Kept as it is.
            assert of(mine, Snapshot(theirs, **row)) == (theirs if alike else None)


def test_salesforce_ids():
    for text, long in [
        ("0Mwbb000007MGoT", "0Mwbb000007MGoTCAW"),
        ("0dwbb000007MGoT", "0dwbb000007MGoTAAW"),
        # Bit i for character i: 2 + 8 + 16 = 26.
        ("0MwZZ00000zzzzz", "0MwZZ00000zzzzz0AA"),
        ("AAAAAaAaAa00001", "AAAAAaAaAa000015KA"),
    ]:
        assert with_suffix(text) == with_suffix(long) == long
    assert session_key("0Mwbb000007MGoT") == "0Mwbb000007MGoTCAW"
    assert session_key("0dwbb000007MGoT") == "0dwbb000007MGoT"
    # Two spellings of one session, one session.
    short, long = session("0Mwbb000007MGoT", 0, 1), session("0Mwbb000007MGoTCAW", 0, 2)
    assert newest_snapshots([long, short]) == {"0Mwbb000007MGoTCAW": long}


def test_each_in_its_newest_snapshot():
    old = session("s", 0, 10, modified_at_us=1)
    new = session("s", 20, 30, modified_at_us=2)
    other = session("other", 5, 6)
    assert at(7, old, other) == ("s", "time")
    assert at(7, old, new, other) == ("s", "opening")
    assert at(7, old, new, other, lead_us=0) == ("other", "late")
    # The last modified, though it ends before; else the one that ends last, and no end is before any.
    assert at(11, session("s", 0, 10, modified_at_us=2), session("s", 0, 20)) == ("s", "late")
    assert at(11, session("s", 0, 10), session("s", 0, 20)) == ("s", "time")
    assert at(11, session("s", 0, 10), session("s", 0, None)) == ("s", "late")
    both = {"modified_at_us": 1}
    assert at(11, session("s", 0, 10, **both), session("s", 0, 20, **both)) == ("s", "time")


def test_a_deleted_session_takes_no_message():
    gone = session("s", 0, 10, modified_at_us=2, deleted=True)
    assert at(5, gone) == (None, "none")
    assert at(5, gone, session("s", 0, 10, modified_at_us=1)) == (None, "none")
    assert at(5, gone, session("s", 0, 10, modified_at_us=3)) == ("s", "time")
    # Nor does it stand before another.
    other = session("other", 30, 40)
    assert at(0, session("s", 20, 40, deleted=True), other) == ("other", "opening")


def test_in_whatever_status():
    for status in ("New", "Active", "Waiting", "Inactive", "Ended", "Error"):
        assert at(5, session("s", 0, 10, status=status)) == ("s", "time")
        assert at(-5, session("s", 0, 10, status=status)) == ("s", "opening")
        assert at(15, session("s", 0, 10, status=status)) == ("s", "late")


def test_the_last_that_had_begun_and_not_ended():
    whole, nested, later = session("a", 0, 30), session("b", 5, 10), session("c", 20, 40)
    sessions = (whole, nested, later)
    assert at(4.999999, *sessions) == ("a", "time")
    assert at(5, *sessions) == ("b", "time")
    assert at(12, *sessions) == ("a", "time")
    assert at(20, *sessions) == ("c", "time")
    # It goes before one that soon begins, and before one that ended and began after it.
    assert at(19.999999, *sessions) == ("a", "time")
    # Of one start, the last by id, whichever ends first; by bytes: capitals are before small letters.
    assert at(1, session("a", 0, 30), session("b", 0, 10)) == ("b", "time")
    assert at(1, session("a", 0, 10), session("B", 0, 30)) == ("a", "time")
    # By the id that the project writes.
    twins = (session("0Mwbb000007MGoT", 0, 9), session("0Mwbb000007MGoTCAV", 0, 9))
    assert at(1, *twins) == ("0Mwbb000007MGoTCAW", "time")


def test_the_end_of_a_session():
    assert at(1e6, session("s", 0, None)) == ("s", "time")
    assert at(10, session("s", 0, 10)) == ("s", "time")
    # An end in whole seconds is good to the end of its second.
    assert at(10.999999, session("s", 0, 10)) == ("s", "time")
    assert at(11, session("s", 0, 10)) == ("s", "late")
    assert at(10.5, session("s", 0, 10.5)) == ("s", "time")
    assert at(10.500001, session("s", 0, 10.5)) == ("s", "late")
    assert at(10.000001, session("s", 0, 10.000001)) == ("s", "time")
    assert at(10.000002, session("s", 0, 10.000001)) == ("s", "late")
    # Also of one that begins within that second.
    assert at(10.5, session("s", 10.25, 10)) == ("s", "time")


def test_the_start_of_a_session():
    created = session("s", None, 10, created_at_us=us(5))
    assert at(5, created) == ("s", "time")
    assert at(4.999999, created) == ("s", "opening")
    assert at(4, session("s", 5, 10, created_at_us=us(3))) == ("s", "opening")
    # Else it had always begun, before any other.
    always = session("z", None, 10)
    assert at(-1e9, always) == ("z", "time")
    assert at(11, always) == ("z", "late")
    assert at(5, always, session("a", -1e9, 10)) == ("a", "time")
    assert at(5, always, session("a", None, 10)) == ("z", "time")


def test_the_next_one_if_it_begins_soon():
    ended, soon = session("a", -100, -50), session("b", 60, 90)
    assert at(0, ended, soon) == ("b", "opening")
    assert at(-0.000001, ended, soon) == ("a", "late")
    assert at(-0.000001, soon) == (None, "none")
    assert at(59.999999, ended, soon) == ("b", "opening")
    assert at(59.999999, ended, soon, lead_us=0) == ("a", "late")
    assert at(58.5, ended, soon, lead_us=1_500_000) == ("b", "opening")
    # Of several the first; of one start, the first by id.
    assert at(0, soon, session("a", 61, 90)) == ("b", "opening")
    assert at(0, soon, session("a", 60, 90)) == ("a", "opening")


def test_the_last_that_had_begun():
    first, second = session("a", 0, 30), session("b", 5, 10)
    # Not the one that ended last.
    assert at(100, first, second) == ("b", "late")
    assert at(100, first, second, session("c", 160.000001, 200)) == ("b", "late")
    assert at(100, session("a", 0, 10), session("b", 0, 10)) == ("b", "late")
    assert at(-100, first, second) == (None, "none")


@pytest.mark.parametrize("how", ["session_id", "time", "opening", "late", "none"])
@pytest.mark.parametrize("origin_us", [0, NOON_US])
def test_the_inputs_are_of_every_kind(how, origin_us):
    def is_of_kind(drawn) -> bool:
        entries, sessions, lead_us = drawn
        return any(
            abs(entry.sent_at_us - origin_us) < 1e9 and assign(entry, sessions, lead_us)[1] == how
            for entry in entries
        )

    some = settings(max_examples=1000, database=None, phases=[Phase.generate])
    entries, sessions, _ = find(conversations(), is_of_kind, settings=some)
    assert len({entry.message_id for entry in entries}) == len(entries)
    rows = [(session_key(row.session_id), row.modified_at_us) for row in sessions]
    assert len(set(rows)) == len(rows)
