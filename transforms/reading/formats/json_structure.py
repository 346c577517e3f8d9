"""Where a text of JSON has brackets and commas, without parsing it. Pure; no Beam."""

from typing import NamedTuple

import numpy as np

QUOTE, BACKSLASH, COMMA = b'"\\,'

_OPENING, _CLOSING = b"{[", b"}]"

_IS_STRUCTURAL = bytes(byte in b'",{}[]' for byte in range(256))

_DEPTH = np.zeros(256, np.int8)
_DEPTH[[*_OPENING]], _DEPTH[[*_CLOSING]] = 1, -1


class Structure(NamedTuple):
    """Where a text has brackets and commas outside of strings, and how many are open after each."""

    places: np.ndarray
    marks: np.ndarray
    depths: np.ndarray


def structure_of(text: bytes) -> Structure:
    """The structure of a text that begins outside of a string, and may end anywhere.

    >>> places, _, depths = structure_of(b'{"a": [1, "]"]}')
    >>> places.tolist(), depths.tolist()
    ([0, 6, 8, 13, 14], [1, 2, 2, 1, 0])
    """
    data = np.frombuffer(text, np.uint8)
    places = np.flatnonzero(np.frombuffer(text.translate(_IS_STRUCTURAL), bool))
    is_quote = data[places] == QUOTE
    if b"\\" in text:
        is_escaped = np.zeros(len(data) + 1, bool)
        is_escaped[escapes_in(data) + 1] = True
        escaped = is_quote & is_escaped[places]
        places, is_quote = places[~escaped], is_quote[~escaped]
    # Whether the number of quotes so far is even, which a number of eight bits tells as well.
    outside = (np.cumsum(is_quote, dtype=np.uint8) & 1 == 0) & ~is_quote
    places = places[outside]
    marks = data[places]
    return Structure(places, marks, np.cumsum(_DEPTH[marks], dtype=np.int32))


def escapes_in(text: np.ndarray) -> np.ndarray:
    r"""Where escapes begin, such as `\n` and `\"`.

    Of four backslashes and an `n` the first and the third begin one, and the `n` is a letter:

    >>> escapes_in(np.frombuffer(rb"a\\\\n\n", np.uint8)).tolist()
    [1, 3, 6]

    Args:
      text: the bytes of the text.
    """
    backslashes = np.flatnonzero(text == BACKSLASH)
    is_first = np.diff(backslashes, prepend=-2) != 1
    first_of_run = backslashes[is_first][np.cumsum(is_first) - 1]
    return backslashes[(backslashes - first_of_run) % 2 == 0]
