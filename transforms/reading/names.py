"""The names under which the files of an input may have its columns. Pure; no Beam."""

import dataclasses
import difflib
from collections.abc import Collection, Mapping, Sequence

from schemas import aliases
from transforms.errors import InputError
from transforms.reading.headers import shown, sure_names
from transforms.reading.spellings import Spellings, fold

FILE_NAME = "@file"
"""In place of a column's name: the value is the name of the file, without folders and suffixes."""


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
        spellings = Spellings([*found, FILE_NAME], source)
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
        by_fold = {fold(name): name for name in sure_names(found)}
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
