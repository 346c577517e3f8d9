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
      has_escapes: whether there are escapes.
    """

    block: bytes
    marks: np.ndarray
    has_escapes: bool

    @property
    def line_ends(self) -> np.ndarray:
        """The numbers of those marks that are line ends."""
        return np.flatnonzero(np.frombuffer(self.block, np.uint8).take(self.marks) == _NEWLINE)

    def parts(
        self, edges: np.ndarray, numbers: np.ndarray, by_line: bool = False
    ) -> pa.StringArray:
        """Parts of lines. Part i of a line is from its edge i to the next.

        Args:
          edges: shape (lines, edges), of 32 bits, in ascending order from the first line to the last.
          numbers: of the parts, of 32 bits.
          by_line: whether the parts of a line stand together; if not those of a number do.
        """
        firsts = np.arange(0, edges.size, edges.shape[1], dtype=np.int32)
        places = np.add.outer(*((firsts, numbers) if by_line else (numbers, firsts))).ravel()
        buffers = pa.py_buffer(edges), pa.py_buffer(self.block)
        parts = pa.StringArray.from_buffers(max(edges.size - 1, 0), *buffers)
        return pc.take(parts, pa.array(places), boundscheck=False)


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
        # This exchanges a quote, 34, and a blank, 32, and leaves the control characters below 32.
        np.less_equal(some ^ (QUOTE ^ _BLANK), _BLANK, out=of_some)
        has_escapes |= bool((some == BACKSLASH).any())
    if has_escapes:
        escapes = escapes_in(data)
        escaped = data[escapes + 1]
        digits = escapes[escaped == _U][:, None] + np.arange(2, 6)
        if not _MAY_BE_ESCAPED[escaped].all() or not _IS_HEX[data.take(digits, mode="clip")].all():
            return None
        is_mark[escapes + 1] = False
    return Lines(block, np.flatnonzero(is_mark), has_escapes)


def _is_utf8(block: bytes) -> bool:
    # Without the interpreter's lock, which `bytes.decode` keeps.
    edges = pa.py_buffer(np.array([0, len(block)], np.int32))
    try:
        pa.StringArray.from_buffers(1, edges, pa.py_buffer(block)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
