"""Fixtures of all tests."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import cli


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`cli.run_job` in the test's own directory."""

    def run(*args: str | Path) -> subprocess.CompletedProcess[str]:
        return cli.run_job(*args, cwd=tmp_path)

    return run
