"""Text columns as matrices of bytes, for work by whole arrays."""

import binascii

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

_SHORT_BYTES = 64  # of texts that are hashed side by side: longer ones would be mostly padding

_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: Knuth's multiplicative hash

_UUID_DASHES = [8, 13, 18, 23]

_UUID_TEXT = np.dtype(  # its digits, without the dashes, in words and halves of words
    {
        "names": list("012345"),
        "formats": ["<u8", "<u4", "<u4", "<u4", "<u4", "<u8"],
        "offsets": [0, 9, 14, 19, 24, 28],
        "itemsize": 36,
    }
)


def lengths_of(texts: pa.Array) -> NDArray[np.int64]:
    """The number of UTF-8 bytes of each text. No nulls."""
    return np.diff(_offsets(texts)).astype(np.int64)


def bytes_of(texts: pa.Array) -> pa.Buffer:
    """The bytes of all, end to end. No nulls."""
    offsets = _offsets(texts)
    return (texts.buffers()[2] or pa.py_buffer(b""))[int(offsets[0]) : int(offsets[-1])]


def hashes(texts: pa.Array) -> NDArray[np.uint64]:
    """A quick hash of each text: always the same for the same text, seldom for others.

    Takes texts, or what `pack_uuids` made of them: not with the same hashes. No nulls.
    """
    if pa.types.is_fixed_size_binary(texts.type):
        words = fixed_bytes(texts).view("<u8")
        return _mixed(words, np.full(len(texts), texts.type.byte_width))
    lengths = lengths_of(texts)
    short = lengths <= _SHORT_BYTES
    if short.all():
        return _mixed(_byte_matrix(texts, lengths).view("<u8"), lengths)
    hashed = np.empty(len(texts), np.uint64)
    hashed[short] = hashes(texts.filter(pa.array(short)))
    others = texts.filter(pa.array(~short)).cast(pa.binary()).to_pylist()
    hashed[~short] = [xxhash.xxh3_64_intdigest(text) for text in others]
    return hashed


def _byte_matrix(texts: pa.Array, lengths: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The bytes of each text, filled up with zeros to whole words of eight."""
    width = -(-int(lengths.max(initial=0)) // 8) * 8
    data = np.frombuffer(bytes_of(texts), np.uint8)
    matrix = np.zeros((len(texts), width), np.uint8)
    if len(texts) and (lengths == lengths[0]).all():
        matrix[:, : lengths[0]] = data.reshape(len(texts), -1)
    else:
        matrix[np.arange(width) < lengths[:, None]] = data
    return matrix


def _mixed(words: NDArray[np.uint64], lengths: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A hash of the words that each text has, so that those beyond its length make no difference."""
    mixed = lengths.astype(np.uint64)
    shortest = int(lengths.min(initial=_SHORT_BYTES))
    for place in range(words.shape[1]):
        following = (mixed ^ words[:, place]) * _FACTOR
        following ^= following >> np.uint64(29)
        if 8 * place < shortest:
            mixed = following
        else:
            np.copyto(mixed, following, where=lengths > 8 * place)
    return mixed


def fixed_bytes(array: pa.FixedSizeBinaryArray) -> NDArray[np.uint8]:
    """The bytes of each value, shape (values, width). No nulls."""
    width = array.type.byte_width
    data = np.frombuffer(array.buffers()[1] or b"", np.uint8)
    return data[array.offset * width : (array.offset + len(array)) * width].reshape(-1, width)


def pack_uuids(texts: pa.Array) -> pa.FixedSizeBinaryArray | None:
    """UUIDs as their 16 bytes, which sort as the texts do; None if any is not 36 lower-case characters.

    Eight digits are worked on at once, as the bytes of a word.
    """
    offsets = _offsets(texts)
    if not len(texts) or not (np.diff(offsets) == _UUID_TEXT.itemsize).all():
        return None
    data = np.frombuffer(texts.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    if not (data.reshape(len(texts), -1)[:, _UUID_DASHES] == ord("-")).all():
        return None
    fields = data.view(_UUID_TEXT)
    words = np.empty((4, len(texts)), "<u8")
    halves = words.view("<u4").reshape(4, len(texts), 2)
    words[0], words[3] = fields["0"], fields["5"]
    halves[1, :, 0], halves[1, :, 1] = fields["1"], fields["2"]
    halves[2, :, 0], halves[2, :, 1] = fields["3"], fields["4"]
    packed = np.empty((len(texts), 4), "<u4")
    for place, word in enumerate(words):
        digits = word >> np.uint64(6)
        digits &= _each(0x01)
        digits *= np.uint64(9)  # letters begin at 0x61
        digits += word & _each(0x0F)
        again = digits + _each(6)
        again >>= np.uint64(4)
        again &= _each(0x01)
        again *= np.uint64(ord("a") - ord("0") - 10)
        again += digits
        again += _each(ord("0"))
        again ^= word
        again |= digits & _each(0xF0)
        if again.any():  # some character is no digit
            return None
        digits = digits << np.uint64(4) | digits >> np.uint64(8)
        digits &= np.uint64(0x00FF00FF00FF00FF)
        digits |= digits >> np.uint64(8)
        digits &= np.uint64(0x0000FFFF0000FFFF)
        digits |= digits >> np.uint64(16)
        packed[:, place] = digits.astype("<u4")
    kind = pa.binary(16)
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(texts), [None, pa.py_buffer(packed)])


def unpack_uuids(packed: pa.FixedSizeBinaryArray) -> pa.StringArray:
    """The texts that `pack_uuids` took."""
    digits = np.frombuffer(binascii.hexlify(fixed_bytes(packed).tobytes()), np.uint8).reshape(
        -1, 32
    )
    data = np.full((len(packed), _UUID_TEXT.itemsize), ord("-"), np.uint8)
    data[:, np.delete(np.arange(_UUID_TEXT.itemsize), _UUID_DASHES)] = digits
    offsets = np.arange(0, data.size + 1, _UUID_TEXT.itemsize, dtype=np.int32)
    return pa.StringArray.from_buffers(len(packed), pa.py_buffer(offsets), pa.py_buffer(data))


def _each(byte: int) -> np.uint64:
    """A word of eight such bytes."""
    return np.uint64(byte * 0x0101010101010101)


def _offsets(texts: pa.Array) -> NDArray[np.int32]:
    offsets = np.frombuffer(texts.buffers()[1] or bytes(4), np.int32)
    return offsets[texts.offset : texts.offset + len(texts) + 1]
