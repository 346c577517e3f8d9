"""Text columns as matrices of bytes, for work by whole arrays."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_HASHED_BYTES = 64
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: Knuth's multiplicative hash


def lengths_of(texts: pa.Array) -> NDArray[np.int64]:
    """The number of UTF-8 bytes of each text. No nulls."""
    return np.diff(_offsets(texts)).astype(np.int64)


def byte_matrix(texts: pa.Array, width: int) -> NDArray[np.uint8]:
    """The first `width` bytes of each text, shape (texts, width), filled up with zeros. No nulls."""
    offsets = _offsets(texts)
    data = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    lengths = np.diff(offsets)
    matrix = np.zeros((len(texts), width), np.uint8)
    if len(texts) and (lengths == lengths[0]).all():
        same = min(width, int(lengths[0]))
        matrix[:, :same] = data.reshape(len(texts), -1)[:, :same]
        return matrix
    used = np.arange(width) < lengths[:, None]
    if lengths.max(initial=0) > width:
        starts = offsets[:-1, None] - offsets[0] + np.arange(width)
        matrix[used] = data[starts[used]]
    else:
        matrix[used] = data
    return matrix


def hashes(texts: pa.Array, seed: NDArray[np.integer]) -> NDArray[np.uint64]:
    """A quick hash of each text's beginning and length with a seed: alike for the same, seldom else."""
    words = byte_matrix(texts, _width(texts)).view("<u8")
    mixed = (seed.astype(np.uint64) << np.uint64(32)) + lengths_of(texts).astype(np.uint64)
    for place in range(words.shape[1]):
        mixed = (mixed ^ words[:, place]) * _FACTOR
        mixed ^= mixed >> np.uint64(29)
    return mixed


def _width(texts: pa.Array) -> int:
    longest = int(lengths_of(texts).max(initial=0))
    return min(_HASHED_BYTES, -(-longest // 8) * 8)


def _offsets(texts: pa.Array) -> NDArray[np.int32]:
    offsets = np.frombuffer(texts.buffers()[1] or bytes(4), np.int32)
    return offsets[texts.offset : texts.offset + len(texts) + 1]
