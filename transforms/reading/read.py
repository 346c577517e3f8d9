"""Reads exports into canonical batches.

    messages = pipeline | ReadMessages(["messages-*.parquet"])
    sessions = pipeline | ReadSessions(["sessions.csv"])

A pattern becomes files, a file becomes parts, a part becomes batches, each on any worker that is free.
A BigQuery table becomes streams, which are its parts.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

import apache_beam as beam
from apache_beam.typehints.decorators import no_annotations

from transforms.bigquery import Range
from transforms.collections import Batches
from transforms.files import FileFormat
from transforms.reading.inputs import Input
from transforms.reading.names import ColumnNames
from transforms.reading.read_inputs import ReadInputs
from transforms.reading.translations import Words, check_words


class _ReadOne(beam.PTransform):
    """Reads one input; a subclass says which."""

    def _input(self) -> Input:
        raise NotImplementedError

    def _others(self) -> list[Input]:
        """The inputs that say more of the rows."""
        return []

    @no_annotations
    def expand(self, pbegin: beam.Pipeline) -> Batches:
        """Applies the transform to the beginning of a pipeline."""
        return _read(pbegin, [self], end_early=False)


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ReadMessages(_ReadOne):
    """Reads messages from files, Avro, Parquet, JSON Lines, JSON, CSV, and from BigQuery tables.

    Bounded. Every row is in exactly one of the batches, the rejects or a `skipped` count. A message that
    names its conversation and no session is in a batch of layout `batches.UNASSIGNED`.

    Attributes:
      patterns: file patterns of any Beam filesystem, whose suffix names the format; a table is
        `bigquery:PROJECT.DATASET.TABLE`.
      columns: `{canonical name: their name}` for columns that the alias table does not know; their name
        may be `@file`, the name of the file.
      participants: reads the participants; a message without a role takes its participant's. None reads
        none.
      time_zone: the IANA name of a zone if the instants are wall-clock time there, whatever zone they
        state.
      values: `{"sender_role": {"customer": "EndUser"}}` for words that are not known; also `entry_type`.
        The participants' roles are of the same words.
      file_format: the format of files whose suffix names none, such as `csv`.

    Raises (in the pipeline):
      InputError: a pattern without files, a file or a table that can't be read or lacks a required
        column.
    """

    patterns: Sequence[str]
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    participants: "ReadParticipants | None" = None
    time_zone: str | None = None
    values: Words = dataclasses.field(default_factory=dict)
    file_format: FileFormat | None = None

    def _input(self) -> Input:
        check_words("messages", self.values)
        return Input(
            patterns=self.patterns,
            names=ColumnNames.of("messages", self.columns, self.participants is not None),
            time_zone=self.time_zone,
            words=self.values,
            file_format=self.file_format,
        )

    def _others(self) -> list[Input]:
        one = self.participants
        return [dataclasses.replace(one._input(), words=self.values)] if one else []


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ReadSessions(_ReadOne):
    """Reads sessions from files and tables, as `ReadMessages` does.

    Attributes:
      patterns: as for `ReadMessages`.
      columns: as for `ReadMessages`.
      channels: files or tables with MessagingChannel's Id and PlatformType, for sessions whose own
        rows do not state their platform.
      channel_columns: as `columns`, of the channels.
      assume_platform: the platform of sessions if neither their row nor their channel states it; None
        rejects them.
      closed_us: the half-open range of ends that the policy asks for, in microseconds since the epoch;
        None is no bound. Sessions of a table that ended outside of it need not be read.
      time_zone: as for `ReadMessages`.
      values: as for `ReadMessages`, of `status`, `platform_type` and `channel_type`. The channels'
        platforms are of the same words.
      file_format: as for `ReadMessages`.
      channel_format: as `file_format`, of the channels.
    """

    patterns: Sequence[str]
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    channels: Sequence[str] = ()
    channel_columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    assume_platform: Literal["Enhanced", "Standard"] | None = None
    closed_us: Range = (None, None)
    time_zone: str | None = None
    values: Words = dataclasses.field(default_factory=dict)
    file_format: FileFormat | None = None
    channel_format: FileFormat | None = None

    def _input(self) -> Input:
        check_words("sessions", self.values)
        return Input(
            patterns=self.patterns,
            names=ColumnNames.of("sessions", self.columns),
            assume_platform=self.assume_platform,
            time_zone=self.time_zone,
            closed_us=self.closed_us,
            words=self.values,
            file_format=self.file_format,
        )

    def _others(self) -> list[Input]:
        names = ColumnNames.of("channels", self.channel_columns)
        words, file_format = self.values, self.channel_format
        one = Input(patterns=self.channels, names=names, words=words, file_format=file_format)
        return [one] if self.channels else []


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ReadParticipants(_ReadOne):
    """Reads the participants of conversations, and their roles, from files and tables.

    `ReadMessages` and `BatchMessages` take it for messages that name a participant in place of a role.
    Each worker holds the roles of all participants.

    Attributes:
      patterns: as for `ReadMessages`.
      columns: as for `ReadMessages`.
      file_format: as for `ReadMessages`.
    """

    patterns: Sequence[str]
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    file_format: FileFormat | None = None

    def _input(self) -> Input:
        names = ColumnNames.of("participants", self.columns)
        return Input(patterns=self.patterns, names=names, file_format=self.file_format)


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
      end_early: whether the pipeline fails as soon as the first hundred thousand rows of an input are
        all rejects.

    Raises (in the pipeline):
      InputError: as for `ReadMessages`.
      TooManyRejectsError: see `end_early`.
    """

    messages: ReadMessages
    sessions: ReadSessions
    records: ReadRecords | None = None
    end_early: bool = False

    @no_annotations
    def expand(self, pbegin: beam.Pipeline) -> Batches:
        """Applies the transform to the beginning of a pipeline."""
        reads: list[_ReadOne] = [self.messages, self.sessions]
        if self.records is not None:
            reads.append(self.records)
        return _read(pbegin, reads, self.end_early)


def _read(pbegin: beam.Pipeline, reads: Sequence[_ReadOne], end_early: bool) -> Batches:
    """Reads inputs into one collection of batches, with what other inputs say of their rows."""
    inputs = [one._input() for one in reads]
    others = [other for one in reads for other in one._others()]
    if not others:
        return pbegin | ReadInputs(inputs, end_early=end_early)
    stated = pbegin | "Others" >> ReadInputs(others, end_early=end_early)
    return (pbegin | ReadInputs(inputs, stated, end_early)).with_fates_of(stated)
