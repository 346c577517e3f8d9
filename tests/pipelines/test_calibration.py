"""The command line of the calibration, and its table."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines import calibration
from pipelines.jobs.calibration import _HEADERS, _percent
from schemas import metric_types
from tests.support.calibration import run, small

pytestmark = pytest.mark.slow


def foreign(path: Path) -> None:
    path.write_text("Id,Name\n1,x\n")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (foreign, "no column for session_id, metric_type, metric_value of the records"),
        (lambda path: None, "other.csv: no such file"),
    ],
)
def test_mistakes_are_told_before_any_work(
    make: Callable[[Path], None], said: str, tmp_path, capfd
):
    small(tmp_path, [])
    make(tmp_path / "other.csv")
    assert run(tmp_path, tmp_path / "other.csv") == 2
    shown = capfd.readouterr().err
    assert shown.startswith("session-calibration: ") and shown.count("\n") == 1
    assert said in shown
    assert not (tmp_path / "out").exists()


def test_usage(tmp_path, capfd):
    small(tmp_path, [])
    assert run(tmp_path, tmp_path / "records.csv", "--recrods", "x") == 2
    assert "unknown option --recrods; did you mean --records?" in capfd.readouterr().err
    assert calibration.main(["--messages", "m.csv"]) == 2
    assert "--sessions, --records, --output must be given" in capfd.readouterr().err
    assert run(tmp_path, tmp_path / "records.csv", "--record_columns", "value=v") == 2
    assert "records have no column 'value' to map" in capfd.readouterr().err
    assert calibration.main(["--help"]) == 0


def test_a_percentage_is_never_rounded_up():
    assert _percent({"compared": 100_000, "exact": 99_999}, "exact") == "99.99"
    assert _percent({"compared": 7, "exact": 7}, "exact") == "100.00"


def test_each_type_has_a_header():
    assert list(_HEADERS) == list(metric_types())
