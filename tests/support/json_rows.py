"""Rows of JSON of any kind, and what a decoder of whole columns is to say of them."""

import json

from hypothesis import strategies as st

from tests.support.files_of_rows import NAMES, rows_of
from transforms.reading import timestamps, values
from transforms.reading.columns import RawBatch
from transforms.reading.embedded import look_into_texts
from transforms.reading.formats.json_lines import _slowly

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(1 << 70), 1 << 70),
    st.floats(),
    st.sampled_from([0.5, 1.0, 1e15, 1e-4, 5e-7, 2.0**53, 2.0**63, -0.0]),
    st.text(max_size=5),
    st.sampled_from(["0Mwbb000007MGoT", "Agent", "2024-10-02T12:00:00Z", "\ud800", "1.0"]),
)
SENDERS = st.fixed_dictionaries({}, optional={"role": SCALARS, "x": SCALARS})
OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "session_id": SCALARS,
        "relatedRecords": st.lists(st.sampled_from(["0Mwa", "b", "", None]) | SCALARS, max_size=3),
        "Seq": SCALARS,
        "sent_at": st.integers(0, 1 << 50) | st.floats(0, 1e13),
        "EntryTime": SCALARS,
        "sender": SENDERS | SENDERS.map(json.dumps) | SCALARS,
        "sender.role": SCALARS,
        "MessagingSession": st.fixed_dictionaries({}, optional={"Id": st.text(max_size=2)}),
        "other": st.recursive(
            SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=3
        ),
    },
)


def assert_says_what_the_lines_say(decoded, block, names=NAMES):
    """Asserts that what was decoded of a block, if anything was, is what its lines say one by one."""
    if decoded is None:
        return
    slow = _slowly(block, 1, names)
    assert slow.malformed == []
    assert decoded.num_lines == slow.num_rows
    fast = look_into_texts(RawBatch(decoded.columns, slow.num_rows, list), names).columns
    fast = {name: column for name, column in fast.items() if name in names}
    stated = {name: texts for name, texts in rows_of(slow.columns, names).items() if any(texts)}
    found = rows_of(fast, names) if fast else {}
    assert {name: texts for name, texts in found.items() if any(texts)} == stated
    for parse in (timestamps.to_instants, values.to_integers, values.to_booleans):
        for name in stated:
            assert parse(fast[name]).to_pylist() == parse(slow.columns[name]).to_pylist()
