"""Batches of rejects: which of them are kept, and what is said of them."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tests.support.batches import rejects
from transforms.rejects import (
    REJECTS,
    Reject,
    bounds_of,
    least_of_each,
    not_beyond,
    rejects_in,
    tell_reasons,
    tell_remedy,
)

SOME = st.builds(
    Reject,
    st.sampled_from(["a", "b", "é", "😀", "\uffff"]),
    st.integers(1, 5),
    st.sampled_from(["x", "y"]),
    st.sampled_from(["", "noon"]),
    st.sampled_from([None, "s"]),
    st.sampled_from([None, "m", "n"]),
)
BATCHES = st.lists(
    st.builds(
        lambda of, rows: rejects(of, *rows),
        st.sampled_from(["messages", "sessions"]),
        st.lists(SOME, max_size=8),
    ),
    min_size=1,
    max_size=6,
)


def inputs_in(batch: pa.RecordBatch) -> list[tuple[str, Reject]]:
    return list(zip(batch["input"].to_pylist(), rejects_in(batch), strict=True))


def by_fields(of_input):
    of, reject = of_input
    # Texts in the order of their UTF-8, nothing last.
    texts = [(v is None, v.encode() if isinstance(v, str) else v) for v in reject]
    return texts, of


@given(BATCHES, st.integers(1, 4), st.randoms())
def test_the_first_of_each_input_and_reason(batches, limit, rng):
    everything = sorted((one for b in batches for one in inputs_in(b)), key=by_fields)
    seen, expected = [], []
    for of, reject in everything:
        seen.append((of, reject.reason))
        if seen.count((of, reject.reason)) <= limit:
            expected.append((of, reject))
    found = least_of_each(batches, limit)
    found.validate(full=True)
    assert found.schema == REJECTS
    assert inputs_in(found) == expected

    # One by one, in any order.
    rng.shuffle(batches)
    least = rejects("messages")
    for batch in batches:
        least = least_of_each([least, not_beyond(batch, bounds_of(least, limit))], limit)
    assert inputs_in(least) == expected


def test_what_is_beyond_is_not_sorted():
    rows = [Reject("b", row, "x", "", None, None) for row in (1, 2, 3)]
    bounds = bounds_of(least_of_each([rejects("messages", *rows)], 2), 2)
    assert bounds == {("messages", "x"): ("b", 2)}
    assert bounds_of(rejects("messages", *rows), 4) == {}
    others = [Reject("b", 3, "x", "", None, None), Reject("c", 1, "x", "", None, None)]
    before = [Reject("b", 2, "x", "z", None, None), Reject("a", 9, "x", "", None, None)]
    batch = rejects("messages", *others, *before, Reject("c", 1, "y", "", None, None))
    kept = rejects_in(not_beyond(batch, bounds))
    assert kept == [*before, Reject("c", 1, "y", "", None, None)]
    assert rejects_in(not_beyond(rejects("sessions", *others), bounds)) == others
    assert rejects_in(not_beyond(rejects("messages", *others), {})) == others


def test_reasons_in_words():
    shown = [
        Reject("a.csv", 7, "one", "noon", None, None),
        Reject("b.csv", 8, "two", "", None, None),
        Reject("c.csv", 9, "three", "x", None, None),
        Reject("d.csv", 9, "four", "x", None, None),
    ]
    assert tell_reasons({"four": 1, "one": 1000, "three": 2, "two": 2}, shown) == (
        "one 1,000 (a.csv, row 7: noon), three 2 (c.csv, row 9: x), two 2 (b.csv, row 8), four 1"
    )
    assert tell_remedy({"one": 1}) == "Mend the input"
    assert "--assume_platform" in tell_remedy({"platform_unknown": 1})
