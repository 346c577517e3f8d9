"""Work on whole batches beside the bundle's own thread.

A runner gives a worker one element after the other. The kernels here spend their time in NumPy and
Arrow, which leave the interpreter's lock: while one batch is being worked on, the next can be read,
and the last encoded.
"""

import abc
import collections
import concurrent.futures
import functools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.utils.windowed_value import WindowedValue

from transforms.batches import Counts
from transforms.plumbing.counters import emit_counts, measure_stage

_THREADS = min(8, os.cpu_count() or 1)  # each holds a batch or a shard


class Done(NamedTuple):
    """What a job has come to.

    Attributes:
      outputs: elements, tagged ones among them, in order.
      counts: what became of rows.
      stage: rows and bytes worked on, for the counters of the stage.
    """

    outputs: Iterable[Any]
    counts: Counts
    stage: Mapping[str, int]


Task = Callable[[], Done]


class OverlappingDoFn(beam.DoFn, abc.ABC):
    """Runs the jobs of its elements in threads, some at a time; outputs keep the order of elements."""

    stage: str
    """The name under which rows, bytes and time are counted."""

    @abc.abstractmethod
    def jobs(self, element: Any, extra: Any) -> Iterator[Task]:
        """The jobs of an element and an extra argument, such as a side input.

        They are made in the bundle's thread, one by one, as they can be taken up.

        A job is a pure function of what it was made with: of no iterable that a runner fills later.
        """

    def start_bundle(self) -> None:
        """Drops what a bundle that failed has left."""
        self._pending: collections.deque[Any] = collections.deque()

    def process(
        self,
        element: Any,
        extra: Any,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
    ) -> Iterator[Any]:
        """Takes up an element; gives what is done of those before it."""
        for job in self.jobs(element, extra):
            self._pending.append((timestamp, window, _pool().submit(_timed, job)))
            while len(self._pending) > _THREADS:
                yield from self._next()

    def finish_bundle(self) -> Iterator[Any]:
        """Gives the rest."""
        while self._pending:
            yield from self._next()

    def _next(self) -> Iterator[Any]:
        timestamp, window, future = self._pending.popleft()
        (outputs, counts, stage), busy_ms = future.result()
        measure_stage(self.stage, {**stage, "busy_ms": busy_ms})
        for output in (*outputs, *(emit_counts(counts) if counts else ())):
            if isinstance(output, beam.pvalue.TaggedOutput):
                value = WindowedValue(output.value, timestamp, (window,))
                yield beam.pvalue.TaggedOutput(output.tag, value)
            else:
                yield WindowedValue(output, timestamp, (window,))


def _timed(job: Task) -> tuple[Done, int]:
    start = time.perf_counter()
    done = job()
    return done, round(1000 * (time.perf_counter() - start))


@functools.cache
def _pool() -> concurrent.futures.ThreadPoolExecutor:
    return concurrent.futures.ThreadPoolExecutor(_THREADS)
