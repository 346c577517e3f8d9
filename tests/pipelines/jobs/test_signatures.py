"""Parameters that are remembered are those that Beam finds."""

import apache_beam as beam
import pytest
from apache_beam.transforms import core, userstate
from apache_beam.transforms.userstate import BagStateSpec

from pipelines.jobs.signatures import remember_parameters

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


@pytest.fixture(autouse=True)
def beams_own(monkeypatch):
    """Beam's own function, in whose place another is put for the time of a test."""
    monkeypatch.setattr(core, "get_function_args_defaults", core.get_function_args_defaults)
    return core.get_function_args_defaults


def test_they_are_those_that_beam_finds(beams_own):
    functions = [
        getattr(dofn, name)
        for dofn in (KeepState(), core.CallableWrapperDoFn(lambda element, side=1: [element]))
        for name in dir(dofn)
        if callable(getattr(dofn, name)) and not name.startswith("__")
    ]
    remember_parameters()
    for _ in range(2):
        for function in functions:
            assert core.get_function_args_defaults(function) == beams_own(function)
    assert core.get_function_args_defaults(KeepState().process)[0] == ["element", "bag"]
    assert core.get_function_args_defaults(KeepState.made)[0] == ["one", "two"]
    assert core.get_function_args_defaults(KeepState.plain)[0] == ["one", "two"]


def test_lists_are_not_shared():
    remember_parameters()
    for _ in range(2):
        names, defaults = core.get_function_args_defaults(KeepState().process)
        assert len(names) == 2 and len(defaults) == 1
        names.clear()
        defaults.clear()


def test_state_is_still_found():
    remember_parameters()
    assert userstate.is_stateful_dofn(KeepState())
    assert not userstate.is_stateful_dofn(beam.DoFn())
