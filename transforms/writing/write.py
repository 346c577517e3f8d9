"""Writes metrics as records, and the summaries of the sessions: `WriteMetrics`."""

import collections
import dataclasses
import functools
import json
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.typehints.decorators import no_annotations

from transforms.batches import KEYS, Counts, Reject
from transforms.collections import Metrics
from transforms.errors import OutputError
from transforms.files import is_local
from transforms.plumbing.coders import RecordBatchCoder, batch_coder
from transforms.plumbing.counters import add_counts, emit_counts
from transforms.plumbing.threads import Done, OverlappingDoFn, Task
from transforms.publishing.publish import publish
from transforms.publishing.staging import staging_of, write_file
from transforms.reporting.build import BuildReport
from transforms.reporting.measures import Report
from transforms.reporting.page import ReportPage
from transforms.writing.encoders import ENCODERS, encode
from transforms.writing.file_ranges import FileKey, Merged, cut, split_by_file
from transforms.writing.outputs import Output
from transforms.writing.records import RECORDS_OUTPUT
from transforms.writing.rejects import REJECTS_NAME, check_rejects, encode_rejects
from transforms.writing.summary_rows import SUMMARIES_OUTPUT, to_summaries
from transforms.writing.tables import TableRange, check_rows

_REJECT_FILE = re.compile(r"rejects-\d{5}-of-\d{5}\.jsonl")

Written = tuple[str, str, int]
"""A staged file: `Kind.files`, its path in the output, the number of its rows."""


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class WriteMetrics(beam.PTransform):
    """Writes the records and the rejects, and publishes them all or not at all.

    Takes `Metrics`. The directory then holds this run's files and no others of an earlier run; files
    that are not of this project stay. The same records give the same bytes.

    Attributes:
      output: directory, of any Beam filesystem.
      output_format: `avro`, `parquet`, `csv` (for Bulk API 2.0 ingest) or `jsonl`.
      partition_by: `day` puts the records of each day (UTC, of the session's end) into a directory
        `created_date=YYYY-MM-DD`.
      days: with `partition_by="day"`, the half-open range of days whose earlier files are replaced or,
        where there are no records now, removed; None is no bound.
      rejects: directory for the rejects; by default `rejects` in the output.
      max_reject_ratio: with more than this share of an input's rows rejected nothing is published.
      summary: file for the counts, as JSON.
      table: rows of a BigQuery table that the records replace, just before the files are published;
        `output_format` is then `avro`.
      summaries: directory for the summaries of the sessions, or the rows of a table; None where
        there are none.
      report: the page of a report of the sessions; None where there is none.
      keep_files: False: the output is for the table's files on their way alone, and for the rejects;
        no other run may have the same.

    Raises (in the pipeline):
      TooManyRejectsError: see `max_reject_ratio`.
      OutputError: the filesystem, or BigQuery, says no.
    """

    output: str
    output_format: Literal["avro", "parquet", "csv", "jsonl"] = "avro"
    partition_by: Literal["none", "day"] = "none"
    days: tuple[str | None, str | None] = (None, None)
    rejects: str | None = None
    max_reject_ratio: float = 0.01
    summary: str | None = None
    table: TableRange | None = None
    summaries: str | TableRange | None = None
    report: ReportPage | None = None
    keep_files: bool = True

    @no_annotations
    def expand(self, metrics: Metrics) -> beam.PCollection:
        """Applies the transform; gives the counts of the whole run, once published."""
        if self.tables and self.output_format != "avro":
            raise ValueError(f"a table is loaded with avro files, not with {self.output_format}")
        pipeline = metrics.batches.pipeline
        targets = [_Target(RECORDS_OUTPUT, self.output, self.table is not None)]
        if self.summaries is not None:
            directory = self.summaries_directory
            targets.append(_Target(SUMMARIES_OUTPUT, directory or self.output, directory is None))
        files = metrics | "WriteFiles" >> _WriteFiles(
            targets, self.output_format, self.partition_by == "day"
        )
        report: Any = ()
        if self.report is not None:
            report = beam.pvalue.AsIter(
                metrics.batches
                | "ToSummaries" >> beam.Map(to_summaries).with_output_types(pa.RecordBatch)
                | "BuildReport" >> BuildReport(self.report.zone)
            )
        reject_files = (
            metrics.rejects
            | "KeyRejects" >> beam.Map(lambda reject: (0, reject))
            | "GroupRejects" >> beam.GroupByKey()
            | "WriteRejects" >> beam.MapTuple(self._write_rejects)
        )
        counts = metrics.counts | "AddCounts" >> beam.CombineGlobally(add_counts)
        once = pipeline | "Once" >> beam.Create([None], reshuffle=False)
        # A side input, so that it is the same when publishing is tried again.
        run = once | "NameRun" >> beam.Map(lambda _: uuid.uuid4().hex)
        return once | "Publish" >> beam.Map(
            self._publish,
            beam.pvalue.AsIter(files),
            report,
            beam.pvalue.AsIter(reject_files),
            beam.pvalue.AsSingleton(counts),
            beam.pvalue.AsSingleton(run),
        )

    @property
    def shown(self) -> str:
        """Where the records are, once published, in words."""
        places = [self.output] if self.keep_files else []
        if self.summaries_directory:
            places.append(self.summaries_directory)
        return " and ".join([*places, *(str(table.table) for table in self.tables)])

    @property
    def outputs(self) -> list[str]:
        """The directories that are published: the output, and what is outside of it."""
        outside = [self.rejects_directory] if self.rejects_within is None else []
        return [self.output, *outside, *filter(None, [self.summaries_directory])]

    @property
    def files_beside(self) -> list[str]:
        """The files that are written after the output."""
        return [path for path in (self.summary, self.report and self.report.path) if path]

    @property
    def tables(self) -> list[TableRange]:
        """The tables whose rows are replaced."""
        of_summaries = None if self.summaries_directory else self.summaries
        return [t for t in (self.table, of_summaries) if isinstance(t, TableRange)]

    @property
    def summaries_directory(self) -> str | None:
        """The directory of the summaries; None where there is none."""
        return self.summaries if isinstance(self.summaries, str) else None

    @property
    def rejects_directory(self) -> str:
        """Where the rejects go."""
        return self.rejects or f"{self.output.rstrip('/')}/rejects"

    @property
    def rejects_within(self) -> str | None:
        """The path of the rejects' directory inside the output; None where it is outside."""
        if self.rejects is None:
            return "rejects"
        if not is_local(self.output) or not is_local(self.rejects):
            top, rejects = f"{self.output.rstrip('/')}/", f"{self.rejects.rstrip('/')}/"
            return rejects[len(top) :].rstrip("/") if rejects.startswith(top) else None
        within = os.path.relpath(os.path.realpath(self.rejects), os.path.realpath(self.output))
        return None if within.split(os.sep)[0] == os.pardir else within

    def _write_rejects(self, key: int, rejects: Iterable[Reject]) -> str:
        within = self.rejects_within
        name = os.path.normpath(os.path.join(within or "", REJECTS_NAME))
        directory = self.rejects_directory if within is None else self.output
        content = encode_rejects(rejects)
        write_file(f"{staging_of(directory)}/{name}", [content])
        return name

    def _publish(
        self,
        _: None,
        files: Iterable[Written],
        reports: Iterable[Report],
        reject_files: Iterable[str],
        counts: Counts,
        run: str,
    ) -> Counts:
        check_rejects(counts, self.max_reject_ratio)
        of_kind: dict[str, list[tuple[str, int]]] = {
            RECORDS_OUTPUT.files: [],
            SUMMARIES_OUTPUT.files: [],
        }
        for kind, name, number in files:
            of_kind[kind].append((name, number))
        reject_names = list(reject_files)
        written = {"records_written": sum(number for _, number in of_kind[RECORDS_OUTPUT.files])}
        if self.summaries is not None:
            written["summaries_written"] = sum(
                number for _, number in of_kind[SUMMARIES_OUTPUT.files]
            )
        list(emit_counts(written))
        counts = add_counts([counts, written])
        beside = self._files_beside(counts, reports)
        staging = staging_of(self.output)
        for table in self.tables:
            staged = ((f"{staging}/{name}", number) for name, number in of_kind[table.kind.files])
            table.replace(staged, run)
        names = {kind: [name for name, _ in found] for kind, found in of_kind.items()}
        try:
            if self.summaries_directory:
                owns = functools.partial(self._owns, SUMMARIES_OUTPUT)
                publish(self.summaries_directory, names[SUMMARIES_OUTPUT.files], owns)
            self._publish_files(
                names[RECORDS_OUTPUT.files] if self.keep_files else [], reject_names
            )
            for path, content in beside.items():
                write_file(path, [content])
        except OutputError as error:
            tables = " and ".join(str(table.table) for table in self.tables)
            told = f"; {tables} has its rows already" if tables else ""
            raise OutputError(f"{error}{told}") from error
        return counts

    def _files_beside(self, counts: Counts, reports: Iterable[Report]) -> dict[str, bytes]:
        """The files that are written after the output, by path."""
        beside = {}
        if self.summary:
            beside[self.summary] = f"{json.dumps(counts, indent=2)}\n".encode()
        if self.report:
            (report,) = reports
            beside[self.report.path] = self.report.render(report, counts)
        return beside

    def _publish_files(self, names: list[str], reject_names: list[str]) -> None:
        if self.rejects_within is None:
            publish(
                self.rejects_directory,
                reject_names,
                lambda name: bool(_REJECT_FILE.fullmatch(name)),
            )
        else:
            names = names + reject_names
        if names or self.keep_files:
            owns = functools.partial(self._owns, RECORDS_OUTPUT)
            publish(self.output, names, owns)

    def _owns(self, kind: Output, name: str) -> bool:
        if kind == RECORDS_OUTPUT and self.rejects_within is not None:
            file = os.path.relpath(name, self.rejects_within)
            if _REJECT_FILE.fullmatch(file):
                return True
        found = re.fullmatch(
            rf"(?:{kind.partition}=(?P<day>\d{{4}}-\d{{2}}-\d{{2}})/)?"
            rf"{kind.files}-\d{{5}}-of-\d{{5}}\.(?:{'|'.join(ENCODERS)})",
            name,
        )
        if not found:
            return False
        if self.partition_by == "none" or found["day"] is None:
            return True
        start, end = self.days
        return (start is None or start <= found["day"]) and (end is None or found["day"] < end)


class _Target(NamedTuple):
    """Where the files of a kind are staged, and whether they must be fit for a table."""

    kind: Output
    output: str
    check: bool


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class _WriteFiles(beam.PTransform):
    """Stages the rows of each kind in files; gives kind, name and number of rows of each."""

    targets: Sequence[_Target]
    output_format: str
    by_day: bool

    @no_annotations
    def expand(self, metrics: Metrics) -> beam.PCollection:
        """Applies the transform to metrics."""
        by_day = self.by_day
        cuts = beam.pvalue.AsDict(
            metrics.samples
            | "KeySamples" >> beam.MapTuple(lambda day, i: (day if by_day else "", i))
            | "GroupSamples" >> beam.GroupByKey()
            | "CutFiles" >> beam.MapTuple(lambda partition, ids: (partition, cut(ids)))
        )
        split = beam.FlatMap(self._split, batch_coder(), cuts).with_output_types(
            tuple[FileKey, bytes]
        )
        pieces = metrics.batches | "KeyByFile" >> split
        if not by_day:  # a run without sessions has a file without rows
            empty = pieces.pipeline | "NoSessions" >> beam.Create([b""], reshuffle=False)
            empty |= "NoBatch" >> beam.Map(lambda _: _EMPTY).with_output_types(pa.RecordBatch)
            # Flattened only now: the in-process runner would encode whole batches for it.
            pieces = (pieces, empty | "KeyNoBatch" >> split) | "AllPieces" >> beam.Flatten()
        return (
            pieces
            | "GroupByFile" >> beam.GroupByKey()
            | "WriteFiles"
            >> beam.ParDo(_WriteFile(self.targets), self.output_format).with_output_types(Written)
        )

    def _split(
        self, batch: pa.RecordBatch, coder: RecordBatchCoder, cuts: Mapping[str, list[str]]
    ) -> Iterator[tuple[FileKey, bytes]]:
        wanted = {name for target in self.targets for name in target.kind.layout.names}
        kept = batch.select([name for name in batch.schema.names if name in wanted])
        for key, piece in split_by_file(kept, self.by_day, cuts):
            yield key, coder.encode(piece)


_EMPTY = pa.RecordBatch.from_pylist(
    [], pa.schema([*RECORDS_OUTPUT.layout, *(f for f in SUMMARIES_OUTPUT.layout if f not in KEYS)])
)


class _WriteFile(OverlappingDoFn):
    """The batches of a file to one of each kind."""

    stage = "write"

    def __init__(self, targets: Sequence[_Target]):
        self._targets = targets
        self._coder = RecordBatchCoder()

    def tasks(self, element: tuple[FileKey, Iterable[bytes]], extra: str) -> Iterator[Task]:
        key, encoded = element
        yield functools.partial(self._write, key, list(encoded), extra)

    def _write(self, key: FileKey, encoded: list[bytes], output_format: str) -> Done:
        partition, number, of = key
        batches = map(self._coder.decode, encoded)
        rows = Merged([batch for batch in batches if len(batch)] or [_EMPTY])
        written, stage = [], collections.Counter[str]()
        for kind, output, check in self._targets:
            name = f"{kind.files}-{number:05d}-of-{of:05d}.{output_format}"
            name = f"{kind.partition}={partition}/{name}" if partition else name
            of_kind = rows.select(kind.select)
            if check:
                check_rows(kind, of_kind.unsorted)
            content = encode(kind, of_kind, output_format)
            num_bytes = write_file(f"{staging_of(output)}/{name}", content)
            num_rows = len(rows) * kind.rows_per_session(rows.schema)
            written.append((kind.files, name, num_rows))
            stage.update(rows=num_rows, bytes=num_bytes)
        return Done(written, {}, stage)
