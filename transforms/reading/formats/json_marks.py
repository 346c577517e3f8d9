"""Lines of JSON as places in a block of bytes. Pure; no Beam."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.reading.formats.json_structure import BACKSLASH, QUOTE, escapes_in

# A place is a number of 32 bits.
_MOST_BYTES = (1 << 31) - 1

# The booleans of a slice stay in the processor's cache.
_SLICE_BYTES = 1 << 19

_NEWLINE, _BLANK, _U = b"\n u"

_MAY_BE_ESCAPED = np.isin(np.arange(256), list(b'"\\/bfnrtu'))
_IS_HEX = np.isin(np.arange(256), list(b"0123456789abcdefABCDEF"))


@dataclasses.dataclass(frozen=True)
class Lines:
    """Lines of JSON. Between a mark and the next is no quote that ends a text, and no line end.

    Attributes:
      block: the lines; the last one, too, has its line end.
      marks: where there are quotes and control characters, but for quotes that are escaped.
      escapes: where escapes begin.
    """

    block: bytes
    marks: np.ndarray
    escapes: np.ndarray

    @property
    def line_ends(self) -> np.ndarray:
        """The numbers of those marks that are line ends."""
        return np.flatnonzero(np.frombuffer(self.block, np.uint8)[self.marks] == _NEWLINE)

    def between(self, edges: np.ndarray) -> pa.BinaryArray:
        """What is between each two neighbours of some places, in ascending order, of 32 bits."""
        buffers = [None, pa.py_buffer(edges), pa.py_buffer(self.block)]
        return pa.BinaryArray.from_buffers(pa.binary(), len(edges) - 1, buffers)

    def texts(self, starts: np.ndarray, ends: np.ndarray) -> pa.StringArray:
        """Texts that begin and end at some places; each begins where the one before ends, or later."""
        edges = np.empty(2 * len(starts) + 1, np.int32)
        edges[:-1:2], edges[1::2], edges[-1] = starts, ends, len(self.block)
        # Each text is followed by what is between it and the next.
        texts = self.between(edges).view(pa.string())
        places = pa.array(np.arange(0, 2 * len(starts), 2, dtype=np.int32))
        return pc.take(texts, places, boundscheck=False)

    def have_escapes(self, starts: np.ndarray, ends: np.ndarray) -> bool:
        """Whether any of the texts has an escape."""
        if not self.escapes.size:
            return False
        before, after = np.searchsorted(self.escapes, starts), np.searchsorted(self.escapes, ends)
        return not np.array_equal(before, after)


def lines_of(block: bytes) -> Lines | None:
    """The lines of a block; None if they are no UTF-8, or a backslash begins no escape of JSON."""
    if not block.endswith(b"\n"):
        block += b"\n"
    if len(block) > _MOST_BYTES or not _is_utf8(block):
        return None
    data = np.frombuffer(block, np.uint8)
    is_mark, has_escapes = np.empty(len(data), bool), False
    for start in range(0, len(data), _SLICE_BYTES):
        some, of_some = data[start : start + _SLICE_BYTES], is_mark[start : start + _SLICE_BYTES]
        np.equal(some, QUOTE, out=of_some)
        of_some |= some < _BLANK
        has_escapes |= bool((some == BACKSLASH).any())
    escapes = np.empty(0, np.int64)
    if has_escapes:
        escapes = escapes_in(data)
        escaped = data[escapes + 1]
        digits = escapes[escaped == _U][:, None] + np.arange(2, 6)
        if not _MAY_BE_ESCAPED[escaped].all() or not _IS_HEX[data.take(digits, mode="clip")].all():
            return None
        is_mark[escapes + 1] = False
    return Lines(block, np.flatnonzero(is_mark), escapes)


def _is_utf8(block: bytes) -> bool:
    # Without the interpreter's lock, which `bytes.decode` keeps.
    edges = pa.py_buffer(np.array([0, len(block)], np.int32))
    try:
        pa.StringArray.from_buffers(1, edges, pa.py_buffer(block)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
