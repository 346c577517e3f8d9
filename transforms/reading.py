"""Reads message and session exports into canonical batches: `ReadMessages`, `ReadSessions`.

A pattern becomes files, a file becomes parts, a part becomes batches, wherever a worker is free.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.typehints.decorators import no_annotations

from transforms import batches, coders, formats  # noqa: F401  (registers the coder)
from transforms.batches import ColumnNames, Counts, Reject
from transforms.counting import COUNTS, emit_counts
from transforms.files import match, open_input

REJECTS, NUM_BYTES = "rejects", "num_bytes"


class Batches(NamedTuple):
    """An input as the rest of the pipeline takes it.

    Attributes:
      batches: PCollection of `pa.RecordBatch`, schema `batches.MESSAGES` or `batches.SESSIONS`.
      rejects: PCollection of `Reject`: rows that can't be used.
      counts: PCollection of dicts, to be added up: how many rows were read, skipped, rejected.
      num_bytes: PCollection of int, to be added up: how large the batches are, roughly.
    """

    batches: beam.PCollection
    rejects: beam.PCollection
    counts: beam.PCollection
    num_bytes: beam.PCollection


class FilePart(NamedTuple):
    """A part of a file."""

    path: str
    part: formats.Part


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ReadMessages(beam.PTransform):
    """Reads messages from files: Avro, Parquet, JSON Lines, JSON, CSV.

    Bounded. Every row is in exactly one of the batches, the rejects or a `skipped` count.

    Attributes:
      patterns: file patterns of any Beam filesystem; the suffix tells the format.
      columns: `{canonical name: their name}` for columns that the alias table does not know.

    Raises (in the pipeline):
      InputError: a pattern without files, a file that can't be read or lacks a required column.
    """

    patterns: Sequence[str]
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @no_annotations
    def expand(self, pbegin: beam.Pipeline) -> Batches:
        """Applies the transform to the beginning of a pipeline."""
        names = ColumnNames.of("messages", self.columns)
        return _read(pbegin, self.patterns, _Normalize(names))


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ReadSessions(beam.PTransform):
    """Reads sessions from files, as `ReadMessages` does.

    Attributes:
      patterns: file patterns.
      columns: as for `ReadMessages`.
      channels: patterns of files with MessagingChannel's Id and PlatformType, for sessions whose own
        rows do not state their platform.
      assume_platform: the platform of a session for which nobody states it; None rejects it.
    """

    patterns: Sequence[str]
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    channels: Sequence[str] = ()
    assume_platform: Literal["Enhanced", "Standard"] | None = None

    @no_annotations
    def expand(self, pbegin: beam.Pipeline) -> Batches:
        """Applies the transform to the beginning of a pipeline."""
        normalize = _Normalize(ColumnNames.of("sessions", self.columns), self.assume_platform)
        if not self.channels:
            return _read(pbegin, self.patterns, normalize)
        channels = _read(pbegin, self.channels, _Normalize(ColumnNames.of("channels")), "Channels")
        platforms = beam.pvalue.AsSingleton(
            channels.batches
            | "MergeChannels" >> beam.CombineGlobally(_merge_platforms).without_defaults(),
            default_value={},
        )
        sessions = _read(pbegin, self.patterns, normalize, channel_platforms=platforms)
        return sessions._replace(
            rejects=(sessions.rejects, channels.rejects) | "AllRejects" >> beam.Flatten(),
            counts=(sessions.counts, channels.counts) | "AllCounts" >> beam.Flatten(),
        )


def check_inputs(patterns: Sequence[str], names: ColumnNames) -> None:
    """Looks at each pattern's first file, so that a mistake is told before any work.

    Raises:
      InputError: a pattern without files, an unknown format, an unreadable file, a missing column.
    """
    for pattern in patterns:
        files = match(pattern)
        for path, _ in files:
            formats.format_of(path)
        _check_columns(files[0][0], names)


def _check_columns(path: str, names: ColumnNames) -> None:
    try:
        with open_input(path) as file:
            found = formats.format_of(path).names(file)
    except formats.UNREADABLE as error:
        raise formats.explain(path, error) from error
    if found is not None:
        names.check(found, path)


def _merge_platforms(tables: Sequence[dict[str, str]]) -> dict[str, str]:
    """Of contradicting statements the one that sorts last, whatever the order of arrival."""
    return dict(sorted(pair for table in tables for pair in table.items()))


@dataclasses.dataclass(frozen=True)
class _Normalize:
    """From raw rows to the elements of the batches output, by kind of input."""

    names: ColumnNames
    assume_platform: str | None = None

    def __call__(
        self, raw: batches.RawBatch, source: str, **extra: Any
    ) -> tuple[Any, list[Reject], Counts]:
        if self.names.kind == "channels":
            return batches.normalize_channels(raw, self.names, source)
        if self.names.kind == "sessions":
            return batches.normalize_sessions(
                raw, self.names, source, assume_platform=self.assume_platform, **extra
            )
        return batches.normalize_messages(raw, self.names, source)


def _read(
    pbegin: beam.Pipeline,
    patterns: Sequence[str],
    normalize: _Normalize,
    label: str = "",
    **side_inputs: Any,
) -> Batches:
    parts = (
        pbegin
        | f"{label}Patterns" >> beam.Create(list(patterns), reshuffle=False)
        | f"{label}ListParts"
        >> beam.ParDo(_ListParts(normalize.names))
        .with_output_types(FilePart, num_bytes=int)
        .with_outputs(NUM_BYTES, main="parts")
    )
    read = (
        parts.parts
        | f"{label}Distribute" >> beam.Reshuffle()
        | f"{label}ReadParts"
        >> beam.ParDo(_ReadParts(normalize), **side_inputs)
        .with_output_types(
            dict if normalize.names.kind == "channels" else pa.RecordBatch,
            rejects=Reject,
            counts=dict,
        )
        .with_outputs(REJECTS, COUNTS, main="batches")
    )
    return Batches(read.batches, read[REJECTS], read[COUNTS], parts[NUM_BYTES])


class _ListParts(beam.DoFn):
    """A pattern to the parts of its files, and to their size as canonical batches."""

    def __init__(self, names: ColumnNames):
        self._names = names

    def process(self, pattern: str) -> Iterator[Any]:
        for path, size in match(pattern):
            _check_columns(path, self._names)
            file_format = formats.format_of(path)
            try:
                with open_input(path) as file:
                    parts = file_format.parts(file, size)
            except formats.UNREADABLE as error:
                raise formats.explain(path, error) from error
            for part in parts:
                yield FilePart(path, part)
            yield beam.pvalue.TaggedOutput(NUM_BYTES, int(size * file_format.bytes_per_byte))


class _ReadParts(beam.DoFn):
    """A part of a file to batches, rejects and counts."""

    def __init__(self, normalize: _Normalize):
        self._normalize = normalize

    def process(self, element: FilePart, **side_inputs: Any) -> Iterator[Any]:
        path, part = element
        names = self._normalize.names.all()
        raw_batches = formats.format_of(path).read(lambda: open_input(path), part, names)
        while True:
            try:
                raw = next(raw_batches, None)
            except formats.UNREADABLE as error:
                raise formats.explain(path, error) from error
            if raw is None:
                return
            batch, rejects, counts = self._normalize(raw, path, **side_inputs)
            if not isinstance(batch, pa.RecordBatch) or len(batch):
                yield batch
            yield from (beam.pvalue.TaggedOutput(REJECTS, reject) for reject in rejects)
            yield from emit_counts(counts)
