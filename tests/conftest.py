"""Fixtures of all tests, and the marks that a test gets for the fixtures that it uses."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import apache_beam as beam
import hypothesis
import pytest
from apache_beam.transforms import userstate

from tests.support import cli
from tests.support.emulators import (  # noqa: F401
    bigquery,
    bigquery_emulator,
    google_credentials,
    google_environment,
    storage,
    storage_emulator,
)

# A property holds on slow machines too.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


def _keep_specs() -> None:
    """Makes Beam look for state in the members of a DoFn once per class.

    Beam looks several times for each DoFn of a pipeline, which is a quarter of the time of a small run.
    The answer depends on the class alone.
    """
    look = userstate.get_dofn_specs
    found: dict[type, tuple[set, set]] = {}

    def kept(dofn: beam.DoFn) -> tuple[set, set]:
        if type(dofn) not in found:
            found[type(dofn)] = look(dofn)
        states, timers = found[type(dofn)]
        return set(states), set(timers)

    userstate.get_dofn_specs = kept


_keep_specs()

# All tests that use one of these fixtures run in one process, so that the fixture, which takes seconds
# to make, is made once.
_MADE_ONCE = ("bigquery_emulator", "package")
_SERVICES = {"google_credentials", "storage_emulator", *_MADE_ONCE}


# First, because pytest-xdist reads the groups in a hook of the same name.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that need a service, and groups the tests that share an expensive one."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & _SERVICES:
            item.add_marker(pytest.mark.service)
        for name in _MADE_ONCE:
            if name in fixtures:
                item.add_marker(pytest.mark.xdist_group(name))


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`cli.run_job` in the test's own directory."""

    def run(*args: str | Path) -> subprocess.CompletedProcess[str]:
        return cli.run_job(*args, cwd=tmp_path)

    return run
