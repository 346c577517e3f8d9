"""Fixtures of all tests."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

from tests.support import cli
from tests.support.emulators import (  # noqa: F401
    bigquery,
    bigquery_emulator,
    google_credentials,
    google_environment,
    storage,
    storage_emulator,
)

# How fast the machine is says nothing of a property.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`cli.run_job` in the test's own directory."""

    def run(*args: str | Path) -> subprocess.CompletedProcess[str]:
        return cli.run_job(*args, cwd=tmp_path)

    return run
