"""How a file spells the known names: what makes a difference to a name, and what none. Pure; no Beam."""

import collections
import re
from collections.abc import Iterable, Sequence

from schemas import envelopes
from transforms.errors import InputError

_DECORATION = re.compile(r"^(ssot__|std__)|__c$")


def fold(name: str) -> str:
    """A name without what sources write in different ways, for names that are compared.

    Case, `_`, blanks, the prefixes `ssot__` and `std__` of Data 360 and the suffix `__c` make no
    difference; dots do.

    >>> {fold(name) for name in ("ssot__ConversationId__c", "conversation_id", "Conversation ID")}
    {'conversationid'}
    """
    parts = (_DECORATION.sub("", part.strip().lower()) for part in name.split("."))
    return ".".join(re.sub(r"[_\s]", "", part) for part in parts)


class Spellings:
    """The columns of one file, by what they are called without what makes no difference."""

    def __init__(self, found: Iterable[str], source: str):
        self._found, self._source = dict.fromkeys(found), source
        self._by_fold: dict[str, list[str]] = collections.defaultdict(list)
        self._enveloped: dict[str, list[str]] = collections.defaultdict(list)
        known = {fold(name) for name in envelopes()}
        for name in self._found:
            self._by_fold[fold(name)].append(name)
            top, _, rest = name.partition(".")
            if rest and fold(top) in known:
                self._enveloped[fold(rest)].append(name)

    def of(self, name: str, column: str, known: Sequence[str]) -> str | None:
        """How the file spells one of the known names of a column; None if it does not have it."""
        if name in self._found:
            return name
        spelled = self._by_fold.get(fold(name), [])
        exact = [one for one in spelled if one in known]
        return exact[0] if exact else self._one(column, spelled)

    def inside_envelopes(self, name: str, column: str, known: Sequence[str]) -> list[str]:
        """How the file spells it inside of envelopes."""
        spelled = self._enveloped.get(fold(name), [])
        exact = [one for one in spelled if one.partition(".")[2] == name]
        exact = exact or [one for one in spelled if one.partition(".")[2] in known]
        one = exact[0] if exact else self._one(column, spelled)
        return [one] if one else []

    def in_texts(self, name: str) -> list[str]:
        """Where the name may be inside of a text: `sender.role` of `sender`, or in an envelope."""
        top, _, rest = name.partition(".")
        inside = [f"{one}.{rest}" for one in self._leaves(top)] if rest else []
        return inside + [f"{one}.{name}" for known in envelopes() for one in self._leaves(known)]

    def _leaves(self, name: str) -> list[str]:
        """The columns under a name that have no columns inside."""
        found = [name] if name in self._found else self._by_fold.get(fold(name), [])
        return [one for one in found if not any(c.startswith(f"{one}.") for c in self._found)]

    def _one(self, column: str, spelled: list[str]) -> str | None:
        if len(spelled) > 1:
            raise InputError(
                f"{self._source}: {' and '.join(spelled)} may both be {column}; rename one, or map "
                f"{column} to the right one"
            )
        return spelled[0] if spelled else None
