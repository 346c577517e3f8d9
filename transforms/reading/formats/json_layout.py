r"""The layout of a line of JSON: what is around its values. Pure; no Beam.

The lines that a program writes are alike but for their values. Here the layout is four pieces, which both
lines have:

    1111111  22222222 333333333     44
    {"Id":"m1","Seq":7,"Text":"Hello"}
    {"Id":"m2","Seq":12,"Text":"Hi\n"}
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from transforms.reading.formats.json_values import KEYS_OF_PAGES, may_be_pages, value_of
from transforms.reading.formats.parts import leading_parts, look_up

# Each piece takes time of its own, and lines of so many values seldom have the same layout.
_MOST_VALUES = 256

_TOKEN = re.compile(
    rb"""
    " [^"\\]* (?: \\. [^"\\]* )* " (?P<colon> \s*: )?
    # The next mark tells where a bare value ends, so no other value may be before it.
    | (?P<bare> [-+.\w]+ ) (?= [\s,\[\]{}]* ["\n] )
    """,
    re.VERBOSE | re.DOTALL,
)
_MARK = re.compile(rb'["\x00-\x1f]')

BARE = r"\A(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null)\z"
"""The pattern, for RE2, of bare values: all but texts, lists and objects."""


class Layout(NamedTuple):
    """A layout. Its marks are its quotes and control characters, line ends among them.

    Attributes:
      pieces: what is before, between and after the values. The quotes of a text are in the pieces.
      first_marks: of each piece where its first mark is.
      num_marks: of each piece how many marks it has; it has one at least.
      are_texts: of each value whether it is a text; if not it is bare.
      wanted: the places of the values that have the wanted names.
    """

    pieces: list[bytes]
    first_marks: list[int]
    num_marks: list[int]
    are_texts: list[bool]
    wanted: dict[str, int]

    @property
    def piece_marks(self) -> np.ndarray:
        """Of each piece the number of its first mark among the marks of a line."""
        return np.cumsum(self.num_marks) - self.num_marks


def layout_of(line: bytes, names: Sequence[str]) -> Layout | None:
    r"""The layout of a line. None if it is no row, or a wanted value is none that a column can have.

    >>> layout = layout_of(b'{"Id":"m1","Seq":7}\n', ["Seq", "Other"])
    >>> layout.pieces, layout.are_texts, layout.wanted
    ([b'{"Id":"', b'","Seq":', b'}\n'], [True, False], {'Seq': 1})

    Args:
      line: the line, with its line end.
      names: the names of the wanted values, nested ones with dots.
    """
    if may_be_pages({key for key in KEYS_OF_PAGES if f'"{key}"'.encode() in line}):
        return None
    try:
        # Where a quote is never closed the search for values would go to the end from each one.
        is_row = isinstance(value_of(line), dict)
    except (ValueError, RecursionError):
        return None
    if not is_row:
        return None
    pieces, are_texts, end = [], [], 0
    for token in _TOKEN.finditer(line):
        if token["colon"] is None:
            is_text = token["bare"] is None
            pieces.append(line[end : token.start() + is_text])
            are_texts.append(is_text)
            end = token.end() - is_text
            if len(pieces) > _MOST_VALUES:
                return None
    pieces.append(line[end:])
    # Escapes are looked for in values only.
    if any(b"\\" in piece for piece in pieces):
        return None
    wanted = _places(value_of(_numbered(pieces, are_texts)), names, are_texts)
    if wanted is None:
        return None
    marks = [[mark.start() for mark in _MARK.finditer(piece)] for piece in pieces]
    return Layout(pieces, [one[0] for one in marks], [*map(len, marks)], are_texts, wanted)


def _numbered(pieces: Sequence[bytes], are_texts: Sequence[bool]) -> bytes:
    """The line with the place of each value, as text, as the value."""
    places = (b"%d" if is_text else b'"%d"' for is_text in are_texts)
    values = (place % number for number, place in enumerate(places))
    return b"".join(part for pair in zip(pieces, [*values, b""], strict=True) for part in pair)


def _places(
    row: dict[str, Any], names: Sequence[str], are_texts: Sequence[bool]
) -> dict[str, int] | None:
    """The places of the values that have the names; None if one has other than a scalar, or several.

    Args:
      row: has the place of each value, as text, as the value.
      names: the names.
      are_texts: of each value whether it is a text.
    """
    places = {}
    for name in names:
        outer = [look_up(row, part) for part in leading_parts(name)][1:]
        # A text that the name leads into may be JSON, and have the value.
        if any(isinstance(one, str) and are_texts[int(one)] for one in outer):
            return None
        found = look_up(row, name)
        if found is None:
            continue
        if not isinstance(found, str) or (name in row and any(one is not None for one in outer)):
            return None
        places[name] = int(found)
    return places
