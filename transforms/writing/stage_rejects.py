"""Keeps and stages the rejects: `KeepRejects`, `StageRejects`."""

import dataclasses
import os
from collections.abc import Iterable, Iterator

import apache_beam as beam
import pyarrow as pa
from apache_beam.typehints.decorators import no_annotations

from transforms import collections
from transforms.publishing.staging import staging_of, write_file
from transforms.publishing.take import Run
from transforms.rejects import REJECTS, Bounds, bounds_of, least_of_each, not_beyond
from transforms.writing.destinations import RejectsPlace, Written
from transforms.writing.rejects import encode_rejects, rejects_file

KEPT = 100_000
"""Of each input and reason so many rejects are written; any more are only counted."""

_PER_FILE = 100_000


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class KeepRejects(beam.PTransform):
    """Keeps of each input and reason the first rejects, by file and row; gives one batch, or none.

    Takes a PCollection of batches of layout `REJECTS`. They are reduced where they are made, so that what
    is kept and shuffled does not grow with their number.

    Attributes:
      limit: how many are kept.
    """

    limit: int = KEPT

    @no_annotations
    def expand(self, rejects: beam.PCollection) -> beam.PCollection:
        """Applies the transform to batches of rejects."""
        least = beam.CombineGlobally(_Least(self.limit)).without_defaults()
        return rejects | "Least" >> least.with_output_types(pa.RecordBatch)


@dataclasses.dataclass
class _Found:
    """What `least_of_each` has given so far, and batches, of so many rows, that wait to be sorted in."""

    least: pa.RecordBatch
    bounds: Bounds
    waiting: list[pa.RecordBatch] = dataclasses.field(default_factory=list)
    num_waiting: int = 0


class _Least(beam.CombineFn):
    """`least_of_each` of batches that come one by one, and may be many."""

    def __init__(self, limit: int):
        self._limit = limit

    def create_accumulator(self) -> _Found:
        return _Found(pa.RecordBatch.from_pylist([], REJECTS), {})

    def add_input(self, accumulator: _Found, element: pa.RecordBatch) -> _Found:
        more = not_beyond(element, accumulator.bounds)
        accumulator.waiting.append(more)
        accumulator.num_waiting += len(more)
        if accumulator.num_waiting > max(self._limit, len(accumulator.least)):
            return self.compact(accumulator)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[_Found]) -> _Found:
        batches = [batch for one in accumulators for batch in (one.least, *one.waiting)]
        least = least_of_each(batches, self._limit)
        return _Found(least, bounds_of(least, self._limit))

    def compact(self, accumulator: _Found) -> _Found:
        return self.merge_accumulators([accumulator])

    def extract_output(self, accumulator: _Found) -> pa.RecordBatch:
        return self.compact(accumulator).least


def examples_in(kept: beam.PCollection) -> beam.pvalue.AsIter:
    """Of what `KeepRejects` gives one reject of each input and reason, a side input of batches."""
    return beam.pvalue.AsIter(
        kept | "RejectExamples" >> beam.Map(lambda batch: least_of_each([batch], 1))
    )


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class StageRejects(beam.PTransform):
    """Stages what `KeepRejects` gives, in files of equal size; gives a `Written` for each.

    Attributes:
      place: where the rejects go.
      run: the name of the run that has taken the output; see `publishing.take`.
    """

    place: RejectsPlace
    run: Run

    @no_annotations
    def expand(self, kept: beam.PCollection) -> beam.PCollection:
        """Applies the transform to the one batch of rejects."""
        write = beam.FlatMap(self._write, self.run)
        return kept | "WriteRejects" >> write.with_output_types(Written)

    def _write(self, kept: pa.RecordBatch, run: str) -> Iterator[Written]:
        files = -(-len(kept) // _PER_FILE)
        for number in range(files):
            start, end = (len(kept) * edge // files for edge in (number, number + 1))
            name = os.path.join(self.place.within, rejects_file(number, files))
            content = encode_rejects(kept.slice(start, end - start))
            write_file(f"{staging_of(self.place.directory, run)}/{name}", [content])
            yield collections.REJECTS, name, end - start
