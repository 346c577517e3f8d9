"""The codecs of Avro's blocks: the six that its specification names, whatever packages there are."""

import bz2
import lzma
import zlib
from collections.abc import Callable

import pyarrow as pa
from isal import isal_zlib

# A copy of 64 bytes takes three, so a block of Snappy grows by no more than this.
_MOST_OF_SNAPPY = 32

_CHECKSUM_BYTES = 4


def _inflate(data: bytes) -> bytes:
    # In a third of the time that Polars and fastavro take for it.
    return isal_zlib.decompress(data, -isal_zlib.MAX_WBITS)


def _unpack_xz(data: bytes) -> bytes:
    try:
        return lzma.decompress(data)
    except lzma.LZMAError as error:
        raise ValueError(f"a block is no xz: {error}") from error


def _unpack_snappy(data: bytes) -> bytes:
    """Snappy's own format, which begins with the length of the text, and the text's CRC-32 after it."""
    packed, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    size = shift = 0
    for byte in packed[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if size > _MOST_OF_SNAPPY * (len(packed) + 1):
        raise ValueError("a block has an impossible size")
    plain = pa.decompress(packed, size, "snappy", asbytes=True)
    if zlib.crc32(plain) != int.from_bytes(checksum, "big"):
        raise ValueError("a block has a wrong checksum")
    return plain


def _unpack_zstandard(data: bytes) -> bytes:
    return pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()


_CODECS: dict[str, Callable[[bytes], bytes]] = {
    "null": bytes,
    "deflate": _inflate,
    "bzip2": bz2.decompress,
    "xz": _unpack_xz,
    "snappy": _unpack_snappy,
    "zstandard": _unpack_zstandard,
}

_OF_ARROW = {"snappy": "snappy", "zstandard": "zstd"}


def unpacker(codec: str) -> Callable[[bytes], bytes]:
    """What unpacks the rows of a block.

    Raises:
      ValueError: there is no such codec, or none here; the function raises one, or another error of
        `formats.UNREADABLE`, for a block that is broken.
    """
    if codec not in _CODECS:
        known = ", ".join(_CODECS)
        raise ValueError(f"its codec {codec[:40]!r} is none of those that Avro has: {known}")
    name = _OF_ARROW.get(codec)
    if name and not pa.Codec.is_available(name):
        raise ValueError(f"its codec {codec} is not in the pyarrow that is installed")
    return _CODECS[codec]
