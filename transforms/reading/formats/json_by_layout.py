"""Lines of JSON that have few layouts as whole columns, without a value of each line. Pure; no Beam.

A line fits a layout if it has the pieces of the layout, in their order, and a value between any two. It
is JSON then, and its values are where those of the layout are, so no parser need look at it. That takes
half the time of Polars (docs/performance.md).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.plumbing.texts import bytes_of, lengths_of
from transforms.reading.formats.json_layout import BARE, Layout, layout_of
from transforms.reading.formats.json_marks import Lines, lines_of

# The bytes of so many lines stay in the processor's cache while they are compared with each piece.
_LINES_AT_ONCE = 1 << 12

# Other blocks are mostly known by their first lines.
_HEAD_BYTES = 1 << 16

# With more layouts, or where lines are compared with more of them on average, Polars is quicker.
_MOST_LAYOUTS, _MOST_COMPARED = 4, 1.5

# So many digits are always a whole number of 64 bits.
_MOST_DIGITS = 18

_ABSENT, _TEXT, _BARE = range(3)


class Decoded(NamedTuple):
    """The columns of so many lines."""

    num_lines: int
    columns: dict[str, pa.Array]


def decode_by_layout(block: bytes, names: Sequence[str]) -> Decoded | None:
    """The columns of a block of lines that have few layouts; None for any other block.

    Args:
      block: whole lines.
      names: the columns that are asked for, nested ones with dots; one that no row has is left out.
    """
    head = block[: block.find(b"\n", _HEAD_BYTES) + 1]
    return _decode(block, names) if not head or _decode(head, names) else None


def _decode(block: bytes, names: Sequence[str]) -> Decoded | None:
    layout = layout_of(block[: block.find(b"\n") + 1] or block + b"\n", names)
    lines = lines_of(block) if layout else None
    if layout is None or lines is None:
        return None
    found = _by_one(lines, layout) or _by_several(lines, layout, names)
    if found is None:
        return None
    num_lines, wanted = found
    columns = {}
    for name, values in wanted.items():
        column = _column(lines, values)
        if column is None:
            return None
        if column.null_count < num_lines:
            columns[name] = column
    return Decoded(num_lines, columns)


class _Values(NamedTuple):
    """Values of lines, in their order: where they begin and end, and of which kind each is."""

    starts: np.ndarray
    ends: np.ndarray
    kinds: np.ndarray

    @classmethod
    def absent(cls, num_lines: int) -> "_Values":
        """The values of lines that have none."""
        starts, ends = np.zeros((2, num_lines), np.int32)
        return cls(starts, ends, np.full(num_lines, _ABSENT, np.int8))

    def of_kind(self, kind: int) -> "_Values":
        """Those of a kind."""
        there = self.kinds == kind
        return self if there.all() else _Values(*(one[there] for one in self))


_Found = tuple[int, dict[str, _Values]]
"""The number of lines, and their wanted values."""


def _by_one(lines: Lines, layout: Layout) -> _Found | None:
    """The values of lines that all fit one layout; None if one does not."""
    num_marks = sum(layout.num_marks)
    if len(lines.marks) % num_marks:
        return None
    first_marks = np.arange(0, len(lines.marks), num_marks)
    # If it is not so, some of the first lines mostly tell.
    if not _fit(lines, first_marks[:_LINES_AT_ONCE], layout).fits.all():
        return None
    fit = _fit(lines, first_marks, layout)
    # Each line begins where the one before ends.
    if not fit.fits.all() or (fit.starts[1:] != fit.ends[:-1]).any():
        return None
    return len(fit.fits), {name: fit.values[place] for name, place in layout.wanted.items()}


def _by_several(lines: Lines, layout: Layout, names: Sequence[str]) -> _Found | None:
    """The values of lines of several layouts; None if these are too many, or a line has none.

    Lines are compared with a layout if they have as many marks.

    Args:
      lines: the lines.
      layout: that of the first one.
      names: the names of the wanted values.
    """
    last_marks = lines.line_ends
    first_marks = np.append(0, last_marks[:-1] + 1)
    ends = lines.marks[last_marks] + 1
    starts = np.append(0, ends[:-1])
    found: dict[str, _Values] = {}
    left, compared = np.arange(len(starts)), 0
    for _ in range(_MOST_LAYOUTS):
        num_marks = sum(layout.num_marks)
        some = left[(last_marks - first_marks + 1)[left] == num_marks]
        compared += len(some)
        if compared > _MOST_COMPARED * len(starts):
            return None
        fit = _fit(lines, first_marks[some], layout)
        fits = fit.fits & (fit.starts == starts[some])
        for name, place in layout.wanted.items():
            values = found.setdefault(name, _Values.absent(len(starts)))
            for of_all, of_some in zip(values, fit.values[place], strict=True):
                of_all[some[fits]] = of_some[fits]
        left = left[~np.isin(left, some[fits], assume_unique=True)]
        if not len(left):
            return len(starts), found
        following = layout_of(lines.block[starts[left[0]] : ends[left[0]]], names)
        if following is None:
            return None
        layout = following
    return None


class _Fit(NamedTuple):
    """How lines fit a layout.

    Attributes:
      fits: whether each does. The rest says something of those lines only.
      starts: where each line begins.
      ends: where it ends, its line end included.
      values: each value of the layout in all lines.
    """

    fits: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    values: list[_Values]


def _fit(lines: Lines, first_marks: np.ndarray, layout: Layout) -> _Fit:
    """How lines fit a layout.

    Args:
      lines: has the lines.
      first_marks: the number of the first mark of each of them; each has as many as the layout.
      layout: the layout.
    """
    num_lines = len(first_marks)
    # Where each piece begins in each line, as its first mark tells, for between pieces there is no mark.
    # After the last line, where the block ends.
    places = np.full((len(layout.pieces), num_lines + 1), len(lines.block), np.int32)
    at = 0
    for row, first, count in zip(places, layout.first_marks, layout.num_marks, strict=True):
        np.subtract(lines.marks.take(first_marks + at), first, out=row[:-1], casting="unsafe")
        at += count
    fits = np.ones(num_lines, bool)
    # From the piece of one line to that of the next.
    texts = [lines.between(edges) for edges in places]
    for start in range(0, num_lines, _LINES_AT_ONCE):
        for piece, of_lines in zip(layout.pieces, texts, strict=True):
            some = of_lines.slice(start, _LINES_AT_ONCE)
            have = pc.starts_with(some, piece)
            if have.true_count < len(some):
                fits[start : start + len(some)] &= have.to_numpy(zero_copy_only=False)
    before = places[:, :-1]
    after = before + np.array([*map(len, layout.pieces)], np.int32)[:, None]
    values = []
    for is_text, starts, ends in zip(layout.are_texts, after[:-1], before[1:], strict=True):
        values.append(
            _Values(starts, ends, np.full(num_lines, _TEXT if is_text else _BARE, np.int8))
        )
        if not is_text:
            fits &= starts < ends
            fits[fits] = _are_bare(lines.texts(starts[fits], ends[fits]))
    return _Fit(fits, before[0], after[-1], values)


def _are_bare(texts: pa.StringArray) -> np.ndarray:
    """Whether each text is a bare value."""
    if _are_whole(texts):
        return np.ones(len(texts), bool)
    return pc.match_substring_regex(texts, BARE).to_numpy(zero_copy_only=False)


def _are_whole(texts: pa.StringArray) -> bool:
    """Whether all texts are whole numbers from 0."""
    lengths = lengths_of(texts)
    digits = np.frombuffer(bytes_of(texts), np.uint8) - np.uint8(ord("0"))
    if (digits > 9).any() or (lengths > _MOST_DIGITS).any():
        return False
    firsts = digits[np.cumsum(lengths) - lengths]
    return not ((firsts == 0) & (lengths > 1)).any()


def _column(lines: Lines, values: _Values) -> pa.Array | None:
    """The values as a column; None if it can't have them, or one has an escape."""
    texts, bare = values.of_kind(_TEXT), values.of_kind(_BARE)
    if lines.have_escapes(texts.starts, texts.ends):
        return None
    kind, column = _TEXT, lines.texts(texts.starts, texts.ends)
    if bare.kinds.size:
        scalars = _scalars(lines.texts(bare.starts, bare.ends))
        if scalars is None or (len(column) and scalars.null_count < len(scalars)):
            return None
        if not len(column):
            kind, column = _BARE, scalars
    if len(column) == len(values.kinds):
        return column
    there = values.kinds == kind
    return column.take(pa.array(np.cumsum(there) - 1, mask=~there))


def _scalars(texts: pa.StringArray) -> pa.Array | None:
    """Bare values, if they are all whole numbers, or all booleans, or nulls; else None."""
    if _are_whole(texts):
        return texts.cast(pa.int64())
    texts = pc.if_else(pc.equal(texts, "null"), None, texts)
    values = texts.drop_null()
    if not len(values):
        return pa.nulls(len(texts))
    if pc.all(pc.is_in(values, pa.array(["true", "false"]))).as_py():
        return pc.equal(texts, "true")
    return texts.cast(pa.int64()) if _are_whole(values) else None
