"""Takes outputs in the workers, where no command has prepared them: `TakeOutputs`, `ReleaseOutputs`."""

import dataclasses
import uuid
from collections.abc import Iterator, Sequence

import apache_beam as beam
from apache_beam.typehints.decorators import no_annotations

from transforms.publishing.publish import Store, file_of, store_of

Run = str | beam.pvalue.AsSingleton
"""The name of a run: a text where a command has prepared the outputs, else a side input."""


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What a pipeline publishes.

    Attributes:
      directories: outputs that are directories.
      files: outputs that are one file each.
    """

    directories: Sequence[str] = ()
    files: Sequence[str] = ()

    def stores(self, run: str) -> Iterator[Store]:
        """The store of each output; for the run see `publish.store_of`."""
        yield from (store_of(path, run) for path in self.directories)
        yield from (file_of(path, run) for path in self.files)


def run_of(name: str, pipeline: beam.Pipeline, outputs: Outputs) -> Run:
    """The name of the run, for the steps that stage and publish.

    Args:
      name: the name by which a command has prepared the outputs; empty if none has, as in a pipeline of
        somebody else's and in a template, which may be launched many times. The workers then take them.
      pipeline: the pipeline.
      outputs: what it publishes.
    """
    return name or beam.pvalue.AsSingleton(pipeline | "TakeOutputs" >> TakeOutputs(outputs))


def release(run: Run, published: beam.PCollection, outputs: Outputs) -> None:
    """Has the workers release what they have taken, once all is published."""
    if not isinstance(run, str):
        _ = published | "ReleaseOutputs" >> ReleaseOutputs(outputs, run)


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class TakeOutputs(beam.PTransform):
    """Names a run, and takes the outputs for it; applied to a pipeline, gives the one name.

    Raises (in the pipeline):
      OutputError: an output can't be written, or a command keeps other runs off it.
    """

    outputs: Outputs

    @no_annotations
    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Applies the transform to a pipeline."""
        once = pipeline | "Once" >> beam.Impulse()
        # A side input, so that the name is the same when taking is tried again.
        name = once | "NameRun" >> beam.Map(lambda _: uuid.uuid4().hex)
        return once | "Take" >> beam.Map(self._take, beam.pvalue.AsSingleton(name))

    def _take(self, _: bytes, run: str) -> str:
        for store in self.outputs.stores(run):
            store.take()
        return run


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class ReleaseOutputs(beam.PTransform):
    """Releases the outputs that `TakeOutputs` has taken, after the one element of its input."""

    outputs: Outputs
    run: Run

    @no_annotations
    def expand(self, published: beam.PCollection) -> beam.PCollection:
        """Applies the transform to what says that all is published."""
        # Publishing must not be tried again after it.
        settled = published | "Settle" >> beam.Reshuffle()
        return settled | "Release" >> beam.Map(self._release, self.run)

    def _release(self, _: object, run: str) -> None:
        for store in self.outputs.stores(run):
            store.release()
