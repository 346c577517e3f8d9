"""The words that exports have for senders, kinds of entries and states."""

import pyarrow as pa
import pytest

from transforms.batches import AGENT, BOT, END_USER, NEVER_COUNTED
from transforms.reading.words import (
    MESSAGE_ENTRY_TYPES,
    NO_SENDER,
    STATUSES,
    by_code,
    one_of,
    senders_of,
    to_deletions,
)

ROLES = {
    "EndUser": END_USER,
    "END_USER": END_USER,
    "end user": END_USER,
    "Agent": AGENT,
    " agent ": AGENT,
    "Bot": BOT,
    "ChatBot": BOT,
    "chat-bot": BOT,
    "AiAgent": BOT,
    "AI Agent": BOT,
    "System": NEVER_COUNTED,
    "SUPERVISOR": NEVER_COUNTED,
    "router": NEVER_COUNTED,
    "Wizard": NO_SENDER,
    "EndUsers": NO_SENDER,
    "User": NO_SENDER,
    "-": NO_SENDER,
}


@pytest.mark.parametrize(("role", "sender"), ROLES.items())
def test_the_sender_that_a_role_is(role, sender):
    assert senders_of(pa.array([role]).dictionary_encode()).tolist() == [sender]


def test_the_senders_of_many_rows():
    texts = [*ROLES, None, *ROLES]
    found = senders_of(pa.array(texts).dictionary_encode())
    assert found.tolist() == [*ROLES.values(), NO_SENDER, *ROLES.values()]
    nothing = pa.nulls(2, pa.string()).dictionary_encode()
    assert senders_of(nothing).tolist() == [NO_SENDER] * 2
    assert senders_of(nothing[:0]).tolist() == []


def test_a_number_for_each_code():
    column = pa.array(["b", "a", None, "b"]).dictionary_encode()
    numbers = by_code(pa.array([2, None], pa.int8()), column)
    assert numbers.tolist() == [2, NO_SENDER, NO_SENDER, 2]


@pytest.mark.parametrize(
    ("known", "text", "word"),
    [
        (MESSAGE_ENTRY_TYPES, "text", "Text"),
        (MESSAGE_ENTRY_TYPES, "MESSAGE", "Message"),
        (MESSAGE_ENTRY_TYPES, "ConversationMessage", "CONVERSATION_MESSAGE"),
        (MESSAGE_ENTRY_TYPES, "Text Message", None),
        (STATUSES, "ENDED", "Ended"),
        (STATUSES, "new ", "New"),
        (STATUSES, "In Active", "Inactive"),
        (STATUSES, "Closed", None),
        (STATUSES, "", None),
        (STATUSES, None, None),
        ((), "Ended", None),
    ],
)
def test_a_word_as_it_is_known(known, text, word):
    assert one_of(known, pa.array([text, "?"], pa.string())).to_pylist() == [word, None]


def test_the_words_that_are_known():
    assert STATUSES == (
        "New", "Active", "Consent", "Waiting", "Paused", "Inactive", "Ended", "Error",
    )  # fmt: skip
    assert MESSAGE_ENTRY_TYPES == ("Text", "Message", "CONVERSATION_MESSAGE")


DELETIONS = {
    "true": True,
    "TRUE": True,
    " True ": True,
    "t": True,
    "1": True,
    "yes": True,
    "Y": True,
    "2024-10-02T12:00:00Z": True,
    "2024-10-02 12:00:00": True,
    "1727870400000": True,
    "false": False,
    "F": False,
    "0": False,
    "no": False,
    "n": False,
    "": False,
    None: False,
    "perhaps": None,
    "deleted": None,
    "2024-10-02T25:00:00Z": None,
}


@pytest.mark.parametrize("encode", [lambda a: a, pa.Array.dictionary_encode])
def test_deletions_of_texts(encode):
    found = to_deletions(encode(pa.array(list(DELETIONS))))
    assert found.to_pylist() == list(DELETIONS.values())
    assert found.type == pa.bool_()
    for text, expected in DELETIONS.items():
        one = to_deletions(encode(pa.array([text], pa.string())))
        assert one.to_pylist() == [expected]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([True, False, None]), [True, False, False]),
        (pa.array([1, 0, None, 1_727_870_400_000]), [True, False, False, True]),
        (pa.array([1.0, 0.0, float("nan"), None]), [True, False, False, False]),
        (
            pa.array([1_727_870_400_000_000, 0, None], pa.timestamp("us", "UTC")),
            [True, True, False],
        ),
        (pa.nulls(2), [False, False]),
        (pa.array([], pa.string()), []),
        (pa.array([], pa.bool_()), []),
    ],
)
def test_deletions_of_other_types(array, expected):
    assert to_deletions(array).to_pylist() == expected
