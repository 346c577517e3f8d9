"""What other inputs say of the rows."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from transforms.batches import CHANNELS, PARTICIPANTS
from transforms.plumbing import texts
from transforms.reading.lookups import NO_LOOKUPS, Lookup, Lookups


def lookup(*rows):
    table = pa.table({"id": [i for i, _ in rows], "number": [n for _, n in rows]})
    return Lookup(table.cast(pa.schema([("id", pa.string()), ("number", pa.int8())])))


def find(one, *ids):
    found = one.find(pa.array(ids, pa.string()))
    assert found.type == pa.int8()
    return found.to_pylist()


def test_the_number_of_each_id():
    one = lookup(("a", 1), ("b", 0), ("long " * 20, 2))
    assert find(one, "b", "a", "c", None, "", "long " * 20, "b") == [0, 1, None, None, None, 2, 0]
    assert find(one) == []


def test_a_lookup_of_nothing():
    assert find(lookup(), "a", None) == [None, None]
    for one in NO_LOOKUPS:
        assert find(one, "a") == [None]


def test_of_an_id_with_several_numbers_the_greatest_counts():
    rows = [("a", 1), ("b", 0), ("a", 3), ("b", 0), ("a", 2)]
    for order in (rows, rows[::-1]):
        assert find(lookup(*order), "a", "b") == [3, 0]


def collision():
    """Two texts of 16 bytes that have one hash: the second word makes up for the first."""
    words = np.array([f"{number:08}".encode() for number in range(5000)]).view("<u8")[:, None]
    halves = texts._mixed(words, np.full(len(words), 16))
    for word, half in zip(words[1:], halves[1:], strict=True):
        second = bytes(byte ^ ord("a") for byte in int(halves[0] ^ half).to_bytes(8, "little"))
        if second.isascii():
            return bytes(words[0]).decode() + "a" * 8, (bytes(word) + second).decode()
    raise AssertionError("there are no two such texts")


def test_ids_with_one_hash_are_told_apart():
    a, b = collision()
    one, other = texts.stable_hashes(pa.array([a, b]))
    assert one == other
    assert a != b
    for order in ([(a, 1), (b, 2)], [(b, 2), (a, 1)], [(a, 2), (b, 1)]):
        assert find(lookup(*order), a, b, "c") == [dict(order)[a], dict(order)[b], None]
    assert find(lookup((a, 1)), b, a) == [None, 1]
    assert find(lookup((a, 1), (b, 2), (a, 3)), a, b) == [3, 2]
    assert find(lookup((b, 1), (a, 2), (b, 3), (a, 0)), a, b) == [2, 3]


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 3))),
    st.lists(st.sampled_from("abcdefgh") | st.none()),
)
def test_a_lookup_is_a_dictionary(rows, ids):
    expected = {key: max(n for k, n in rows if k == key) for key, _ in rows}
    assert find(lookup(*rows), *ids) == [expected.get(key) for key in ids]


def test_lookups_of_batches_in_any_order():
    channels = pa.RecordBatch.from_pydict({"channel_id": ["c"], "platform": [1]}, CHANNELS)
    some, more = (
        pa.RecordBatch.from_pydict({"participant_id": [name], "sender": [sender]}, PARTICIPANTS)
        for name, sender in (("c", 2), ("d", 0))
    )
    for order in ([channels, some, more], [more, some, channels]):
        lookups = Lookups.of(order)
        assert find(lookups.platforms, "c", "d") == [1, None]
        assert find(lookups.senders, "c", "d") == [2, 0]
    assert find(Lookups.of([some]).platforms, "c") == [None]
