"""The layouts of batches, and how they are told apart."""

import pyarrow as pa
import pytest

from tests.support.batches import messages, sessions
from transforms.batches import (
    BY_TIME,
    CHANNELS,
    PARTICIPANTS,
    SALESFORCE_RECORDS,
    UNASSIGNED,
    add_count,
    kind_of,
)
from transforms.keying.narrowing import narrow

MESSAGES = messages(("a", "00000000-0000-4000-8000-00000000000a", 0, "EndUser"))
UNNAMED = pa.RecordBatch.from_arrays(MESSAGES.columns, schema=UNASSIGNED)


@pytest.mark.parametrize(
    ("batch", "kind"),
    [
        (MESSAGES, "messages"),
        (narrow(MESSAGES), "messages"),
        (MESSAGES[:0], "messages"),
        (sessions({"session_id": "a"}), "sessions"),
        (pa.RecordBatch.from_pylist([], SALESFORCE_RECORDS), "records"),
        (pa.RecordBatch.from_pylist([], CHANNELS), "channels"),
        (pa.RecordBatch.from_pylist([], PARTICIPANTS), "participants"),
        (UNNAMED, "unassigned"),
        (narrow(UNNAMED), "unassigned"),
        (MESSAGES.append_column(BY_TIME, pa.array([True])), "messages"),
    ],
)
def test_the_kind_of_a_batch_is_told_by_its_columns(batch, kind):
    assert kind_of(batch) == kind


def test_a_narrowed_batch_has_other_columns():
    assert narrow(MESSAGES).schema != MESSAGES.schema


def test_messages_without_a_session_have_the_columns_of_the_rest():
    assert UNASSIGNED.names == ["conversation_id", *MESSAGES.schema.names[1:]]


def test_a_count_of_nothing_is_left_out():
    counts = {"a": 1}
    for name, number in (("a", 2), ("b", 0), ("c", 4), ("a", False)):
        add_count(counts, name, number)
    assert counts == {"a": 3, "c": 4}
