"""Reads inputs: `ReadInputs`.

A pattern becomes files, a file becomes parts, a part becomes batches, each on any worker that is free.
A BigQuery table becomes streams, which are its parts.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.typehints.decorators import no_annotations

from transforms.collections import COUNTS, NUM_BYTES, REJECTS, Batches
from transforms.plumbing import coders  # noqa: F401  (registers the coder)
from transforms.plumbing.counters import add_counts
from transforms.plumbing.dictionaries import merged
from transforms.plumbing.threads import Done, OverlappingDoFn, Task
from transforms.reading.beginnings import Beginning
from transforms.reading.columns import RawBatch, put_together
from transforms.reading.fates import Normalized
from transforms.reading.inputs import FileParts, Input
from transforms.reading.lookups import Lookups


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ReadInputs(beam.PTransform):
    """Reads inputs into one `Batches`.

    Attributes:
      inputs: of different kinds.
      stated: the channels and participants, which say more of the rows; None if there are none.
      end_early: see `ReadMessagesAndSessions`.
    """

    inputs: Sequence[Input]
    stated: Batches | None = None
    end_early: bool = False

    @no_annotations
    def expand(self, pbegin: beam.Pipeline) -> Batches:
        """Applies the transform to the beginning of a pipeline."""
        by_kind = {one.names.kind: one for one in self.inputs}
        patterns = [
            (kind, pattern, self.end_early and place == 0)
            for kind, one in by_kind.items()
            for place, pattern in enumerate(one.patterns)
        ]
        parts = (
            pbegin
            | "Patterns" >> beam.Create(patterns, reshuffle=False)
            | "ListParts"
            >> beam.ParDo(_ListParts(by_kind))
            .with_output_types(FileParts, num_bytes=int)
            .with_outputs(NUM_BYTES, main="parts")
        )
        read = (
            parts.parts
            | "Distribute" >> beam.Reshuffle()
            | "ReadParts"
            >> beam.ParDo(_ReadParts(by_kind), said_by(self.stated))
            .with_output_types(pa.RecordBatch, rejects=pa.RecordBatch, counts=dict)
            .with_outputs(REJECTS, COUNTS, main="batches")
        )
        return Batches(read.batches, read[REJECTS], read[COUNTS], parts[NUM_BYTES])


def said_by(stated: Batches | None) -> Any:
    """What other inputs say of rows, as a side input of which `Lookups.of` can be made."""
    return beam.pvalue.AsList(stated.batches) if stated else ()


class _ListParts(beam.DoFn):
    """Makes of a pattern the parts of its files or its table, and their size as canonical batches."""

    def __init__(self, inputs: Mapping[str, Input]):
        self._inputs = inputs

    def process(self, element: tuple[str, str, bool]) -> Iterator[Any]:
        kind, pattern, is_first = element
        for found in self._inputs[kind].parts_of(pattern):
            if isinstance(found, FileParts):
                yield found._replace(is_first=is_first)
                is_first = False
            else:
                yield beam.pvalue.TaggedOutput(NUM_BYTES, found)


class _ReadParts(OverlappingDoFn):
    """Makes of parts of files or of a table batches, rejects and counts."""

    stage = "read"

    def __init__(self, inputs: Mapping[str, Input]):
        self._inputs = inputs
        self._lookups: Lookups | None = None

    def tasks(self, element: FileParts, extra: Sequence[pa.RecordBatch]) -> Iterator[Task]:
        if self._lookups is None:
            self._lookups = Lookups.of(extra)
        one, names = self._inputs[element.names.kind], element.names
        pieces = (
            (part.path, functools.partial(one.decode, piece, names, part))
            for part in element.parts
            for piece in one.pieces_of(names, part)
        )
        normalize = functools.partial(one.normalize, names=names, lookups=self._lookups)
        beginning = Beginning(names.kind) if element.is_first else None
        if len(element.parts) > 1:
            yield functools.partial(_read, pieces, normalize, 0, beginning)
            return
        for place, piece in enumerate(pieces):
            yield functools.partial(_read, [piece], normalize, place, beginning)


_Piece = tuple[str, Callable[[], RawBatch]]
"""The path of a file, and what decodes a piece of it."""


def _read(
    pieces: Iterable[_Piece],
    normalize: Callable[..., Normalized],
    place: int,
    beginning: Beginning | None,
) -> Done:
    """Reads pieces, and puts their rows together.

    Args:
      pieces: the pieces.
      normalize: makes the canonical batches of what was decoded of the file at a `path`.
      place: how many pieces of the beginning are before them.
      beginning: of the input, if it begins with them.
    """
    raws = [(path, decode()) for path, decode in pieces]
    num_rows = 0
    found: list[Normalized] = []
    for rows, one in _normalized(raws, normalize):
        if beginning:
            beginning.add(place + len(found), rows, one.rejects)
        num_rows += rows
        found.append(one)
    rejects = [one.rejects for one in found if len(one.rejects)]
    outputs: list[Any] = merged(batch for one in found for batch in one.batches if len(batch))
    stage = {"rows": num_rows, "bytes": sum(batch.nbytes for batch in outputs)}
    outputs += [beam.pvalue.TaggedOutput(REJECTS, batch) for batch in merged(rejects)]
    return Done(outputs, add_counts(one.counts for one in found), stage)


def _normalized(
    raws: list[tuple[str, RawBatch]], normalize: Callable[..., Normalized]
) -> Iterator[tuple[int, Normalized]]:
    """Normalizes pieces of files together, or one by one where that can't be, or a row is a reject.

    The reject has the path of its file, and the number of its row there.

    Yields:
      A number of rows, and what is made of them.
    """
    if len(raws) > 1 and (together := put_together([raw for _, raw in raws])):
        found = normalize(together, path="")
        if not len(found.rejects):
            yield together.num_rows, found
            return
    for path, raw in raws:
        yield raw.num_rows + len(raw.malformed), normalize(raw, path=path)
