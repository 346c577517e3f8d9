"""Texts by whole arrays: UUIDs to bytes and back, order, hashes."""

import string
import uuid

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.plumbing import texts

UUIDS = st.lists(st.uuids().map(str), min_size=1, max_size=20)


@given(UUIDS, st.integers(0, 3))
def test_a_uuid_is_its_16_bytes(ids, start):
    array = pa.array(["x" * start, *ids])[1:]  # an array that begins within its buffer
    packed = texts.pack_uuids(array)
    assert packed.to_pylist() == [uuid.UUID(i).bytes for i in ids]
    assert texts.unpack_uuids(packed).to_pylist() == ids
    assert texts.unpack_uuids(packed[1:]).to_pylist() == ids[1:]


@given(UUIDS)
def test_uuids_sort_as_their_texts_do(ids):
    packed = texts.pack_uuids(pa.array(ids)).to_pylist()
    assert np.argsort(packed, kind="stable").tolist() == np.argsort(ids, kind="stable").tolist()


@given(
    UUIDS,
    st.data(),
    st.integers(0, 35),
    st.sampled_from(string.printable + "gG\x00\x10\x7f") | st.characters(max_codepoint=127),
)
def test_what_is_no_uuid_in_lower_case_is_left_alone(ids, data, place, character):
    index = data.draw(st.integers(0, len(ids) - 1))
    changed = ids[index][:place] + character + ids[index][place + 1 :]
    ids[index] = changed
    still = all(character in "0123456789abcdef" for character in changed.replace("-", ""))
    still = still and [i for i, c in enumerate(changed) if c == "-"] == [8, 13, 18, 23]
    assert (texts.pack_uuids(pa.array(ids)) is not None) == still


@pytest.mark.parametrize(
    "ids", [[], [""], ["m1"], [str(uuid.UUID(int=1)), "m1"], [str(uuid.UUID(int=1))[:-1] + "é"]]
)
def test_other_ids_are_left_alone(ids):
    assert texts.pack_uuids(pa.array(ids, pa.string())) is None


TEXTS = st.text(st.sampled_from("aB\0\xff\u20ac"), max_size=12)


@given(st.lists(TEXTS | TEXTS.map(lambda text: "0Mwbb000" + text), max_size=20), st.integers(0, 3))
def test_texts_are_ordered_by_code_point(found, start):
    array = pa.array(["x"] * start + found, pa.string())[start:]
    order = texts.order_of(array)
    assert sorted(order.tolist()) == list(range(len(found)))
    assert array.take(pa.array(order)).to_pylist() == sorted(found)


@pytest.mark.parametrize("letter", "ABCDEF")
def test_one_letter_in_upper_case_keeps_all_ids_as_texts(letter):
    """Packed, it would be the same as the id in lower case, which is another one."""
    plain = str(uuid.UUID(int=0))
    for place in (i for i, character in enumerate(plain) if character != "-"):
        other = plain[:place] + letter + plain[place + 1 :]
        assert texts.pack_uuids(pa.array([plain, other])) is None


@given(st.lists(st.sampled_from([str(uuid.UUID(int=i)) for i in range(4)]), min_size=2, max_size=9))
def test_alike_have_like_hashes(ids):
    array = pa.array(ids)
    for column in (array, texts.pack_uuids(array)):
        found = texts.hashes(column).tolist()
        assert len(set(found)) == len(set(ids))
        assert [found.index(h) for h in found] == [ids.index(i) for i in ids]


@given(
    st.lists(st.text(max_size=20) | st.text("ab", min_size=63, max_size=66), max_size=9),
    st.lists(st.text(max_size=90), max_size=3),
)
def test_a_stable_hash_is_of_the_text_alone(ids, others):
    alone = {i: texts.stable_hashes(pa.array([i]))[0] for i in ids}
    array = pa.array([*others, *ids], pa.string())[len(others) :]
    assert texts.stable_hashes(array).tolist() == [alone[i] for i in ids]
    together = texts.stable_hashes(pa.array([*others, *ids], pa.string()))
    assert together[len(others) :].tolist() == [alone[i] for i in ids]


def test_a_stable_hash_is_the_same_in_every_version():
    ids = ["", "a", "0Mwbb000007MGoTCAW", "é" * 20, "x" * 64, "x" * 65]
    assert texts.stable_hashes(pa.array(ids)).tolist() == [
        0,
        6110722294915771293,
        2650671933333787492,
        14077376047072915150,
        2398747023135045089,
        17979550226353564146,
    ]


@pytest.mark.parametrize("hashes", [texts.hashes, texts.stable_hashes])
def test_every_byte_and_the_length_make_the_hash(hashes):
    ids = ["", "\0", "a", "a\0", "a" * 8, "a" * 8 + "\0", *("x" * n for n in (63, 64, 65, 1000))]
    ids += ["x" * 20 + "y" + "x" * 43, "x" * 64 + "y", "x" * 999 + "y"]
    assert len(set(hashes(pa.array(ids)).tolist())) == len(ids)


def test_ids_that_differ_in_the_last_bytes_of_words_do_not_collide():
    digits = string.ascii_letters + string.digits
    ids = [f"0000000{a}0000000{b}" for a in digits for b in digits]
    for column in (pa.array(ids), pa.array([i.encode() for i in ids], pa.binary(16))):
        assert len(set((texts.hashes(column) >> np.uint64(32)).tolist())) == len(ids)
