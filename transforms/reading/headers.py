"""What an error may show of a file's header, which may be a row of a customer's words. Pure; no Beam."""

import functools
import re
from collections.abc import Iterable, Sequence

from schemas import aliases
from transforms.batches import INPUTS
from transforms.reading.spellings import fold

_MOST_SHOWN = 100

# What a row has and no header: an id, an instant, a number, an address, a text of many words.
_OF_A_ROW = re.compile(r"^[^\w\s]|^\d|(\d\D*){4}|@|.{61}")

_NAME = re.compile(r"[A-Za-z_]\w*(\.\w+)*", re.ASCII)


def shown(found: Iterable[str]) -> str:
    """The columns of a file for an error: all of them, if they are sure to be names.

    A file without a header has a row in its place, and in that a customer's words. Two names that are
    known make a header of it. Otherwise nothing of what looks like a row is shown, and of the rest what
    has no blanks; a known name always is.

        Messaging Session ID, Status, Team name     all three
        Chat, When, Team name                       Chat, When
        0Mwbb000007MGoT, Status, It is lost         Status
    """
    names = list(found)
    kept = sure_names(names)
    text = ", ".join(" ".join(name.split())[:80] or "''" for name in kept[:_MOST_SHOWN])
    if len(kept) > _MOST_SHOWN:
        text += f" and {len(kept) - _MOST_SHOWN} more"
    if hidden := len(names) - len(kept):
        text += f"{' and ' if kept else ''}{hidden} not shown, for they may be values of a row"
    return text or "none"


def sure_names(found: Sequence[str]) -> list[str]:
    """The columns of a file that may be shown."""
    known = [name for name in found if _is_known(name)]
    if len({fold(name) for name in known}) > 1:
        return list(found)
    if any(_OF_A_ROW.search(name.strip()) for name in found):
        return known
    return [name for name in found if name in known or _NAME.fullmatch(name)]


def _is_known(name: str) -> bool:
    """Whether any input may have a column of that name, or an envelope with it inside."""
    return not {fold(name), fold(name.partition(".")[2])}.isdisjoint(_known_names())


@functools.cache
def _known_names() -> frozenset[str]:
    columns = (
        entry["names"] for kind in (*INPUTS, "summaries") for entry in aliases(kind).values()
    )
    return frozenset(fold(name) for names in columns for name in names)
