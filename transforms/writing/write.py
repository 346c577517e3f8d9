"""Writes metrics as records, and the summaries of the sessions: `WriteMetrics`."""

import collections
import dataclasses
import functools
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import apache_beam as beam
import pyarrow as pa
from apache_beam.typehints.decorators import no_annotations

from transforms.batches import Counts
from transforms.collections import REJECTS, Metrics
from transforms.errors import OutputError
from transforms.files import absolute
from transforms.folding.checks import with_median
from transforms.plumbing.counters import add_counts, emit_counts
from transforms.publishing.publish import check_taken, publish
from transforms.publishing.staging import Owned, staging_of, write_file
from transforms.publishing.take import Outputs, release, run_of
from transforms.reporting.build import BuildReport
from transforms.reporting.measures import Report
from transforms.reporting.page import ReportPage
from transforms.writing.destinations import Days, Destination, RejectsPlace, Written, is_file_of
from transforms.writing.records import RECORDS_OUTPUT
from transforms.writing.refusals import check_messages, check_rejects
from transforms.writing.rejects import only_counted
from transforms.writing.stage import StageFiles
from transforms.writing.stage_rejects import KeepRejects, StageRejects, examples_in
from transforms.writing.summary_rows import SUMMARIES_OUTPUT, to_summaries
from transforms.writing.tables import TableRange

_COUNTED_AS = {
    RECORDS_OUTPUT.files: "records_written",
    SUMMARIES_OUTPUT.files: "summaries_written",
}


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class WriteMetrics(beam.PTransform):
    """Writes the records and the rejects, and publishes them all or not at all.

    Takes `Metrics`. The directory then holds this run's files and no others of an earlier run; files
    that are not of this project stay. The same records give the same bytes.

    Attributes:
      output: directory, of any filesystem that Beam knows.
      output_format: `avro`, `parquet`, `csv` (for Bulk API 2.0 ingest) or `jsonl`.
      partition_by: `day` puts the records of each day (UTC, of the session's end) into a directory
        `created_date=YYYY-MM-DD`.
      days: with `partition_by="day"`, the half-open range of days whose earlier files are replaced or,
        if there are no records now, removed; None is no bound.
      rejects: directory for the rejects; by default `rejects` in the output.
      max_reject_ratio: with more than this share of an input's rows rejected nothing is published.
      allow_no_messages: whether to publish if sessions are reported and not one message counts.
      counts_file: file for the counts, as JSON.
      table: rows of a BigQuery table that the records replace, just before the files are published;
        `output_format` is then `avro`.
      summaries: directory for the summaries of the sessions, or the rows of a table; None for no
        summaries.
      report: the page of a report of the sessions; None for no page.
      run: the name of the run that has prepared the outputs (`publishing.publish.PreparedOutputs`); empty
        if none has. The workers then take them: of two runs at once the later one publishes, and the
        other one fails.
      keep_files: False if `output` is only a staging area for the BigQuery load; it must be unique to
        this run. Rejects are kept there.

    Raises (in the pipeline):
      TooManyRejectsError: see `max_reject_ratio`.
      NoMessagesError: see `allow_no_messages`.
      OutputError: the filesystem, or BigQuery, refuses.
    """

    output: str
    _: dataclasses.KW_ONLY
    output_format: Literal["avro", "parquet", "csv", "jsonl"] = "avro"
    partition_by: Literal["none", "day"] = "none"
    days: Days = (None, None)
    rejects: str | None = None
    max_reject_ratio: float = 0.01
    allow_no_messages: bool = False
    counts_file: str | None = None
    table: TableRange | None = None
    summaries: str | TableRange | None = None
    report: ReportPage | None = None
    keep_files: bool = True
    run: str = ""

    @no_annotations
    def expand(self, metrics: Metrics) -> beam.PCollection:
        """Applies the transform; gives the counts of the whole run, once published."""
        return self._at_absolute_paths()._expand(metrics)

    def _at_absolute_paths(self) -> "WriteMetrics":
        """The same transform for workers, which may have another working directory."""
        summaries, report = self.summaries, self.report
        return dataclasses.replace(
            self,
            output=absolute(self.output),
            rejects=self.rejects and absolute(self.rejects),
            counts_file=self.counts_file and absolute(self.counts_file),
            summaries=absolute(summaries) if isinstance(summaries, str) else summaries,
            report=report and dataclasses.replace(report, path=absolute(report.path)),
        )

    def _expand(self, metrics: Metrics) -> beam.PCollection:
        if self.tables and self.output_format != "avro":
            raise ValueError(f"a table is loaded with avro files, not with {self.output_format}")
        by_day = self.partition_by == "day"
        outputs = Outputs(self.outputs)
        run = run_of(self.run, metrics.batches.pipeline, outputs)
        stage_files = StageFiles(self._destinations, self.output_format, by_day, run)
        kept = metrics.rejects | "KeepRejects" >> KeepRejects()
        staged = (
            metrics | "WriteFiles" >> stage_files,
            kept | "StageRejects" >> StageRejects(self._rejects_place, run),
        ) | "AllFiles" >> beam.Flatten()
        # The default is of the side input: one of the sum would be four steps more.
        add = beam.CombineGlobally(add_counts).without_defaults()
        counts = metrics.counts | "AddCounts" >> add
        once = metrics.batches.pipeline | "Once" >> beam.Impulse()
        published = once | "Publish" >> beam.Map(
            self._publish,
            beam.pvalue.AsIter(staged),
            self._build_report(metrics),
            beam.pvalue.AsSingleton(counts, {}),
            run,
            examples_in(kept),
            *map(beam.pvalue.AsIter, metrics.examples),
        )
        release(run, published, outputs)
        return published

    def _build_report(self, metrics: Metrics) -> Any:
        """The measured numbers of the page, as a side input; nothing if no page is wanted."""
        if self.report is None:
            return ()
        return beam.pvalue.AsIter(
            metrics.batches
            | "ToSummaries" >> beam.Map(to_summaries).with_output_types(pa.RecordBatch)
            | "BuildReport" >> BuildReport(self.report.zone)
        )

    @property
    def _destinations(self) -> list[Destination]:
        """Where the records go and, if they are wanted, the summaries."""
        records = Destination(
            output=RECORDS_OUTPUT,
            directory=self.output,
            is_published=self.keep_files,
            table=self.table,
        )
        if self.summaries is None:
            return [records]
        if isinstance(self.summaries, TableRange):
            # Staged beside the records, for the table alone.
            summaries = Destination(
                output=SUMMARIES_OUTPUT,
                directory=self.output,
                is_published=False,
                table=self.summaries,
            )
        else:
            summaries = Destination(output=SUMMARIES_OUTPUT, directory=self.summaries)
        return [records, summaries]

    @property
    def _rejects_place(self) -> RejectsPlace:
        return RejectsPlace.of(self.output, self.rejects)

    @property
    def shown(self) -> str:
        """Where the records are, once published, in words."""
        directories = [one.directory for one in self._destinations if one.is_published]
        return " and ".join([*directories, *(str(table.table) for table in self.tables)])

    @property
    def outputs(self) -> list[str]:
        """The directories that are published: the output, and what is outside of it."""
        places = [self.output, self._rejects_place.directory]
        return list(dict.fromkeys([*places, *(one.directory for one in self._destinations)]))

    @property
    def files_beside(self) -> list[str]:
        """The files that are written after the output."""
        return [path for path in (self.counts_file, self.report and self.report.path) if path]

    @property
    def tables(self) -> list[TableRange]:
        """The tables whose rows are replaced."""
        return [one.table for one in self._destinations if one.table]

    @property
    def rejects_directory(self) -> str:
        """The directory of the rejects."""
        return self.rejects or f"{self.output.rstrip('/')}/rejects"

    def _publish(
        self,
        _: bytes,
        written: Iterable[Written],
        reports: Iterable[Report],
        counts: Counts,
        run: str,
        rejects: Iterable[pa.RecordBatch],
        *examples: Any,
    ) -> Counts:
        """Puts in place, in this order: tables, directories, files beside them; gives the counts.

        What can still go wrong with the run is found out before the first of these.
        """
        check_rejects(counts, self.max_reject_ratio, rejects)
        check_messages(counts, itertools.chain(*examples), self.allow_no_messages)
        files: dict[str, list[tuple[str, int]]] = collections.defaultdict(list)
        for what, name, number in written:
            files[what].append((name, number))
        rows = {
            _COUNTED_AS[one.output.files]: sum(number for _, number in files[one.output.files])
            for one in self._destinations
        }
        rows |= only_counted(counts, sum(number for _, number in files[REJECTS]))
        list(emit_counts(rows))
        counts = with_median(add_counts([counts, rows]))
        beside = self._files_beside(counts, reports)

        # Before a table is changed.
        for directory in self.outputs:
            check_taken(directory, run)
        for one in self._destinations:
            if one.table:
                staging = staging_of(one.directory, run)
                staged = [(f"{staging}/{name}", number) for name, number in files[one.output.files]]
                one.table.replace(staged, run)
        try:
            names = {what: [name for name, _ in found] for what, found in files.items()}
            for directory, own_names, owned in self._directories(names):
                publish(directory, own_names, owned, run)
            for path, content in beside.items():
                write_file(path, [content])
        except OutputError as error:
            tables = " and ".join(str(table.table) for table in self.tables)
            loaded = f"; {tables} has its rows already" if tables else ""
            raise OutputError(f"{error}{loaded}") from error
        return counts

    def _files_beside(self, counts: Counts, reports: Iterable[Report]) -> dict[str, bytes]:
        """The files that are written after the output, by path."""
        beside = {}
        if self.counts_file:
            beside[self.counts_file] = f"{json.dumps(counts, indent=2)}\n".encode()
        if self.report:
            (report,) = reports
            beside[self.report.path] = self.report.render(report, counts)
        return beside

    def _directories(
        self, names: Mapping[str, list[str]]
    ) -> Iterator[tuple[str, list[str], Owned]]:
        """The directories in the order in which they are published: the output comes last.

        Args:
          names: the staged files, by what their rows are.

        Yields:
          The directory, its new files, and which files of the earlier output they replace.
        """
        days = self.days if self.partition_by == "day" else (None, None)
        for one in self._destinations:
            if one.is_published and one.output != RECORDS_OUTPUT:
                owned = functools.partial(is_file_of, one.output, days)
                yield one.directory, names.get(one.output.files, []), owned
        place = self._rejects_place
        rejects = names.get(REJECTS, [])
        if place.directory != self.output:
            yield place.directory, rejects, place.owns
            rejects = []
        new = [*(names.get(RECORDS_OUTPUT.files, []) if self.keep_files else []), *rejects]
        if new or self.keep_files:
            yield self.output, new, functools.partial(self._owns, days)

    def _owns(self, days: Days, name: str) -> bool:
        """Whether a file of the output is one of records or of rejects, which this run replaces."""
        place = self._rejects_place
        is_reject = place.directory == self.output and place.owns(name)
        return is_reject or is_file_of(RECORDS_OUTPUT, days, name)
