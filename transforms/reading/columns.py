"""The columns of a piece of an input, as they were read, by their canonical names. Pure; no Beam."""

import collections
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.plumbing.dictionaries import one_batch
from transforms.reading import values, words
from transforms.reading.names import ColumnNames

Parse = Callable[[pa.Array], pa.Array]


@dataclasses.dataclass(frozen=True)
class RawBatch:
    """A piece of an input as it was read.

    Attributes:
      columns: the named columns that the input has, of any type, all of the same length.
      num_rows: their length.
      rows: gives the row number of each row of the columns. Computed lazily, on the first reject: in a
        split file, finding the first row's number means rereading everything before the part.
      malformed: what is no row of its format, as (row number, what is wrong). No row of `columns`.
      pages: how many pages of rows it has of which kind, as `formats.json_values` counts them.
    """

    columns: Mapping[str, pa.Array]
    num_rows: int
    rows: Callable[[], np.ndarray]
    malformed: Sequence[tuple[int, str]] = ()
    pages: Mapping[str, int] = dataclasses.field(default_factory=dict)


def put_together(raws: Sequence[RawBatch]) -> RawBatch | None:
    """The rows of several pieces as one, in their order; its rows have no numbers.

    None where that can't be: a piece has other columns or types than the first, or what is no row.
    """
    schemas = [{name: column.type for name, column in raw.columns.items()} for raw in raws]
    if any(raw.malformed for raw in raws) or any(schema != schemas[0] for schema in schemas):
        return None
    batches = [
        pa.RecordBatch.from_arrays(list(raw.columns.values()), list(schemas[0])) for raw in raws
    ]
    columns = one_batch(pa.Table.from_batches(batches))
    pages: collections.Counter[str] = collections.Counter()
    for raw in raws:
        pages.update(raw.pages)
    return RawBatch(
        dict(zip(schemas[0], columns.columns, strict=True)),
        sum(raw.num_rows for raw in raws),
        lambda: np.zeros(len(columns), np.int64),
        pages=pages,
    )


@dataclasses.dataclass(frozen=True)
class Columns:
    """The canonical columns of a piece of an input, each parsed when it is asked for.

    Attributes:
      raw: the piece as it was read.
      names: the names under which it may have each column.
    """

    raw: RawBatch
    names: ColumnNames

    def pick(self, column: str) -> list[pa.Array]:
        """The columns as read that hold `column`, in order of preference."""
        columns = self.raw.columns
        return [columns[name] for name in self.names.names[column] if name in columns]

    def first(self, column: str, parse: Parse) -> pa.Array:
        """The value of `column` in each row: of those under its names the first that is not null."""
        found = [parse(array) for array in self.pick(column)]
        if not found:
            return pa.nulls(self.raw.num_rows, parse(pa.array([], pa.string())).type)
        if found[0].null_count == 0 or len(found) == 1:
            return found[0]
        return pc.coalesce(*found)

    def text(self, column: str) -> pa.Array:
        """The value of `column` in each row as text."""
        return self.first(column, values.to_text)

    def codes(self, column: str) -> pa.DictionaryArray:
        """The same as a dictionary array; a column that was read as one keeps its codes."""
        found = self.pick(column)
        if not found:
            return no_codes(self.raw.num_rows)
        if len(found) == 1:
            return values.to_codes(found[0])
        return self.text(column).dictionary_encode()

    def deleted(self) -> tuple[np.ndarray, np.ndarray]:
        """Which rows are deleted, by any of their columns, and which say what is not understood."""
        deleted = wrong = np.zeros(self.raw.num_rows, bool)
        for array in self.pick("deleted"):
            said = words.to_deletions(array)
            deleted = deleted | said.fill_null(False).to_numpy(zero_copy_only=False)
            wrong = wrong | nulls(said)
        return deleted, wrong

    def parsed(self, column: str, parse: Parse) -> tuple[pa.Array, pa.Array]:
        """The value of `column` in each row, and what the row states; see `first_stated`."""
        found = ((array, parse(array)) for array in self.pick(column))
        return first_stated(found, self.raw.num_rows)


def no_codes(num_rows: int) -> pa.DictionaryArray:
    """A column of nulls, as a dictionary array."""
    return pa.DictionaryArray.from_arrays(pa.nulls(num_rows, pa.int32()), pa.array([], pa.string()))


def nulls(array: pa.Array) -> np.ndarray:
    """Which values are null, as booleans."""
    if array.null_count == 0:
        return np.zeros(len(array), bool)
    return array.is_null().to_numpy(zero_copy_only=False)


def first_stated(
    columns: Iterable[tuple[pa.Array, pa.Array]], num_rows: int
) -> tuple[pa.Array, pa.Array]:
    """The values of a column that is there under several names, and what the rows state.

    A row's value is the first that is stated. If that can't be understood the row is a reject: the
    other names are not consulted.

        EntryTime   sent_at       value    stated
        12:00:00Z   -             12:00    12:00:00Z
        noon        12:00:00Z     null     noon
        -           -             null     null

    Args:
      columns: under each name, in order of preference, the column as read and as parsed.
      num_rows: the length of all of them.

    Returns:
      The values, null where nothing is stated or what is stated can't be understood; and what is
      stated, null where nothing is. Where all is understood that may be the column as read.
    """
    value = stated = pa.nulls(num_rows, pa.int64())
    for array, parsed in columns:
        # Text is made only of columns with a value that can't be understood: it is slow.
        shown = array if array.null_count == parsed.null_count else values.to_text(array)
        if stated.null_count == num_rows:
            value, stated = parsed, shown
        else:
            value = pc.if_else(pc.is_null(stated), parsed, value)
            stated = pc.coalesce(values.to_text(stated), values.to_text(shown))
        if stated.null_count == 0:
            break
    return value, stated
