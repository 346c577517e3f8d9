"""The columns of a piece of an input, as they were read, and the names they may have."""

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import pyarrow as pa

from schemas import aliases
from transforms.errors import InputError


@dataclasses.dataclass(frozen=True)
class RawBatch:
    """A piece of an input as it was read: the named columns, of any type, and where its rows stand.

    `malformed` holds the rows that are no rows, as (row, what is wrong); `columns` are without them.
    `rows` gives the row number of each row of the columns: called only where there is a reject, for
    in a file that is read in parts the numbers take a second look at what came before.
    """

    columns: Mapping[str, pa.Array]
    num_rows: int
    rows: Callable[[], np.ndarray]
    malformed: Sequence[tuple[int, str]] = ()


_NAME = re.compile(r"[A-Za-z_][\w.]{0,79}", re.ASCII)


@dataclasses.dataclass(frozen=True)
class ColumnNames:
    """The names under which an input has the canonical columns, each in order of preference.

    A row's value is the first that is not null, so an export that fills one column for some rows and
    another for the rest is read whole.
    """

    kind: str
    names: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, kind: str, mapping: Mapping[str, str] | None = None) -> "ColumnNames":
        """The alias table of `kind`, with the columns of `mapping` under the caller's name alone.

        Raises:
          InputError: `mapping` names a column that there is not.
        """
        known = {column: tuple(entry["names"]) for column, entry in aliases(kind).items()}
        for column, name in (mapping or {}).items():
            if column not in known:
                raise InputError(
                    f"{kind} have no column {column!r} to map; there are {', '.join(known)}"
                )
            known[column] = (name,)
        return cls(kind, known)

    def all(self) -> list[str]:
        """Every name, each once."""
        return list(dict.fromkeys(name for names in self.names.values() for name in names))

    def check(self, found: Sequence[str], source: str, needed: Collection[str] = ()) -> None:
        """Raises InputError where a required or needed column is under none of its names in `found`."""
        missing = [
            column
            for column, entry in aliases(self.kind).items()
            if (entry["required"] or column in needed) and not set(self.names[column]) & set(found)
        ]
        if missing:
            # A file without a header has a row in its place: anybody's words.
            shown = ", ".join(name for name in found[:40] if _NAME.fullmatch(name))
            shown += ", ..." if len(found) > 40 else ""
            hint = ""
            if self.kind in ("messages", "sessions"):
                mapped = ",".join(f"{column}=Their.Name" for column in missing)
                hint = f". Map them with --{self.kind.rstrip('s')}_columns {mapped}"
            raise InputError(
                f"{source}: no column for {', '.join(missing)} of the {self.kind}; found: "
                f"{shown or 'none'}{hint}"
            )

    def pick(self, raw: RawBatch, column: str) -> list[tuple[str, pa.Array]]:
        """The columns of `raw` that hold `column`, in order of preference."""
        return [(name, raw.columns[name]) for name in self.names[column] if name in raw.columns]
