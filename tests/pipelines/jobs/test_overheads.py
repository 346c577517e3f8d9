"""What is quicker than Beam's own gives the same."""

import subprocess
import sys

import apache_beam as beam
import pytest
from apache_beam.runners.worker import statesampler
from apache_beam.transforms import core, userstate
from apache_beam.transforms.userstate import BagStateSpec
from apache_beam.utils.counters import CounterFactory

from pipelines.jobs.overheads import reduce_overheads
from tests.support.cli import ROOT

BAG = beam.DoFn.StateParam(BagStateSpec("bag", beam.coders.BytesCoder()))


class KeepState(beam.DoFn):
    def process(self, element, bag=BAG, *more, limit=7):
        return [element]

    @classmethod
    def made(cls, one, two=2):
        return cls()

    @staticmethod
    def plain(one, two=2):
        return one


beams_own, beams_sampler = core.get_function_args_defaults, statesampler.StateSampler


@pytest.fixture(autouse=True)
def for_a_test_alone(monkeypatch):
    monkeypatch.setattr(core, "get_function_args_defaults", beams_own)
    monkeypatch.setattr(statesampler, "StateSampler", beams_sampler)


def test_parameters_are_those_that_beam_finds():
    functions = [
        getattr(dofn, name)
        for dofn in (KeepState(), core.CallableWrapperDoFn(lambda element, side=1: [element]))
        for name in dir(dofn)
        if callable(getattr(dofn, name)) and not name.startswith("__")
    ]
    reduce_overheads()
    for _ in range(2):
        for function in functions:
            assert core.get_function_args_defaults(function) == beams_own(function)
    assert core.get_function_args_defaults(KeepState().process)[0] == ["element", "bag"]
    assert core.get_function_args_defaults(KeepState.made)[0] == ["one", "two"]
    assert core.get_function_args_defaults(KeepState.plain)[0] == ["one", "two"]


def test_lists_are_not_shared():
    reduce_overheads()
    for _ in range(2):
        names, defaults = core.get_function_args_defaults(KeepState().process)
        assert len(names) == 2 and len(defaults) == 1
        names.clear()
        defaults.clear()


def test_state_is_still_found():
    reduce_overheads()
    assert userstate.is_stateful_dofn(KeepState())
    assert not userstate.is_stateful_dofn(beam.DoFn())


def test_the_time_between_samples():
    reduce_overheads()
    sampler = statesampler.StateSampler("stage", CounterFactory())
    assert isinstance(sampler, beams_sampler)
    assert sampler.sampling_period_ms == 5


def test_what_is_left_out_is_not_imported():
    """But can be, by whoever needs it."""
    code = (
        "import sys, pipelines.jobs.session_metrics\n"
        "assert not {'pymongo', 'apache_beam.io.gcp.bigquery'} & sys.modules.keys()\n"
        "import bson, pymongo\n"
        "from apache_beam.io.gcp.bigquery import WriteToBigQuery\n"
        "from apache_beam.io.gcp.pubsub import ReadFromPubSub\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
