"""Work beside the bundle's thread: order, windows and errors are as if it were not."""

import threading

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, GlobalWindow, TimestampedValue

from transforms.collections import COUNTS
from transforms.errors import InputError, find_job_error
from transforms.plumbing.counters import STAGES
from transforms.plumbing.threads import _THREADS, Done, OverlappingDoFn

THREADS = set()


class Twice(OverlappingDoFn):
    """Each element twice, in two tasks, the second on a side output too."""

    stage = "twice"

    def tasks(self, element, extra):
        for tagged in (False, True):
            yield lambda tagged=tagged: self._done(element + extra, tagged)

    def _done(self, value, tagged):
        THREADS.add(threading.get_ident())
        if value < 0:
            raise InputError(f"{value} is less than nothing")
        outputs = [value]
        if tagged:
            outputs.append(beam.pvalue.TaggedOutput("side", -value))
        return Done(outputs, {"tasks": 1}, {"rows": 1})


def twice(pcoll, extra=0):
    return pcoll | beam.ParDo(Twice(), extra).with_outputs("side", COUNTS, main="main")


def run(build):
    pipeline = beam.Pipeline(FnApiRunner(), options=PipelineOptions([]))
    build(pipeline)
    return pipeline.run()


def test_all_outputs_are_there_in_order():
    many = 5 * _THREADS

    def build(pipeline):
        found = twice(pipeline | beam.Create([list(range(many))]) | beam.FlatMap(list), 1)
        in_order = found.main | beam.combiners.ToList()
        assert_that(in_order, lambda lists: lists[0] == sorted(lists[0]) or pytest.fail())
        expected = [i + 1 for i in range(many)]
        assert_that(found.main, equal_to(expected * 2), "Main")
        assert_that(found.side, equal_to([-i for i in expected]), "Side")
        assert_that(found[COUNTS], equal_to([{"tasks": 1}] * 2 * many), "Counts")

    THREADS.clear()
    result = run(build)
    assert threading.get_ident() not in THREADS
    filter_ = beam.metrics.MetricsFilter().with_namespace(STAGES)
    stages = {c.key.metric.name: c.result for c in result.metrics().query(filter_)["counters"]}
    assert stages["twice_rows"] == 2 * many
    assert stages["twice_busy_ms"] >= 0


def test_outputs_keep_their_elements_window():
    def build(pipeline):
        windowed = (
            pipeline
            | beam.Create([TimestampedValue(i, i) for i in range(20)])
            | beam.WindowInto(FixedWindows(5))
        )
        found = twice(windowed)
        for name, output, sign in (("Main", found.main, 1), ("Side", found.side, -1)):
            found_at = output | name >> beam.Map(
                lambda v, t=beam.DoFn.TimestampParam, w=beam.DoFn.WindowParam: (
                    v,
                    int(t),
                    int(w.start),
                )
            )
            expected = [(sign * i, i, i // 5 * 5) for i in range(20)]
            assert_that(found_at, equal_to(expected * (2 if sign == 1 else 1)), f"Is{name}")

    run(build)


def test_what_a_task_raises_is_what_ended_the_run():
    with pytest.raises(Exception, match="less than nothing") as caught:
        run(lambda pipeline: twice(pipeline | beam.Create([1, -5, 2])))
    assert find_job_error(caught.value) == "-5 is less than nothing"


def process(do_fn, element):
    return do_fn.process(element, 0, 0, GlobalWindow())


def test_what_a_bundle_that_failed_has_left_is_dropped():
    do_fn = Twice()
    do_fn.start_bundle()
    assert list(process(do_fn, 1)) == []
    do_fn.start_bundle()
    assert list(do_fn.finish_bundle()) == []


def test_no_more_tasks_are_taken_up_than_there_are_threads():
    made = []

    class Many(Twice):
        def tasks(self, element, extra):
            for number in range(100):
                made.append(number)
                yield lambda: Done([], {"tasks": 1}, {})

    do_fn = Many()
    do_fn.start_bundle()
    next(process(do_fn, 1))
    assert len(made) == _THREADS + 1


class Pairs(Twice):
    """The sum of two elements each, as they come; what is left at the end of its window is alone."""

    def start_bundle(self):
        super().start_bundle()
        self._kept = []

    def tasks(self, element, extra):
        self._kept.append(element + extra)
        if len(self._kept) == 2:
            yield from self.last_tasks()

    def last_tasks(self):
        if self._kept:
            kept, self._kept = self._kept, []
            yield lambda: Done([sum(kept)], {"tasks": 1}, {"rows": len(kept)})


def test_what_is_kept_back_is_given_at_the_end_of_its_window():
    def build(pipeline):
        windowed = (
            pipeline
            # A bundle for all; in it the elements of the first window are on both sides of the others.
            | beam.Create([[0, 1, 2, 5, 3, 6, 7, 4]], reshuffle=False)
            | beam.FlatMap(lambda all_: [TimestampedValue(i, i) for i in all_])
            | beam.WindowInto(FixedWindows(5))
        )
        found = windowed | beam.ParDo(Pairs(), 0).with_outputs(COUNTS, main="main")
        found_in = found.main | beam.Map(lambda v, w=beam.DoFn.WindowParam: (v, int(w.start)))
        expected = [(0 + 1, 0), (2, 0), (5, 5), (3, 0), (6 + 7, 5), (4, 0)]
        assert_that(found_in, equal_to(expected))
        assert_that(found[COUNTS], equal_to([{"tasks": 1}] * 6), "Counts")

    run(build)
