"""The words that exports have for senders, kinds of entries and states. Pure; no Beam."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.batches import AGENT, BOT, END_USER, NEVER_COUNTED
from transforms.reading.timestamps import to_instants
from transforms.reading.values import to_text, to_words

SENDERS = {
    "EndUser": END_USER,
    "Agent": AGENT,
    "Bot": BOT,
    "Chatbot": BOT,
    "AiAgent": BOT,
    **dict.fromkeys(("System", "Supervisor", "Router"), NEVER_COUNTED),
}
"""The sender that each role is."""

NO_SENDER = 4
"""In place of a sender: there is no role, or it is none of those known."""

MESSAGE_ENTRY_TYPES = ("Text", "Message", "CONVERSATION_MESSAGE")

_YES, _NO = ["true", "t", "1", "yes", "y"], ["false", "f", "0", "no", "n"]

EMBEDDED = "EmbeddedMessaging"
"""The channel type of In-App and Web."""

STATUSES = ("New", "Active", "Consent", "Waiting", "Paused", "Inactive", "Ended", "Error")


def senders_of(role: pa.DictionaryArray) -> np.ndarray:
    """The sender that each role is; `NO_SENDER` for one that is unknown or missing."""
    index = pc.index_in(to_words(role.dictionary), _words(SENDERS))
    known = pa.array(list(SENDERS.values()), pa.int8()).take(index)
    return by_code(known, role)


def by_code(number_of_code: pa.Array, column: pa.DictionaryArray) -> np.ndarray:
    """The number of each row by its code; `NO_SENDER` where there is none."""
    # A null has the index after the last.
    numbers = np.append(number_of_code.fill_null(NO_SENDER).to_numpy(), np.int8(NO_SENDER))
    return numbers[column.indices.fill_null(len(column.dictionary)).to_numpy()]


def one_of(known: Iterable[str], text: pa.Array) -> pa.Array:
    """Each word as `known` spells it; null for any other.

    >>> one_of(("Ended", "Active"), pa.array(["ENDED", "no", None])).to_pylist()
    ['Ended', None, None]
    """
    if pa.types.is_dictionary(text.type):
        return one_of(known, text.dictionary).take(text.indices)
    spelled = pa.array(list(known), pa.string())
    return spelled.take(pc.index_in(to_words(text), to_words(spelled)))


def _words(known: Iterable[str]) -> pa.Array:
    return to_words(pa.array(list(known), pa.string()))


def to_deletions(array: pa.Array) -> pa.Array:
    """Whether rows are deleted: they say true, or since when; null where that is not understood.

    A connector has a column of booleans or of instants for it: in the first nothing, `false` or 0 is a
    row that is there, in the second nothing.

    >>> texts = ["true", "0", "", "2024-10-02T12:00:00Z", "perhaps"]
    >>> to_deletions(pa.array(texts)).to_pylist()
    [True, False, False, True, None]
    """
    if pa.types.is_dictionary(array.type):
        said = pc.take(to_deletions(array.dictionary), array.indices)
        return pc.if_else(array.indices.is_null(), False, said)
    if pa.types.is_timestamp(array.type):
        return array.is_valid()
    if pa.types.is_null(array.type):
        return pa.array(np.zeros(len(array), bool))
    text = to_text(array)
    word = to_words(text)
    said = pc.if_else(pc.is_in(word, pa.array(_YES)), True, pa.scalar(None, pa.bool_()))
    said = pc.if_else(pc.is_in(word, pa.array(_NO)), False, said)
    since = pc.if_else(to_instants(text).is_valid(), True, pa.scalar(None, pa.bool_()))
    return pc.if_else(text.is_null(), False, pc.coalesce(said, since))
