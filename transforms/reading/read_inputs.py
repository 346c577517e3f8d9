"""Reads inputs: `ReadInputs`.

A pattern becomes files, a file becomes parts, a part becomes batches, each on any worker that is free.
A BigQuery table becomes streams, which are its parts.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.typehints.decorators import no_annotations

from transforms.collections import COUNTS, NUM_BYTES, REJECTS, Batches
from transforms.plumbing import coders  # noqa: F401  (registers the coder)
from transforms.plumbing.threads import Done, OverlappingDoFn, Task
from transforms.reading.beginnings import Beginning
from transforms.reading.formats.parts import Decode
from transforms.reading.inputs import FilePart, Input
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
            .with_output_types(FilePart, num_bytes=int)
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
        for parts, num_bytes in self._inputs[kind].parts_of(pattern):
            for part in parts:
                yield part._replace(is_first=is_first)
                is_first = False
            yield beam.pvalue.TaggedOutput(NUM_BYTES, num_bytes)


class _ReadParts(OverlappingDoFn):
    """Makes of a part of a file or a table batches, rejects and counts."""

    stage = "read"

    def __init__(self, inputs: Mapping[str, Input]):
        self._inputs = inputs
        self._lookups: Lookups | None = None

    def tasks(self, element: FilePart, extra: Sequence[pa.RecordBatch]) -> Iterator[Task]:
        if self._lookups is None:
            self._lookups = Lookups.of(extra)
        one = self._inputs[element.names.kind]
        beginning = Beginning(element.names.kind) if element.is_first else None
        for place, decode in enumerate(one.pieces_of(element)):
            check = functools.partial(beginning.add, place) if beginning else None
            yield functools.partial(_normalize, one, decode, element, self._lookups, check)


def _normalize(
    one: Input,
    decode: Decode,
    file_part: FilePart,
    lookups: Lookups,
    check: Callable[[int, pa.RecordBatch], None] | None,
) -> Done:
    raw, (batches, rejects, counts) = one.normalize(decode, file_part, lookups)
    num_rows = raw.num_rows + len(raw.malformed)
    if check:
        check(num_rows, rejects)
    stage = {"rows": num_rows, "bytes": sum(batch.nbytes for batch in batches)}
    outputs: list[Any] = [batch for batch in batches if len(batch)]
    if len(rejects):
        outputs.append(beam.pvalue.TaggedOutput(REJECTS, rejects))
    return Done(outputs, counts, stage)
