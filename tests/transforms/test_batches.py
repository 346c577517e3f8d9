"""The layouts of batches, and how they are told apart."""

import pyarrow as pa
import pytest

from tests.support.batches import messages, sessions
from transforms.batches import SALESFORCE_RECORDS, kind_of
from transforms.keying.sharding import narrow

MESSAGES = messages(("a", "00000000-0000-4000-8000-00000000000a", 0, "EndUser"))


@pytest.mark.parametrize(
    ("batch", "kind"),
    [
        (MESSAGES, "messages"),
        (narrow(MESSAGES), "messages"),
        (MESSAGES[:0], "messages"),
        (sessions({"session_id": "a"}), "sessions"),
        (pa.RecordBatch.from_pylist([], SALESFORCE_RECORDS), "records"),
    ],
)
def test_the_kind_of_a_batch_is_told_by_its_columns(batch, kind):
    assert kind_of(batch) == kind


def test_a_narrowed_batch_has_other_columns():
    assert narrow(MESSAGES).schema != MESSAGES.schema
