"""The main job on small inputs."""

import pytest

from pipelines import session_metrics
from tests.support.cli import RUNNER
from tests.support.jobs import MESSAGES, SESSIONS, put, replaced, session


@pytest.fixture
def small(tmp_path):
    """A directory with the smallest inputs, `m.csv` and `s.csv`."""
    put(tmp_path / "m.csv", MESSAGES, "a,1,2024-10-02T12:00:00Z,EndUser,Text")
    put(tmp_path / "s.csv", SESSIONS, session("a", "2024-10-02T13:00:00Z"))
    return tmp_path


@pytest.fixture
def run(tmp_path, capfd):
    """Runs the job on `m.csv` and `s.csv` to `out`; gives the status and what was said on stderr.

    Words in the command line that begin with `@` are files in the test's directory. What `more` gives
    is not given by `default`, too.
    """

    def call(more: str = "", default: str = "--messages @m.csv --sessions @s.csv --output @out"):
        capfd.readouterr()
        words = replaced([*default.split(), RUNNER], more.split())
        argv = [word.replace("@", f"{tmp_path}/") for word in words]
        return session_metrics.main(argv), capfd.readouterr().err

    return call
