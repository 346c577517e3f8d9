"""The inputs of a job: where each is, the parts that it is read in, and the rows of a part. No Beam."""

import dataclasses
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from transforms.bigquery import Range, is_table
from transforms.errors import InputError
from transforms.files import match, open_input
from transforms.reading.columns import RawBatch
from transforms.reading.embedded import look_into_texts
from transforms.reading.fates import Normalized
from transforms.reading.formats import UNREADABLE, explain, format_of, stem_of, with_suffix
from transforms.reading.formats.parts import Decode, Part
from transforms.reading.lookups import Given, Lookups
from transforms.reading.messages import normalize_messages, normalize_participants
from transforms.reading.names import FILE_NAME, ColumnNames
from transforms.reading.records import normalize_records, normalize_summaries
from transforms.reading.sessions import normalize_channels, normalize_sessions
from transforms.reading.tables import Stream, columns_of_table, open_streams, read_stream
from transforms.reading.translations import Words, translated

_WITH_OPTION = ("messages", "sessions", "participants", "channels")

_NORMALIZERS: Mapping[str, Callable[[RawBatch, ColumnNames, str], Normalized]] = {
    "participants": normalize_participants,
    "channels": normalize_channels,
    "records": normalize_records,
    "summaries": normalize_summaries,
}

# Of their rows something may be stated elsewhere.
_NORMALIZERS_GIVEN: Mapping[str, Callable[[RawBatch, ColumnNames, str, Given], Normalized]] = {
    "messages": normalize_messages,
    "sessions": normalize_sessions,
}


_SMALL_BYTES, _MOST_FILES = 1 << 20, 256
"""Files smaller than this are read together, and so many of them at most."""


class FilePart(NamedTuple):
    """A part of a file or of a table.

    Attributes:
      path: of the file or table.
      part: the range of the file, or the stream of the table.
    """

    path: str
    part: Part | Stream


class FileParts(NamedTuple):
    """What is read at once: a part of a file or of a table, or small files as a whole.

    A hundred thousand files of a thousand bytes would otherwise be as many batches, each of which takes
    a millisecond in every step.

    Attributes:
      names: the names that the files have for the columns of their input.
      parts: the parts.
      is_first: whether the input begins with it, and ends the run if its beginning is all rejects.
    """

    names: ColumnNames
    parts: list[FilePart]
    is_first: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Input:
    """One input of a job.

    Attributes:
      patterns: file patterns and tables.
      names: the names of the columns, and the kind of input.
      assume_platform: of sessions, the platform if nobody states it; None rejects the row.
      time_zone: the zone of whose wall clocks the instants are; None takes each as it stands.
      closed_us: of sessions, the range of ends that are asked for.
      words: the words of another system in its columns.
      file_format: the format of files whose suffix names none, None takes none.
      directory: where relative paths begin. Workers elsewhere have a working directory of their own.
    """

    patterns: Sequence[str]
    names: ColumnNames
    assume_platform: str | None = None
    time_zone: str | None = None
    closed_us: Range = (None, None)
    words: Words = dataclasses.field(default_factory=dict)
    file_format: str | None = None
    directory: str = dataclasses.field(default_factory=os.getcwd)

    def parts_of(self, pattern: str) -> Iterator[FileParts | int]:
        """The parts of the files that a pattern matches, or of a table.

        Returns:
          The parts, and among them for each file its size as canonical batches, roughly, in bytes.

        Raises:
          InputError: there is no such file or table, it can't be read or lacks a required column.
        """
        if is_table(pattern):
            streams, names, num_bytes = open_streams(pattern, self.names, self.closed_us)
            yield num_bytes
            yield from (FileParts(names, [FilePart(pattern, stream)]) for stream in streams)
            return
        together, size_together = FileParts(self.names, []), 0
        for path, size, names in self._named_files(pattern):
            file_format = format_of(with_suffix(path, self.file_format))
            try:
                with open_input(path, self.directory) as file:
                    parts = file_format.parts(file, size)
                    num_bytes = int(size * file_format.bytes_per_byte(file))
            except UNREADABLE as error:
                raise explain(path, error) from error
            yield num_bytes
            is_small = size < _SMALL_BYTES and len(parts) == 1
            is_full = size_together + size > _SMALL_BYTES or len(together.parts) == _MOST_FILES
            if together.parts and not (is_small and names is together.names and not is_full):
                yield together
                together, size_together = FileParts(names, []), 0
            if is_small:
                together = FileParts(names, together.parts)
                together.parts.append(FilePart(path, parts[0]))
                size_together += size
            else:
                yield from (FileParts(names, [FilePart(path, part)]) for part in parts)
        if together.parts:
            yield together

    def _named_files(self, pattern: str) -> Iterator[tuple[str, int, ColumnNames]]:
        """Each file that a pattern matches, with its size and its names for the columns.

        Files with the same columns have the same object for their names.
        """
        known: dict[tuple[str, ...], ColumnNames] = {}
        for path, size in match(pattern, self.directory):
            found = _columns_of_file(path, self.file_format, self.directory)
            if found is None:
                yield path, size, self.names
                continue
            rows_differ = format_of(with_suffix(path, self.file_format)).rows_differ
            key = (str(rows_differ), *found)
            if key not in known:
                self.names.check(found, path)
                known[key] = self.names.resolve(found, path, rows_differ)
            yield path, size, known[key]

    def pieces_of(self, names: ColumnNames, file_part: FilePart) -> Iterator[Decode]:
        """The pieces of a part, each read when it is asked for and decoded when it is called.

        Raises:
          InputError: the file can't be read.
        """
        path, part = file_part
        try:
            if isinstance(part, Stream):
                yield from read_stream(part, path, names.all())
            else:
                file_format = format_of(with_suffix(path, self.file_format))
                yield from file_format.read(
                    lambda: open_input(path, self.directory), part, names.all()
                )
        except UNREADABLE as error:
            raise explain(path, error) from error

    def decode(self, piece: Decode, names: ColumnNames, file_part: FilePart) -> RawBatch:
        """Decodes a piece of a file.

        Raises:
          InputError: the piece can't be read.
        """
        path, part = file_part
        try:
            raw = look_into_texts(piece(), names.all())
        except UNREADABLE as error:
            raise explain(path, error) from error
        if FILE_NAME in names.all():
            is_file = not isinstance(part, Stream)
            name = stem_of(with_suffix(path, self.file_format) if is_file else path)
            named = pa.repeat(name, raw.num_rows)
            raw = dataclasses.replace(raw, columns={**raw.columns, FILE_NAME: named})
        return raw

    def normalize(
        self, raw: RawBatch, names: ColumnNames, path: str, lookups: Lookups
    ) -> Normalized:
        """Makes the canonical batches of what was decoded, as `normalize_<kind>` does.

        Raises:
          InputError: the file has gone, and can't be looked at for the number of a rejected row.
        """
        raw, names = translated(raw, names, self.words)
        given = Given(lookups, self.assume_platform, self.time_zone)
        try:
            if names.kind in _NORMALIZERS_GIVEN:
                found = _NORMALIZERS_GIVEN[names.kind](raw, names, path, given)
            else:
                found = _NORMALIZERS[names.kind](raw, names, path)
        except OSError as error:
            raise explain(path, error) from error
        pages = {f"{name}_of_{names.kind}": number for name, number in raw.pages.items()}
        return found._replace(counts={**found.counts, **pages})


def check_inputs(
    patterns: Sequence[str],
    names: ColumnNames,
    needed: Collection[str] = (),
    file_format: str | None = None,
) -> list[str]:
    """Looks at each pattern's first file that has rows, so that a mistake is found before any work.

    Args:
      patterns: file patterns and tables.
      names: the names of the columns.
      needed: columns that must be there beside the required ones.
      file_format: the format of files whose suffix names none.

    Returns:
      For each of these files a line that says under which names it has the columns.

    Raises:
      JobError: a pattern without files, an unknown format, an unreadable file, no such table, a
        missing column, or a mapped one that none of these files has.
    """
    found: dict[str, list[str] | None] = {}
    for pattern in patterns:
        if is_table(pattern):
            found[pattern] = columns_of_table(pattern)
            continue
        paths = [path for path, _ in match(pattern)]
        for path in paths:
            _check_suffix(path, names.kind, file_format)
        # An empty file has no names.
        named = ((path, _columns_of_file(path, file_format)) for path in paths)
        first, columns = next((one for one in named if one[1] is not None), (paths[0], None))
        found[first] = columns
    with_rows = {source: columns for source, columns in found.items() if columns is not None}
    # A file of JSON without a row has no names, and may have any.
    if len(with_rows) == len(found):
        names.check_mapped(with_rows)
    for source, columns in with_rows.items():
        names.check(columns, source, needed)
    return [
        f"{source}: {names.kind} without a row" if columns is None else names.tell(columns, source)
        for source, columns in found.items()
    ]


def _check_suffix(path: str, kind: str, file_format: str | None) -> None:
    """Raises InputError for a file of no known format."""
    try:
        format_of(with_suffix(path, file_format))
    except InputError as error:
        hint = f", or name the format with --{kind[:-1]}_format" if kind in _WITH_OPTION else ""
        raise InputError(f"{error}{hint}") from None


def _columns_of_file(path: str, file_format: str | None, directory: str = "") -> list[str] | None:
    """The columns of a file, nested ones with dots; None if it has no row that could name them."""
    known = format_of(with_suffix(path, file_format))
    try:
        with open_input(path, directory) as file:
            return known.names(file)
    except UNREADABLE as error:
        raise explain(path, error) from error
