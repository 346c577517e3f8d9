"""The inputs of a job: where each is, the parts that it is read in, and the rows of a part. No Beam."""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from transforms.batches import Counts, Reject
from transforms.bigquery import Range, is_table
from transforms.files import match, open_input
from transforms.reading.columns import ColumnNames, RawBatch
from transforms.reading.formats import UNREADABLE, explain, format_of
from transforms.reading.formats.parts import Decode, Part
from transforms.reading.normalize import (
    normalize_channels,
    normalize_messages,
    normalize_records,
    normalize_sessions,
    normalize_summaries,
)
from transforms.reading.tables import Stream, check_table_columns, open_streams, read_stream

_NORMALIZERS: Mapping[str, Callable[..., tuple[Any, list[Reject], Counts]]] = {
    "messages": normalize_messages,
    "sessions": normalize_sessions,
    "channels": normalize_channels,
    "records": normalize_records,
    "summaries": normalize_summaries,
}


class FilePart(NamedTuple):
    """A part of a file or of a table, and which kind of input it belongs to."""

    kind: str
    path: str
    part: Part | Stream


@dataclasses.dataclass(frozen=True, kw_only=True)
class Input:
    """One input of a job.

    Attributes:
      patterns: file patterns and tables.
      names: the names of the columns, and the kind of input.
      channels: of sessions, the patterns of the channels.
      assume_platform: of sessions, the platform if nobody states it; None rejects the row.
      closed_us: of sessions, the range of ends that are asked for.
    """

    patterns: Sequence[str]
    names: ColumnNames
    channels: Sequence[str] = ()
    assume_platform: str | None = None
    closed_us: Range = (None, None)

    def parts_of(self, pattern: str) -> Iterator[tuple[list[FilePart], int]]:
        """The parts of each file that a pattern matches, or of a table.

        Returns:
          For each file its parts, and its size as canonical batches, roughly, in bytes.

        Raises:
          InputError: there is no such file or table, it can't be read or lacks a required column.
        """
        kind = self.names.kind
        if is_table(pattern):
            streams, num_bytes = open_streams(pattern, self.names, self.closed_us)
            yield [FilePart(kind, pattern, stream) for stream in streams], num_bytes
            return
        for path, size in match(pattern):
            _check_columns(path, self.names)
            file_format = format_of(path)
            try:
                with open_input(path) as file:
                    parts = file_format.parts(file, size)
            except UNREADABLE as error:
                raise explain(path, error) from error
            num_bytes = int(size * file_format.bytes_per_byte)
            yield [FilePart(kind, path, part) for part in parts], num_bytes

    def pieces_of(self, file_part: FilePart) -> Iterator[Decode]:
        """The pieces of a part, each read when it is asked for and decoded when it is called.

        Raises:
          InputError: the file can't be read.
        """
        _, path, part = file_part
        names = self.names.all()
        try:
            if isinstance(part, Stream):
                yield from read_stream(part, path, names)
            else:
                yield from format_of(path).read(lambda: open_input(path), part, names)
        except UNREADABLE as error:
            raise explain(path, error) from error

    def normalize(
        self, decode: Decode, path: str, channel_platforms: Mapping[str, str]
    ) -> tuple[RawBatch, tuple[Any, list[Reject], Counts]]:
        """Decodes a piece of a file and makes the canonical batch.

        Returns:
          The piece as it was read, and what `normalize_<kind>` makes of it.

        Raises:
          InputError: the piece can't be read.
        """
        try:
            raw = decode()
        except UNREADABLE as error:
            raise explain(path, error) from error
        kind = self.names.kind
        more = (channel_platforms, self.assume_platform) if kind == "sessions" else ()
        try:
            return raw, _NORMALIZERS[kind](raw, self.names, path, *more)
        except OSError as error:
            # The number of a rejected row takes another look at the file, which may be gone by now.
            raise explain(path, error) from error


def check_inputs(patterns: Sequence[str], names: ColumnNames, needed: Collection[str] = ()) -> None:
    """Looks at each pattern's first file, so that a mistake is found before any work.

    Args:
      patterns: file patterns and tables.
      names: the names of the columns.
      needed: columns that must be there beside the required ones.

    Raises:
      JobError: a pattern without files, an unknown format, an unreadable file, no such table, a
        missing column.
    """
    for pattern in patterns:
        if is_table(pattern):
            check_table_columns(pattern, names, needed)
            continue
        files = match(pattern)
        for path, _ in files:
            format_of(path)
        _check_columns(files[0][0], names, needed)


def _check_columns(path: str, names: ColumnNames, needed: Collection[str] = ()) -> None:
    try:
        with open_input(path) as file:
            found = format_of(path).names(file)
    except UNREADABLE as error:
        raise explain(path, error) from error
    if found is not None:
        names.check(found, path, needed)
