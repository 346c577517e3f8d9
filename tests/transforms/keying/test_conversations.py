"""Which session of its conversation a message belongs to, by a walk over the sessions and by hand."""

import itertools
from collections import Counter

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from tests.support import batches
from tests.support.conversations import assign, conversations
from tests.support.enhanced import (
    assigned,
    normalized,
    pieces,
    sequences,
    session,
    sessions,
    sessions_of,
    unassigned,
)
from transforms.batches import BY_TIME, MESSAGES, NO_SEQUENCE, kind_of
from transforms.keying.conversations import (
    HOW,
    KEY,
    Spans,
    assign_shard,
    by_conversation,
    find_sessions,
    of_conversations,
)
from transforms.keying.narrowing import narrow
from transforms.keying.sharding import split_by_shard

EVER, NEVER = np.iinfo(np.int64).min, np.iinfo(np.int64).max
SECOND_US = 1_000_000
UUID = "5c0de4ab-09f1-4a6e-b3d2-7e01fa5b9c8d"


@settings(max_examples=1000)
@given(conversations(), st.data())
def test_each_message_has_the_session_of_the_rule(found, data):
    entries, snapshots, lead_us = found
    read, rows = normalized(entries, snapshots)
    # Messages without any id are rejects.
    kept = [e for e in entries if e.session_id is not None or e.conversation_id is not None]
    assert len(read.rejects) == len(entries) - len(kept)
    wanted = {e.message_id: assign(e, snapshots, lead_us) for e in kept}
    named = {i: session_id for i, (session_id, how) in wanted.items() if how == "session_id"}
    timed = {i: one for i, one in wanted.items() if i not in named}
    assert read.counts.get("assigned_by_session_id", 0) == len(named)
    of_kind = {kind_of(batch): batch for batch in read.batches}
    assert sessions_of(of_kind["messages"]) == named

    size = data.draw(st.integers(0, len(rows)))
    given_ = [by_conversation(piece) for piece in pieces(rows, [size])]
    given_ += [narrow(batch) for batch in read.batches if kind_of(batch) == "unassigned"]
    batch, counts = assign_shard(data.draw(st.permutations(given_)), lead_us)
    assert sessions_of(batch) == {i: one for i, (one, _) in timed.items() if one is not None}
    fates = Counter(how for _, how in timed.values())
    names = {"time": "by_time", "opening": "as_opening", "late": "as_late", "none": "to_none"}
    expected = {f"assigned_{names[how]}": number for how, number in fates.items()}
    if fates["none"]:
        expected["messages_of_unknown_session"] = fates["none"]
    assert counts == expected


def walk(sent_at, spans, lead):
    """The number of a message's session among those of its conversation, and how it was found.

    `spans` are begin and last instant of each, by begin.
    """
    place = how = None
    for number, (begin, last) in enumerate(spans):
        if begin <= sent_at <= last:
            place, how = number, "by_time"
    if place is None:
        coming = [number for number, (begin, _) in enumerate(spans) if begin > sent_at]
        begun = [number for number, (begin, _) in enumerate(spans) if begin <= sent_at]
        if coming and spans[coming[0]][0] - sent_at <= lead:
            place, how = coming[0], "as_opening"
        elif begun:
            place, how = begun[-1], "as_late"
    return (-1, "to_none") if place is None else (place, how)


def check(spans_of, messages, lead):
    """Compares what is found for messages, a conversation and an instant each, with `walk`."""
    edges = np.cumsum([0, *map(len, spans_of)])
    flat = list(itertools.chain(*spans_of))
    spans = Spans(
        edges,
        np.array([begin for begin, _ in flat], np.int64),
        np.array([last for _, last in flat], np.int64),
    )
    conversation = np.array([number for number, _ in messages], np.int64)
    sent_at = np.array([at for _, at in messages], np.int64)
    session_, how = find_sessions(conversation, sent_at, spans, lead)
    found = [(s, HOW[h]) for s, h in zip(session_.tolist(), how.tolist(), strict=True)]
    wanted = []
    for number, at in messages:
        place, name = walk(at, spans_of[number] if number >= 0 else [], lead)
        wanted.append((place if place < 0 else place + int(edges[number]), name))
    assert found == wanted


def spans_strategy():
    """The sessions of a conversation: nested ones, open ones, some that had always begun."""
    begin = st.integers(0, 60) | st.just(EVER)
    last = st.integers(0, 70) | st.just(NEVER)
    return st.lists(st.tuples(begin, last), max_size=40).map(lambda found: sorted(found))


@settings(max_examples=500)
@given(
    st.lists(spans_strategy(), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(-1, 5), st.integers(-15, 80)), max_size=40),
    st.integers(0, 12),
)
def test_sessions_are_found_as_by_a_walk(spans_of, messages, lead):
    messages = [(min(number, len(spans_of) - 1), at) for number, at in messages]
    check(spans_of, messages, lead)


def test_one_session_that_lasts_before_many_that_have_ended():
    # Each conversation stands between two whose sessions last for ever.
    spans_of = [[(0, NEVER)]]
    messages = []
    for number in range(1, 41):
        for lasting in (None, *range(number)):
            ended = [(place * 10, place * 10 + 5) for place in range(number)]
            if lasting is not None:
                ended[lasting] = (lasting * 10, NEVER)
            messages.append((len(spans_of), number * 10 + 100))
            spans_of += [ended, [(0, NEVER)]]
    check(spans_of, messages, 60)


def test_sessions_of_one_conversation_by_random():
    rng = np.random.default_rng(7)
    spans_of, messages = [], []
    for number in range(300):
        begins = rng.integers(0, 2000, rng.integers(0, 41))
        lasts = begins + rng.integers(-5, 300, len(begins)) ** 2 // 50
        lasts[rng.random(len(lasts)) < 0.02] = NEVER
        spans_of.append(sorted(zip(begins.tolist(), lasts.tolist(), strict=True)))
        messages += [(number, at) for at in rng.integers(-100, 4000, 20).tolist()]
    check(spans_of, messages, 60)


@pytest.mark.parametrize(
    ("second", "session_id", "how"),
    [
        (30, None, "to_none"),
        (40, "A", "as_opening"),
        (99.999999, "A", "as_opening"),
        (100, "A", "by_time"),
        (200, "A", "by_time"),
        (200.999999, "A", "by_time"),
        (201, "A", "as_late"),
        (230, "A", "as_late"),
        (239.999999, "A", "as_late"),
        (240, "B", "as_opening"),
        (300, "B", "by_time"),
        (900, "B", "by_time"),
        (1_000_000_000, "B", "by_time"),
    ],
)
def test_a_session_that_ended_and_an_open_one(second, session_id, how):
    rows = sessions(session("A", 100, 200), session("B", 300, None))
    found, counts, _ = assigned(rows, unassigned(("c", "m", second, "Agent")))
    assert found == ({} if session_id is None else {"m": session_id})
    unknown = {} if session_id else {"messages_of_unknown_session": 1}
    assert counts == {f"assigned_{how}": 1, **unknown}


def found_at(second, *rows, lead_us=60 * SECOND_US, conversation="c"):
    message = unassigned((conversation, "m", second, "Agent"))
    found, _, _ = assigned(sessions(*rows), message, lead_us=lead_us)
    return found.get("m")


@pytest.mark.parametrize("ids", itertools.permutations(["a", "ab", "b"]))
def test_of_sessions_that_begin_together_the_greatest_id(ids):
    rows = [session(one, 100, 200) for one in ids]
    assert found_at(150, *rows) == "b"
    assert found_at(500, *rows) == "b"
    # Of those to come it is the next: the least id.
    assert found_at(90, *rows) == "a"


def test_the_end_of_a_session():
    # An end without a fraction is good to the end of its second.
    late = session("B", 150, 160)
    assert found_at(200.999999, session("A", 100, 200), late) == "A"
    assert found_at(201, session("A", 100, 200), late) == "B"
    assert found_at(200.5, session("A", 100, 200.5), late) == "A"
    assert found_at(200.500001, session("A", 100, 200.5), late) == "B"


def test_the_start_of_a_session():
    created = {"created_at_us": 100 * SECOND_US}
    assert found_at(40, session("A", None, 200, **created)) == "A"
    assert found_at(39, session("A", None, 200, **created)) is None
    # The start goes before.
    assert found_at(40, session("A", 101, 200, **created)) is None
    # Without either it has always been there.
    assert found_at(-1_000_000_000, session("A", None, 200)) == "A"
    assert found_at(150, session("A", None, 200), session("B", 100, 200)) == "B"


def test_the_lead():
    row = session("A", 100, 200)
    assert found_at(97.5, row, lead_us=2_500_000) == "A"
    assert found_at(97.5, row, lead_us=2_499_999) is None
    assert found_at(99.999999, row, lead_us=0) is None
    assert found_at(100, row, lead_us=0) == "A"


def test_a_session_under_each_name_of_its_conversation():
    names = {"conversation_id": "0dw1", "conversation_identifier": "8a1d"}
    rows = [
        session("s", 0, 10, **names),
        session("t", 0, 10, conversation_id=None, conversation_identifier="8a1d"),
        session("u", 0, 10, conversation_id=None),
        session("0Mw1", 0, 10, conversation_id="s"),
        session("s", 0, 11, **names),
    ]
    batch = by_conversation(batches.sessions(*rows))
    assert batch.schema.names[0] == KEY
    kept = batch.select([KEY, "session_id", "ended_at_us"]).to_pylist()
    assert sorted(map(tuple, map(dict.values, kept))) == [
        ("0dw1", "s", 10 * SECOND_US),
        ("0dw1", "s", 11 * SECOND_US),
        ("8a1d", "s", 10 * SECOND_US),
        ("8a1d", "s", 11 * SECOND_US),
        ("8a1d", "t", 10 * SECOND_US),
        ("s", "0Mw1", 10 * SECOND_US),
        ("s", "s", 10 * SECOND_US),
        ("s", "s", 11 * SECOND_US),
        ("t", "t", 10 * SECOND_US),
        ("u", "u", 10 * SECOND_US),
    ]
    assert kind_of(batch) == "sessions"
    assert by_conversation(narrow(batches.sessions(*rows))) == batch
    # One conversation by two names, and a session that has one name twice.
    found = [found_at(5, *rows[:2], conversation=name) for name in ("0dw1", "8a1d", "s", "t")]
    assert found == ["s", "t", "s", "t"]
    assert found_at(5, session("c", 0, 10, conversation_identifier="c")) == "c"


def test_sessions_of_conversations():
    named = {
        "s": {},
        "0Mw1": {"conversation_id": "0dw1"},
        "0Mw2": {"conversation_identifier": "8a1d"},
        "0Mw3": {},
    }
    whole = batches.sessions(*({"session_id": one, **names} for one, names in named.items()))
    found = of_conversations(whole)
    assert found.column("session_id").to_pylist() == ["s", "0Mw1", "0Mw2"]
    assert by_conversation(found) == by_conversation(whole)


def test_the_newest_snapshot_of_a_session():
    rows = [
        session("A", 100, None, modified_at_us=1, status="Active"),
        session("A", 100, 200, modified_at_us=2),
        session("A", 300, 400, modified_at_us=0),
    ]
    for order in itertools.permutations(rows):
        assert found_at(150, *order) == "A"
        assert found_at(250, *order, session("B", 120, 130)) == "B"


def test_a_deleted_session_takes_no_messages():
    there, gone = (session("A", 100, 200, modified_at_us=at, deleted=at == 2) for at in (1, 2))
    for order in ([there, gone], [gone, there]):
        assert found_at(150, *order) is None
        assert found_at(150, *order, session("B", 10, 20)) == "B"
    restored = session("A", 100, 200, modified_at_us=3)
    assert found_at(150, gone, restored, there) == "A"


@pytest.mark.parametrize("status", ["Active", "New", "Ended", "Error"])
def test_a_session_of_any_status_and_platform(status):
    assert found_at(150, session("A", 100, 200, status=status, platform_type="Standard")) == "A"


def test_a_conversation_without_sessions():
    found, counts, batch = assigned(
        sessions(session("A", 0, 10)), unassigned(("d", "1", 5, "Agent"), ("C", "2", 5, "Agent"))
    )
    assert found == {} and batch is None
    assert counts == {"assigned_to_none": 2, "messages_of_unknown_session": 2}


def test_nothing():
    none, empty = ({}, {}, None), sessions(session("A", 0, 10))[:0]
    message = unassigned(("c", "1", 5, "Agent"))
    assert assigned() == none
    assert assigned(empty) == none
    assert assigned(sessions(session("A", 0, 10))) == none
    unknown = ({}, {"assigned_to_none": 1, "messages_of_unknown_session": 1}, None)
    assert assigned(message) == unknown
    assert assigned(message, empty) == unknown
    assert assigned(message[:0]) == none
    assert assigned(message[:0], sessions(session("A", 0, 10))) == none
    assert assigned(empty, message[:0], message, sessions(session("A", 0, 10)))[0] == {"1": "A"}
    assert len(by_conversation(batches.sessions())) == 0
    found, how = find_sessions(
        *np.zeros((2, 0), np.int64), Spans(*(np.zeros(n, np.int64) for n in (1, 0, 0))), 0
    )
    assert (found.tolist(), how.tolist()) == ([], [])


def many(seed):
    """Sessions of some conversations, and messages all around them."""
    rng = np.random.default_rng(seed)
    rows, messages = [], []
    for number in range(60):
        conversation = f"c{number % 12}"
        begin = int(rng.integers(0, 2000))
        end = None if number % 9 == 0 else begin + int(rng.integers(0, 500))
        more = {"conversation_id": conversation, "deleted": number % 13 == 0}
        rows.append(session(f"s{number}", begin, end, modified_at_us=1, **more))
        rows.append(session(f"s{number}", begin + 50, end, modified_at_us=0, **more))
    for number in range(400):
        sender = ("EndUser", "Agent", "Bot")[number % 3]
        at = int(rng.integers(-100, 2600))
        messages.append((f"c{number % 14}", f"m{number}", at, sender, number % 5 or None))
    return rows, messages


def rows_of(batch):
    return sorted(batch.drop_columns([BY_TIME.name]).to_pylist(), key=lambda row: row["message_id"])


@pytest.mark.parametrize("seed", range(5))
def test_order_and_split_of_batches_make_no_difference(seed):
    rows, messages = many(seed)
    _, counts, whole = assigned(sessions(*rows), unassigned(*messages))
    assert set(counts) == {f"assigned_{how}" for how in HOW} | {"messages_of_unknown_session"}
    assert sum(counts[f"assigned_{how}"] for how in HOW) == 400
    rng = np.random.default_rng(seed + 100)
    rng.shuffle(rows)
    rng.shuffle(messages)
    cut = [
        *(sessions(*rows[start : start + 7]) for start in range(0, len(rows), 7)),
        *(unassigned(*messages[start : start + 11]) for start in range(0, len(messages), 11)),
    ]
    rng.shuffle(cut)
    _, again, found = assigned(*cut)
    assert again == counts
    assert rows_of(found) == rows_of(whole)

    # By shards of conversations, as the job does it.
    shards = [[] for _ in range(3)]
    for batch in cut:
        for shard, piece in split_by_shard(batch, 3):
            shards[shard].append(piece)
    assert all(shards)
    done = [assigned(*shard) for shard in shards]
    assert sum((Counter(numbers) for _, numbers, _ in done), Counter()) == counts
    together = [row for *_, batch in done for row in rows_of(batch)]
    assert sorted(together, key=lambda row: row["message_id"]) == rows_of(whole)


def test_message_ids_packed_and_as_texts():
    packed = narrow(unassigned(("c", UUID, 5, "Agent")))
    texts = narrow(unassigned(("c", "1", 6, "Agent"), ("c", UUID.upper(), 7, "Agent")))
    assert packed.column("message_id").type == pa.binary(16)
    assert pa.types.is_string(texts.column("message_id").type)
    rows = sessions(session("A", 0, 10))
    for order in itertools.permutations([packed, texts, rows]):
        found, _, batch = assigned(*order)
        assert found == dict.fromkeys([UUID, "1", UUID.upper()], "A")
        assert pa.types.is_string(batch.column("message_id").type)
    found, _, batch = assigned(packed, rows)
    assert found == {UUID: "A"} and batch.column("message_id").type == pa.binary(16)


def test_columns_of_messages_that_have_a_session():
    rows = sessions(session("A", 0, 10), session("B", 20, None))
    messages = unassigned(
        ("c", "1", 25, "Bot", 7), ("d", "2", 5, "Agent", 3), ("c", "3", 5, "EndUser", None)
    )
    _, _, batch = assigned(messages, rows)
    assert batch.schema == pa.schema([*MESSAGES, BY_TIME])
    assert kind_of(batch) == "messages"
    assert batch.to_pydict() == {
        "session_id": ["B", "A"],
        "message_id": ["1", "3"],
        "sent_at_us": [25 * SECOND_US, 5 * SECOND_US],
        "sequence": [7, NO_SEQUENCE],
        "sender": [2, 0],
        "by_time": [True, True],
    }
    # None of these has a sequence.
    _, _, batch = assigned(narrow(messages[2:]), rows)
    assert batch.schema.names == ["session_id", "message_id", "sent_at_us", "sender", "by_time"]
    # Some batches have, some not.
    _, _, batch = assigned(narrow(messages[2:]), narrow(messages[:1]), rows)
    assert sequences(batch) == {"1": 7, "3": NO_SEQUENCE}
