"""The codecs of Avro's blocks, one by one."""

import types
import zlib

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.reading.formats.avro_codecs import unpacker


def snappy(plain):
    packed = pa.compress(plain, codec="snappy", asbytes=True)
    return packed + zlib.crc32(plain).to_bytes(4, "big")


@given(st.binary(max_size=2000) | st.binary(max_size=9).map(lambda some: some * 5000))
def test_snappy_and_zstandard(plain):
    assert unpacker("snappy")(snappy(plain)) == plain
    assert unpacker("zstandard")(pa.compress(plain, codec="zstd", asbytes=True)) == plain


def test_a_wrong_checksum_is_told():
    with pytest.raises(ValueError, match=r"^a block has a wrong checksum$"):
        unpacker("snappy")(snappy(b"abc")[:-1] + b"x")


@pytest.mark.parametrize("length", [b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\xff", b"\x80\x10"])
def test_a_length_that_can_not_be_is_told_before_there_is_room_for_it(length):
    with pytest.raises(ValueError, match=r"^a block has an impossible size$"):
        unpacker("snappy")(length + b"abcd")


def test_a_block_that_is_no_xz_is_told():
    with pytest.raises(ValueError, match=r"^a block is no xz: "):
        unpacker("xz")(b"nonsense")


def test_a_codec_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr(pa, "Codec", types.SimpleNamespace(is_available=lambda name: False))
    with pytest.raises(ValueError, match=r"^its codec snappy is not in the pyarrow"):
        unpacker("snappy")
    assert unpacker("null")(b"a") == b"a"
