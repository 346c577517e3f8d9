"""Lines of JSON that have few layouts as whole columns, without a value of each line. Pure; no Beam.

A line fits a layout if it has the pieces of the layout, in their order, and a value between any two. It
is JSON then, and its values are where those of the layout are, so no parser need look at it. That takes
half the time of Polars (docs/performance.md).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.plumbing.texts import bytes_of, lengths_of
from transforms.reading.formats.json_layout import BARE, Layout, layout_of
from transforms.reading.formats.json_marks import Lines, lines_of
from transforms.reading.formats.json_structure import BACKSLASH

# The bytes of so many lines stay in the processor's cache while they are compared and copied.
_LINES_AT_ONCE = 1 << 12

# Other blocks are mostly known by their first lines.
_HEAD_BYTES = 1 << 16

# With more layouts, or where lines are compared with more of them on average, Polars is quicker.
_MOST_LAYOUTS, _MOST_COMPARED = 8, 1.5

# So many digits are always a whole number of 64 bits.
_MOST_DIGITS = 18


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


def one_of_each_layout(block: bytes) -> list[bytes] | None:
    """Of a block of lines that have few layouts the first line of each; None for any other block.

    They have the keys of all lines between them.
    """
    found = _find(block, [])
    return found.first_lines if found else None


def _decode(block: bytes, names: Sequence[str]) -> Decoded | None:
    found = _find(block, names)
    if found is None:
        return None
    columns = {}
    for name, values in found.values.items():
        column = _column(values, found)
        if column is None:
            return None
        if column.null_count < found.num_lines:
            columns[name] = column
    return Decoded(found.num_lines, columns)


class _Values(NamedTuple):
    """The values of one name in lines of one layout.

    Attributes:
      lines: the numbers of the lines.
      texts: what they have; of a bare value, too, the text.
      are_texts: whether the values are texts; if not they are bare.
    """

    lines: np.ndarray
    texts: pa.StringArray
    are_texts: bool


class _Found(NamedTuple):
    """What is found in a block.

    Attributes:
      num_lines: how many lines it has.
      has_escapes: whether there are escapes in it.
      first_lines: of each layout the first line that has it.
      values: of each wanted name the values, layout by layout.
    """

    num_lines: int
    has_escapes: bool
    first_lines: list[bytes]
    values: dict[str, list[_Values]]

    def add(
        self, layout: Layout, first: bytes, lines: np.ndarray, texts: list[dict[str, pa.Array]]
    ) -> None:
        """Adds what lines of one layout have; `texts` are those of `_fit`."""
        self.first_lines.append(first)
        for name, place in layout.wanted.items():
            found = pa.concat_arrays([some[name] for some in texts])
            values = _Values(lines, found, layout.are_texts[place])
            self.values.setdefault(name, []).append(values)


def _find(block: bytes, names: Sequence[str]) -> _Found | None:
    layout = layout_of(block[: block.find(b"\n") + 1] or block + b"\n", names)
    lines = lines_of(block) if layout else None
    if layout is None or lines is None:
        return None
    return _by_one(lines, layout) or _by_several(lines, names)


def _by_one(lines: Lines, layout: Layout) -> _Found | None:
    """What is found in lines that all fit one layout; None if one does not."""
    num_marks = sum(layout.num_marks)
    if len(lines.marks) % num_marks:
        return None
    marks = lines.marks.reshape(-1, num_marks)
    ends = marks[:, -1] + 1
    starts = np.append(0, ends[:-1])
    texts = []
    for fits, of_some in _fit(lines, marks[:, layout.piece_marks], starts, ends, layout):
        if not fits.all():
            return None
        texts.append(of_some)
    found = _Found(len(marks), lines.has_escapes, [], {})
    found.add(layout, lines.block[: ends[0]], np.arange(len(marks)), texts)
    return found


def _by_several(lines: Lines, names: Sequence[str]) -> _Found | None:
    """What is found in lines of several layouts; None if these are too many, or a line has none.

    Lines are compared with a layout if they have as many marks.

    Args:
      lines: the lines.
      names: the names of the wanted values.
    """
    last_marks = lines.line_ends
    first_marks = np.append(0, last_marks[:-1] + 1)
    ends = lines.marks[last_marks] + 1
    starts = np.append(0, ends[:-1])
    found = _Found(len(starts), lines.has_escapes, [], {})
    is_left, left, compared = np.ones(len(starts), bool), np.arange(len(starts)), 0
    for _ in range(_MOST_LAYOUTS):
        first = lines.block[starts[left[0]] : ends[left[0]]]
        layout = layout_of(first, names)
        if layout is None:
            return None
        num_marks = sum(layout.num_marks)
        some = left[(last_marks - first_marks + 1)[left] == num_marks]
        compared += len(some)
        if compared > _MOST_COMPARED * len(starts):
            return None
        marks = lines.marks.take(first_marks[some][:, None] + layout.piece_marks)
        fitting = [*_fit(lines, marks, starts[some], ends[some], layout)]
        some = some[np.concatenate([np.empty(0, bool), *(fits for fits, _ in fitting)])]
        if not len(some):
            return None
        found.add(layout, first, some, [texts for _, texts in fitting])
        is_left[some] = False
        left = left[is_left[left]]
        if not len(left):
            return found
    return None


def _fit(
    lines: Lines, marks: np.ndarray, starts: np.ndarray, ends: np.ndarray, layout: Layout
) -> Iterator[tuple[np.ndarray, dict[str, pa.StringArray]]]:
    """How lines fit a layout, some lines at once.

    Between pieces there is no mark, so a piece can only be where its first mark is. A line fits if the
    pieces are there:

        line     {"Id":"m1","Seq":7}      marks  1 4 6 9 11 15 19, the last a line end
        pieces   {"Id":"  ","Seq": }      edges  0 7 9 17 18 20
        values          m1        7

    Args:
      lines: has the lines.
      marks: shape (lines, pieces), where the first mark of each piece would be.
      starts: shape (lines,), where each line begins.
      ends: shape (lines,), where it ends, with its line end.
      layout: the layout.

    Yields:
      Whether each of the lines fits, and of those that do the wanted values by name.
    """
    lengths = np.array([*map(len, layout.pieces)])
    text = np.frombuffer(b"".join(layout.pieces), np.uint8)
    pieces = np.arange(0, 2 * len(lengths), 2, dtype=np.int32)
    # A value is between two pieces.
    values = 2 * np.array([*layout.wanted.values()], np.int32) + 1
    bare = 2 * np.flatnonzero(~np.array(layout.are_texts, bool)).astype(np.int32) + 1
    for start in range(0, len(marks), _LINES_AT_ONCE):
        some = slice(start, start + _LINES_AT_ONCE)
        edges = np.empty((len(marks[some]), 2 * len(lengths)), np.int32)
        np.subtract(marks[some], layout.first_marks, out=edges[:, ::2], casting="unsafe")
        np.add(edges[:, ::2], lengths, out=edges[:, 1::2], casting="unsafe")
        fits = (edges[:, 0] == starts[some]) & (edges[:, -1] == ends[some])
        if not fits.all() or (np.diff(edges.ravel()) < 0).any():
            fits &= (np.diff(edges, axis=1) >= 0).all(axis=1)
            edges = edges[fits]
        found = bytes_of(lines.parts(edges, pieces, by_line=True))
        same = np.frombuffer(found, np.uint8).reshape(len(edges), len(text)) == text
        if not same.all():
            fits[fits] = are_same = same.all(axis=1)
            edges = edges[are_same]
        for number in bare[:, None]:
            are_bare = _are_bare(lines.parts(edges, number))
            if not are_bare.all():
                fits[fits] = are_bare
                edges = edges[are_bare]
        texts = lines.parts(edges, values)
        count = len(edges)
        yield fits, {name: texts.slice(i * count, count) for i, name in enumerate(layout.wanted)}


def _are_bare(texts: pa.StringArray) -> np.ndarray:
    """Whether each text is a bare value."""
    if _are_whole(texts):
        return np.ones(len(texts), bool)
    return pc.match_substring_regex(texts, BARE).to_numpy(zero_copy_only=False)


def _are_whole(texts: pa.StringArray) -> bool:
    """Whether all texts are whole numbers from 0."""
    lengths = lengths_of(texts)
    digits = np.frombuffer(bytes_of(texts), np.uint8) - np.uint8(ord("0"))
    if (digits > 9).any() or not lengths.all() or (lengths > _MOST_DIGITS).any():
        return False
    firsts = digits[np.cumsum(lengths) - lengths]
    return not ((firsts == 0) & (lengths > 1)).any()


def _column(values: Sequence[_Values], found: _Found) -> pa.Array | None:
    """The values as a column; None if it can't have them, or one has an escape."""
    of_texts = [one for one in values if one.are_texts]
    bare = [one for one in values if not one.are_texts]
    if found.has_escapes and any(_have_escapes(one.texts) for one in of_texts):
        return None
    if bare:
        scalars = _scalars(pa.concat_arrays([one.texts for one in bare]))
        if scalars is None or (of_texts and scalars.null_count < len(scalars)):
            return None
        column, there = scalars, bare
    if of_texts:
        column, there = pa.concat_arrays([one.texts for one in of_texts]), of_texts
    if len(there) == 1 and len(column) == found.num_lines:
        return column
    places = np.full(found.num_lines, -1)
    places[np.concatenate([one.lines for one in there])] = np.arange(len(column))
    return column.take(pa.array(places, mask=places < 0))


def _have_escapes(texts: pa.StringArray) -> bool:
    return bool((np.frombuffer(bytes_of(texts), np.uint8) == BACKSLASH).any())


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
