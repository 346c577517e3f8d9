"""Stages the files of the records and the summaries: `StageFiles`."""

import collections
import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import apache_beam as beam
import pyarrow as pa
from apache_beam.typehints.decorators import no_annotations

from transforms.batches import KEYS
from transforms.collections import Metrics
from transforms.plumbing.coders import RecordBatchCoder, batch_coder
from transforms.plumbing.threads import Done, OverlappingDoFn, Task
from transforms.publishing.staging import staging_of, write_file
from transforms.publishing.take import Run
from transforms.writing.destinations import Destination, Written, file_name
from transforms.writing.encoders import ENCODERS
from transforms.writing.file_ranges import FileKey, Merged, cut, split_by_file
from transforms.writing.outputs import check_rows
from transforms.writing.records import RECORDS_OUTPUT
from transforms.writing.summary_rows import SUMMARIES_OUTPUT


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class StageFiles(beam.PTransform):
    """Stages the rows of each output in files; gives a `Written` for each file.

    Takes `Metrics`. The files of all outputs are cut at the same session ids.

    Attributes:
      destinations: where the rows of each output go.
      output_format: the format of all files, of `ENCODERS`.
      by_day: whether there is a directory for each day, UTC, on which sessions ended.
      run: the name of the run that has taken the outputs; see `publishing.take`.
    """

    destinations: Sequence[Destination]
    output_format: str
    by_day: bool
    run: Run

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
        if not by_day:
            # A run without sessions has a file without rows.
            empty = pieces.pipeline | "NoSessions" >> beam.Impulse()
            empty |= "NoBatch" >> beam.Map(lambda _: _EMPTY).with_output_types(pa.RecordBatch)
            # Flattened only now: the in-process runner would encode whole batches for it.
            pieces = (pieces, empty | "KeyNoBatch" >> split) | "AllPieces" >> beam.Flatten()
        write = beam.ParDo(_WriteFile(self.destinations, self.output_format), self.run)
        return (
            pieces
            | "GroupByFile" >> beam.GroupByKey()
            | "WriteFiles" >> write.with_output_types(Written)
        )

    def _split(
        self, batch: pa.RecordBatch, coder: RecordBatchCoder, cuts: Mapping[str, list[str]]
    ) -> Iterator[tuple[FileKey, bytes]]:
        wanted = {name for one in self.destinations for name in one.output.layout.names}
        kept = batch.select([name for name in batch.schema.names if name in wanted])
        for key, piece in split_by_file(kept, self.by_day, cuts):
            for encoded in coder.encode_pieces(piece):
                yield key, encoded


# A batch without rows, with the columns of all outputs.
_EMPTY = pa.RecordBatch.from_pylist(
    [], pa.schema([*RECORDS_OUTPUT.layout, *(f for f in SUMMARIES_OUTPUT.layout if f not in KEYS)])
)


class _WriteFile(OverlappingDoFn):
    """The batches of a file to one file of each output."""

    stage = "write"

    def __init__(self, destinations: Sequence[Destination], output_format: str):
        self._destinations, self._format = destinations, output_format
        self._coder = RecordBatchCoder()

    def tasks(self, element: tuple[FileKey, Iterable[bytes]], extra: str) -> Iterator[Task]:
        key, encoded = element
        yield functools.partial(self._write, key, list(encoded), extra)

    def _write(self, key: FileKey, encoded: list[bytes], run: str) -> Done:
        batches = map(self._coder.decode, encoded)
        sessions = Merged([batch for batch in batches if len(batch)] or [_EMPTY])
        written, stage = [], collections.Counter[str]()
        for one in self._destinations:
            output, name = one.output, file_name(one.output, key, self._format)
            own = sessions.select(output.select)
            if one.table:
                check_rows(output, own.unsorted)
            content = ENCODERS[self._format](output, own)
            num_bytes = write_file(f"{staging_of(one.directory, run)}/{name}", content)
            num_rows = len(own) * output.rows_per_session(own.schema)
            written.append((output.files, name, num_rows))
            stage.update(rows=num_rows, bytes=num_bytes)
        return Done(written, {}, stage)
