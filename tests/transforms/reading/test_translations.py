"""The words of other systems."""

import pyarrow as pa
import pytest

from transforms.batches import AGENT, BOT, END_USER
from transforms.errors import InputError
from transforms.reading.columns import Columns, RawBatch
from transforms.reading.names import ColumnNames
from transforms.reading.translations import check_words, translated
from transforms.reading.words import NO_SENDER, senders_of


@pytest.mark.parametrize(
    ("kind", "words", "said"),
    [
        ("messages", {"role": {"rep": "Agent"}},
         "messages have no words in 'role'; there are sender_role, entry_type"),
        ("sessions", {"status": {"won": "Closed"}},
         "status 'won' can't stand for 'Closed', but for New, Active, Consent, Waiting, Paused, "
         "Inactive, Ended, Error"),
        ("sessions", {"channel_type": {"chat": "Text"}},
         "channel_type 'chat' can't stand for 'Text', but for EmbeddedMessaging"),
    ],
)  # fmt: skip
def test_words_of_another_system_that_stand_for_nothing(kind, words, said):
    with pytest.raises(InputError) as caught:
        check_words(kind, words)
    assert str(caught.value) == said


def test_words_of_another_system():
    """Two columns are read from one; a second name of a column is translated, too."""
    words = {
        "sender_role": {"Sales Rep": "agent", "visitor": "EndUser", "Agent": "Bot"},
        "entry_type": {"salesrep": "Text", "visitor": "text"},
    }
    check_words("messages", words)
    names = ColumnNames.of("messages", {"entry_type": "kind"})
    names = names.resolve(["kind", "role", "ActorType"], "f", False)
    kind = pa.array(["SALES_REP", "joined", None, "visitor", "visitor"]).dictionary_encode()
    columns = {
        "kind": kind,
        "ActorType": pa.array(["sales-rep", None, "Wizard", "agent", None]),
        "role": pa.array([None, "Visitor", "visitor", "visitor", None]),
    }
    raw = RawBatch(columns, 5, lambda: pa.array([]))
    there = Columns(*translated(raw, names, words))
    assert there.text("entry_type").to_pylist() == ["Text", "joined", None, "text", "text"]
    roles = there.text("sender_role")
    assert roles.to_pylist() == ["agent", "EndUser", "Wizard", "Bot", None]
    assert senders_of(roles.dictionary_encode()).tolist() == [
        AGENT, END_USER, NO_SENDER, BOT, NO_SENDER,
    ]  # fmt: skip
    untouched = Columns(*translated(raw, names, {}))
    assert untouched.raw.columns == columns and untouched.names == names


def test_numbers_may_be_words():
    names = ColumnNames.of("sessions").resolve(["status"], "f", False)
    raw = RawBatch({"status": pa.array([4, 5, None])}, 3, lambda: pa.array([]))
    there = Columns(*translated(raw, names, {"status": {"4": "Ended"}}))
    assert there.codes("status").to_pylist() == ["Ended", "5", None]
