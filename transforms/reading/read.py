"""Reads exports into canonical batches: `ReadMessages`, `ReadSessions`, `ReadSummaries`, `ReadRecords`.

A pattern becomes files, a file becomes parts, a part becomes batches, wherever a worker is free. A
BigQuery table becomes streams, which are its parts.
"""

import dataclasses
import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.typehints.decorators import no_annotations

from transforms.batches import Counts, Reject
from transforms.bigquery import Range, is_table
from transforms.collections import COUNTS, NUM_BYTES, REJECTS, Batches
from transforms.files import match, open_input
from transforms.plumbing import coders  # noqa: F401  (registers the coder)
from transforms.plumbing.threads import Done, OverlappingDoFn, Task
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


class FilePart(NamedTuple):
    """A part of a file, or of a table, and the kind of input that it is of."""

    kind: str
    path: str
    part: Part | Stream


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ReadMessages(beam.PTransform):
    """Reads messages from files, Avro, Parquet, JSON Lines, JSON, CSV, and from BigQuery tables.

    Bounded. Every row is in exactly one of the batches, the rejects or a `skipped` count.

    Attributes:
      patterns: file patterns of any Beam filesystem, whose suffix tells the format; a table is
        `bigquery:PROJECT.DATASET.TABLE`.
      columns: `{canonical name: their name}` for columns that the alias table does not know.

    Raises (in the pipeline):
      InputError: a pattern without files, a file or a table that can't be read or lacks a required
        column.
    """

    patterns: Sequence[str]
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @no_annotations
    def expand(self, pbegin: beam.Pipeline) -> Batches:
        """Applies the transform to the beginning of a pipeline."""
        return _read(pbegin, [self._input()])

    def _input(self) -> "_Input":
        return _Input(self.patterns, ColumnNames.of("messages", self.columns))


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ReadSessions(beam.PTransform):
    """Reads sessions from files and tables, as `ReadMessages` does.

    Attributes:
      patterns: as for `ReadMessages`.
      columns: as for `ReadMessages`.
      channels: files or tables with MessagingChannel's Id and PlatformType, for sessions whose own
        rows do not state their platform.
      assume_platform: the platform of a session for which nobody states it; None rejects it.
      closed_us: the half-open range, in microseconds since the epoch, of the ends that the policy
        asks for: of a table, sessions that ended outside need not be read. None is no bound.
    """

    patterns: Sequence[str]
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    channels: Sequence[str] = ()
    assume_platform: Literal["Enhanced", "Standard"] | None = None
    closed_us: Range = (None, None)

    @no_annotations
    def expand(self, pbegin: beam.Pipeline) -> Batches:
        """Applies the transform to the beginning of a pipeline."""
        return _read(pbegin, [self._input()], self.channels)

    def _input(self) -> "_Input":
        names = ColumnNames.of("sessions", self.columns)
        return _Input(self.patterns, names, self.assume_platform, self.closed_us)


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ReadMessagesAndSessions(beam.PTransform):
    """Reads both into one `Batches`, which spares a runner one more copy of every batch.

    Attributes:
      messages: what to read messages from.
      sessions: what to read sessions from.
    """

    messages: ReadMessages
    sessions: ReadSessions

    @no_annotations
    def expand(self, pbegin: beam.Pipeline) -> Batches:
        """Applies the transform to the beginning of a pipeline."""
        inputs = [self.messages._input(), self.sessions._input()]
        return _read(pbegin, inputs, self.sessions.channels)


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ReadRecords(beam.PTransform):
    """Reads Salesforce's own MessagingSessionMetrics from files and tables, as `ReadMessages` does.

    Attributes:
      patterns: as for `ReadMessages`.
      columns: as for `ReadMessages`.
    """

    patterns: Sequence[str]
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @no_annotations
    def expand(self, pbegin: beam.Pipeline) -> Batches:
        """Applies the transform to the beginning of a pipeline."""
        return _read(pbegin, [self._input()])

    def _input(self) -> "_Input":
        return _Input(self.patterns, ColumnNames.of("records", self.columns))


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ReadForCalibration(beam.PTransform):
    """Reads all three into one `Batches`, as `ReadMessagesAndSessions` does two.

    Attributes:
      messages: what to read messages from.
      sessions: what to read sessions from.
      records: what to read Salesforce's own records from.
    """

    messages: ReadMessages
    sessions: ReadSessions
    records: ReadRecords

    @no_annotations
    def expand(self, pbegin: beam.Pipeline) -> Batches:
        """Applies the transform to the beginning of a pipeline."""
        inputs = [one._input() for one in (self.messages, self.sessions, self.records)]
        return _read(pbegin, inputs, self.sessions.channels)


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ReadSummaries(beam.PTransform):
    """Reads summaries of sessions from files and tables, as `ReadMessages` does.

    Attributes:
      patterns: as for `ReadMessages`.
    """

    patterns: Sequence[str]

    @no_annotations
    def expand(self, pbegin: beam.Pipeline) -> Batches:
        """Applies the transform to the beginning of a pipeline."""
        return _read(pbegin, [_Input(self.patterns, ColumnNames.of("summaries"))])


def check_inputs(patterns: Sequence[str], names: ColumnNames, needed: Collection[str] = ()) -> None:
    """Looks at each pattern's first file, so that a mistake is told before any work.

    Args:
      patterns: file patterns and tables.
      names: what the columns are called.
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


def _merge_platforms(tables: Sequence[dict[str, str]]) -> dict[str, str]:
    """Of contradicting statements the one that sorts last, whatever the order of arrival."""
    return dict(sorted(pair for table in tables for pair in table.items()))


@dataclasses.dataclass(frozen=True)
class _Input:
    """What is read, and how raw rows become elements of the batches output."""

    patterns: Sequence[str]
    names: ColumnNames
    assume_platform: str | None = None
    closed_us: Range = (None, None)

    def normalize(
        self, raw: RawBatch, source: str, channel_platforms: Mapping[str, str]
    ) -> tuple[Any, list[Reject], Counts]:
        if self.names.kind == "channels":
            return normalize_channels(raw, self.names, source)
        if self.names.kind == "sessions":
            return normalize_sessions(
                raw, self.names, source, channel_platforms, self.assume_platform
            )
        if self.names.kind == "records":
            return normalize_records(raw, self.names, source)
        if self.names.kind == "summaries":
            return normalize_summaries(raw, self.names, source)
        return normalize_messages(raw, self.names, source)


def _read(pbegin: beam.Pipeline, inputs: Sequence[_Input], channels: Sequence[str] = ()) -> Batches:
    """Reads inputs into one collection of batches, sessions with the platforms of the channels."""
    if not channels:
        return _read_parts(pbegin, inputs, {})
    names = ColumnNames.of("channels")
    stated = _read_parts(pbegin, [_Input(channels, names)], {}, "Channels", dict)
    platforms = beam.pvalue.AsSingleton(
        stated.batches
        | "MergeChannels" >> beam.CombineGlobally(_merge_platforms).without_defaults(),
        default_value={},
    )
    read = _read_parts(pbegin, inputs, platforms)
    return read._replace(
        rejects=(read.rejects, stated.rejects) | "AllRejects" >> beam.Flatten(),
        counts=(read.counts, stated.counts) | "AllCounts" >> beam.Flatten(),
    )


def _read_parts(
    pbegin: beam.Pipeline,
    inputs: Sequence[_Input],
    channel_platforms: Mapping[str, str] | beam.pvalue.AsSingleton,
    label: str = "",
    element: type = pa.RecordBatch,
) -> Batches:
    by_kind = {one.names.kind: one for one in inputs}
    patterns = [(kind, pattern) for kind, one in by_kind.items() for pattern in one.patterns]
    parts = (
        pbegin
        | f"{label}Patterns" >> beam.Create(patterns, reshuffle=False)
        | f"{label}ListParts"
        >> beam.ParDo(_ListParts(by_kind))
        .with_output_types(FilePart, num_bytes=int)
        .with_outputs(NUM_BYTES, main="parts")
    )
    read = (
        parts.parts
        | f"{label}Distribute" >> beam.Reshuffle()
        | f"{label}ReadParts"
        >> beam.ParDo(_ReadParts(by_kind), channel_platforms)
        .with_output_types(element, rejects=Reject, counts=dict)
        .with_outputs(REJECTS, COUNTS, main="batches")
    )
    return Batches(read.batches, read[REJECTS], read[COUNTS], parts[NUM_BYTES])


class _ListParts(beam.DoFn):
    """A pattern to the parts of its files or its table, and to their size as canonical batches."""

    def __init__(self, inputs: Mapping[str, _Input]):
        self._inputs = inputs

    def process(self, element: tuple[str, str]) -> Iterator[Any]:
        kind, pattern = element
        if is_table(pattern):
            one = self._inputs[kind]
            streams, num_bytes = open_streams(pattern, one.names, one.closed_us)
            for stream in streams:
                yield FilePart(kind, pattern, stream)
            yield beam.pvalue.TaggedOutput(NUM_BYTES, num_bytes)
            return
        for path, size in match(pattern):
            _check_columns(path, self._inputs[kind].names)
            file_format = format_of(path)
            try:
                with open_input(path) as file:
                    parts = file_format.parts(file, size)
            except UNREADABLE as error:
                raise explain(path, error) from error
            for part in parts:
                yield FilePart(kind, path, part)
            yield beam.pvalue.TaggedOutput(NUM_BYTES, int(size * file_format.bytes_per_byte))


class _ReadParts(OverlappingDoFn):
    """A part of a file to batches, rejects and counts."""

    stage = "read"

    def __init__(self, inputs: Mapping[str, _Input]):
        self._inputs = inputs

    def tasks(self, element: FilePart, extra: Mapping[str, str]) -> Iterator[Task]:
        kind, path, part = element
        one = self._inputs[kind]
        if isinstance(part, Stream):
            pieces = read_stream(part, path, one.names.all())
        else:
            pieces = format_of(path).read(lambda: open_input(path), part, one.names.all())
        while True:
            try:
                decode = next(pieces, None)
            except UNREADABLE as error:
                raise explain(path, error) from error
            if decode is None:
                return
            yield functools.partial(_normalize, one, decode, path, extra)


def _normalize(
    one: _Input, decode: Decode, path: str, channel_platforms: Mapping[str, str]
) -> Done:
    try:
        raw = decode()
    except UNREADABLE as error:
        raise explain(path, error) from error
    batch, rejects, counts = one.normalize(raw, path, channel_platforms)
    outputs = [beam.pvalue.TaggedOutput(REJECTS, reject) for reject in rejects]
    stage = {"rows": raw.num_rows + len(raw.malformed)}
    if isinstance(batch, pa.RecordBatch):
        stage["bytes"] = batch.nbytes
    if len(batch):
        outputs.insert(0, batch)
    return Done(outputs, counts, stage)
