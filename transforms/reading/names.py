"""The names under which the files of an input may have its columns. Pure; no Beam."""

import collections
import dataclasses
import difflib
import functools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from schemas import aliases, envelopes
from transforms.errors import InputError

FILE_NAME = "@file"
"""In place of a column's name: the value is the name of the file, without folders and suffixes."""

_KINDS = ("messages", "sessions", "participants", "channels", "records", "summaries")

_MOST_SHOWN = 100

# What a row has and no header: an id, an instant, a number, an address, a text of many words.
_OF_A_ROW = re.compile(r"^[^\w\s]|^\d|(\d\D*){4}|@|.{61}")

_NAME = re.compile(r"[A-Za-z_]\w*(\.\w+)*", re.ASCII)

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


def shown(found: Iterable[str]) -> str:
    """The columns of a file for a message: all of them, if they are sure to be names.

    A file without a header has a row in its place, and in that a customer's words. Two names that are
    known make a header of it. Otherwise nothing of what looks like a row is shown, and of the rest what
    has no blanks; a known name always is.

        Messaging Session ID, Status, Team name     all three
        Chat, When, Team name                       Chat, When
        0Mwbb000007MGoT, Status, It is lost         Status
    """
    names = list(found)
    kept = _sure_names(names)
    text = ", ".join(" ".join(name.split())[:80] or "''" for name in kept[:_MOST_SHOWN])
    if len(kept) > _MOST_SHOWN:
        text += f" and {len(kept) - _MOST_SHOWN} more"
    if hidden := len(names) - len(kept):
        text += f"{' and ' if kept else ''}{hidden} not shown, for they may be values of a row"
    return text or "none"


def _sure_names(found: Sequence[str]) -> list[str]:
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
    columns = (entry["names"] for kind in _KINDS for entry in aliases(kind).values())
    return frozenset(fold(name) for names in columns for name in names)


@dataclasses.dataclass(frozen=True)
class ColumnNames:
    """The names under which an input has the canonical columns, each in order of preference.

    A row's value is the first that is not null, so an export that fills one column for some rows and
    another for the rest is read whole. A name with dots leads into objects, also where a text column
    holds them as JSON.

    Attributes:
      kind: which input: `messages`, `sessions`, `participants`, `channels`, `records` or `summaries`.
      names: for each canonical column its names.
      stand_ins: the columns that may stand in for a required one, as `or` of the alias table says.
      mapped: the columns that the caller has mapped.
    """

    kind: str
    names: Mapping[str, tuple[str, ...]]
    stand_ins: Collection[str] = ("conversation_id",)
    mapped: Collection[str] = ()

    @classmethod
    def of(
        cls, kind: str, mapping: Mapping[str, str] | None = None, has_participants: bool = False
    ) -> "ColumnNames":
        """The alias table of `kind`, with the columns of `mapping` under the caller's name alone.

        Args:
          kind: which input.
          mapping: `{canonical name: their name}`.
          has_participants: of messages, whether participants are read as well, so that a participant
            may stand in for a role.

        Raises:
          InputError: `mapping` maps a column that the input does not have.
        """
        known = {column: tuple(entry["names"]) for column, entry in aliases(kind).items()}
        for column, name in (mapping or {}).items():
            if column not in known:
                raise InputError(
                    f"{kind} have no column {column!r} to map; there are {', '.join(known)}"
                )
            known[column] = (name,)
        stand_ins = ("conversation_id", *(["participant_id"] if has_participants else []))
        return cls(kind, known, stand_ins, tuple(mapping or ()))

    def all(self) -> list[str]:
        """The names of all columns, each name once."""
        return list(dict.fromkeys(name for names in self.names.values() for name in names))

    def resolve(self, found: Collection[str], source: str, rows_differ: bool) -> "ColumnNames":
        """The names that one file has for the columns.

        Of a known name the file's own spelling is taken, the exact one where it is there. A row may be
        inside of an envelope: its names come after those outside. With the columns `Id`,
        `CONVERSATION_ID`, `sender` (text) and `conversationEntry.identifier`:

            message_id        Id, conversationEntry.identifier
            conversation_id   CONVERSATION_ID
            sender_role       sender.role: the text may be JSON, and no other column is known

        Args:
          found: the file's columns, nested ones with dots.
          source: the file.
          rows_differ: whether there may be rows with other columns than those found; if so the known
            names that are not found stay.

        Raises:
          InputError: two columns differ from a known name in nothing that counts, and none is exact.
        """
        spellings = _Spellings(found, source)
        names = {}
        for column, known in self.names.items():
            there = {name: spellings.of(name, column, known) for name in known}
            inside = [s for name in known for s in spellings.inside_envelopes(name, column, known)]
            in_texts = {name: spellings.in_texts(name) for name in known}
            if inside or any(there.values()):
                # A text is looked into only for what no column has: it is slow.
                absent = [n for n in known if rows_differ and not there[n] and not in_texts[n]]
            else:
                absent = list(known) if rows_differ else []
                inside = [one for name in known for one in in_texts[name]]
            kept = [there[name] or name for name in known if there[name] or name in absent]
            names[column] = tuple(dict.fromkeys([*kept, *inside]))
        return dataclasses.replace(self, names=names)

    def check(self, found: Sequence[str], source: str, needed: Collection[str] = ()) -> None:
        """Checks that a file has the columns that it must have.

        Args:
          found: the file's columns.
          source: the file.
          needed: columns that must be there beside the required ones.

        Raises:
          InputError: a required or needed column is in `found` under none of its names.
        """
        there = {
            column for column, names in self.resolve(found, source, False).names.items() if names
        }
        missing = {
            column: entry.get("or")
            for column, entry in aliases(self.kind).items()
            if (entry["required"] or column in needed)
            and column not in there
            and not (entry.get("or") in there and entry["or"] in self.stand_ins)
        }
        if not missing:
            return
        said = [
            f"{column} or {other}" if other in self.stand_ins else column
            for column, other in missing.items()
        ]
        hint = ""
        if self.kind == "messages" and "sender_role" in missing and "participant_id" in there:
            hint = ". Its messages name participants: give them with --participants"
        elif self.kind in ("messages", "sessions", "participants", "channels"):
            mapped = ",".join(f"{column}=Their.Name" for column in missing)
            hint = f". Map them with {self._option} {mapped}"
        named = [*needed, *(other for other in missing.values() if other in self.stand_ins)]
        optional = self._optional(there, named)
        if optional and found:
            hint += f" (optional, and not found either: {', '.join(optional)})"
        raise InputError(
            f"{source}: no column for {', '.join(said)} of the {self.kind}; found: {shown(found)}{hint}"
        )

    def check_mapped(self, files: Mapping[str, Sequence[str]]) -> None:
        """Checks that each column that is mapped is there, also an optional one.

        Args:
          files: the columns of each file that was looked at.

        Raises:
          InputError: none of the files has the name to which a column is mapped.
        """
        there = [self.resolve(found, source, False).names for source, found in files.items()]
        absent = [one for one in self.mapped if not any(names[one] for names in there)]
        if not absent or not files:
            return
        found = list(dict.fromkeys(name for names in files.values() for name in names))
        by_fold = {fold(name): name for name in _sure_names(found)}
        said = []
        for column in absent:
            (name,) = self.names[column]
            near = difflib.get_close_matches(fold(name), by_fold, 1, 0.7)
            hint = f" (did you mean {by_fold[near[0]]}?)" if near else ""
            said.append(f"no column {name}, to which {self._option} maps {column}{hint}")
        raise InputError(f"{', '.join(files)}: {'; '.join(said)}; found: {shown(found)}")

    def tell(self, found: Sequence[str], source: str) -> str:
        """A line that says under which names a file has the columns, and which it does not have."""
        there = {c: n for c, n in self.resolve(found, source, False).names.items() if n}
        pairs = ", ".join(f"{column}={'|'.join(names)}" for column, names in there.items())
        absent = ", ".join(self._optional(there, ())) or "none"
        return f"{source}: {self.kind} with {pairs or 'no column'}; not found: {absent}"

    @property
    def _option(self) -> str:
        return f"--{self.kind.rstrip('s')}_columns"

    def _optional(self, there: Collection[str], named: Collection[str | None]) -> list[str]:
        """The optional columns that are neither there nor named."""
        return [
            column
            for column, entry in aliases(self.kind).items()
            if not entry["required"] and column not in there and column not in named
        ]


class _Spellings:
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
        if name in self._found or name == FILE_NAME:
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
