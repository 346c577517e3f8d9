"""Reads exports into canonical batches.

    messages = pipeline | ReadMessages(["messages-*.parquet"])
    sessions = pipeline | ReadSessions(["sessions.csv"])

A pattern becomes files, a file becomes parts, a part becomes batches, each on any worker that is free.
A BigQuery table becomes streams, which are its parts.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import apache_beam as beam
import pyarrow as pa
from apache_beam.typehints.decorators import no_annotations

from transforms.batches import Reject
from transforms.bigquery import Range
from transforms.collections import COUNTS, NUM_BYTES, REJECTS, Batches
from transforms.plumbing import coders  # noqa: F401  (registers the coder)
from transforms.plumbing.threads import Done, OverlappingDoFn, Task
from transforms.reading.columns import ColumnNames
from transforms.reading.formats.parts import Decode
from transforms.reading.inputs import FilePart, Input


class _ReadOne(beam.PTransform):
    """Reads one input; a subclass says which."""

    def _input(self) -> Input:
        raise NotImplementedError

    @no_annotations
    def expand(self, pbegin: beam.Pipeline) -> Batches:
        """Applies the transform to the beginning of a pipeline."""
        return _read(pbegin, [self._input()])


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ReadMessages(_ReadOne):
    """Reads messages from files, Avro, Parquet, JSON Lines, JSON, CSV, and from BigQuery tables.

    Bounded. Every row is in exactly one of the batches, the rejects or a `skipped` count.

    Attributes:
      patterns: file patterns of any Beam filesystem, whose suffix names the format; a table is
        `bigquery:PROJECT.DATASET.TABLE`.
      columns: `{canonical name: their name}` for columns that the alias table does not know.

    Raises (in the pipeline):
      InputError: a pattern without files, a file or a table that can't be read or lacks a required
        column.
    """

    patterns: Sequence[str]
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def _input(self) -> Input:
        return Input(patterns=self.patterns, names=ColumnNames.of("messages", self.columns))


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ReadSessions(_ReadOne):
    """Reads sessions from files and tables, as `ReadMessages` does.

    Attributes:
      patterns: as for `ReadMessages`.
      columns: as for `ReadMessages`.
      channels: files or tables with MessagingChannel's Id and PlatformType, for sessions whose own
        rows do not state their platform.
      assume_platform: the platform of sessions if neither their row nor their channel states it; None
        rejects them.
      closed_us: the half-open range of ends that the policy asks for, in microseconds since the epoch;
        None is no bound. Sessions of a table that ended outside of it need not be read.
    """

    patterns: Sequence[str]
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    channels: Sequence[str] = ()
    assume_platform: Literal["Enhanced", "Standard"] | None = None
    closed_us: Range = (None, None)

    def _input(self) -> Input:
        return Input(
            patterns=self.patterns,
            names=ColumnNames.of("sessions", self.columns),
            channels=self.channels,
            assume_platform=self.assume_platform,
            closed_us=self.closed_us,
        )


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ReadRecords(_ReadOne):
    """Reads Salesforce's own MessagingSessionMetrics from files and tables, as `ReadMessages` does.

    Attributes:
      patterns: as for `ReadMessages`.
      columns: as for `ReadMessages`.
    """

    patterns: Sequence[str]
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def _input(self) -> Input:
        return Input(patterns=self.patterns, names=ColumnNames.of("records", self.columns))


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ReadSummaries(_ReadOne):
    """Reads summary rows from files and tables, as `ReadMessages` does.

    Attributes:
      patterns: as for `ReadMessages`.
    """

    patterns: Sequence[str]

    def _input(self) -> Input:
        return Input(patterns=self.patterns, names=ColumnNames.of("summaries"))


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ReadMessagesAndSessions(beam.PTransform):
    """Reads several inputs into one `Batches`, which spares a runner one more copy of every batch.

    Attributes:
      messages: reads the messages.
      sessions: reads the sessions.
      records: reads Salesforce's own records; None reads none.
    """

    messages: ReadMessages
    sessions: ReadSessions
    records: ReadRecords | None = None

    @no_annotations
    def expand(self, pbegin: beam.Pipeline) -> Batches:
        """Applies the transform to the beginning of a pipeline."""
        reads: list[_ReadOne] = [self.messages, self.sessions]
        if self.records is not None:
            reads.append(self.records)
        return _read(pbegin, [one._input() for one in reads])


def _read(pbegin: beam.Pipeline, inputs: Sequence[Input]) -> Batches:
    """Reads inputs into one collection of batches, sessions with the platforms of their channels."""
    channels = [pattern for one in inputs for pattern in one.channels]
    if not channels:
        return _read_parts(pbegin, inputs, {})
    of_channels = Input(patterns=channels, names=ColumnNames.of("channels"))
    stated = _read_parts(pbegin, [of_channels], {}, "Channels", dict)
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


def _merge_platforms(tables: Sequence[dict[str, str]]) -> dict[str, str]:
    """Merges tables; of contradicting platforms the one that sorts last, in any order of arrival."""
    return dict(sorted(pair for table in tables for pair in table.items()))


def _read_parts(
    pbegin: beam.Pipeline,
    inputs: Sequence[Input],
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
    """Makes of a pattern the parts of its files or its table, and their size as canonical batches."""

    def __init__(self, inputs: Mapping[str, Input]):
        self._inputs = inputs

    def process(self, element: tuple[str, str]) -> Iterator[Any]:
        kind, pattern = element
        for parts, num_bytes in self._inputs[kind].parts_of(pattern):
            yield from parts
            yield beam.pvalue.TaggedOutput(NUM_BYTES, num_bytes)


class _ReadParts(OverlappingDoFn):
    """Makes of a part of a file or a table batches, rejects and counts."""

    stage = "read"

    def __init__(self, inputs: Mapping[str, Input]):
        self._inputs = inputs

    def tasks(self, element: FilePart, extra: Mapping[str, str]) -> Iterator[Task]:
        one = self._inputs[element.kind]
        for decode in one.pieces_of(element):
            yield functools.partial(_normalize, one, decode, element.path, extra)


def _normalize(one: Input, decode: Decode, path: str, channel_platforms: Mapping[str, str]) -> Done:
    raw, (batch, rejects, counts) = one.normalize(decode, path, channel_platforms)
    outputs = [beam.pvalue.TaggedOutput(REJECTS, reject) for reject in rejects]
    stage = {"rows": raw.num_rows + len(raw.malformed)}
    if isinstance(batch, pa.RecordBatch):
        stage["bytes"] = batch.nbytes
    if len(batch):
        outputs.insert(0, batch)
    return Done(outputs, counts, stage)
