"""Calibration as the tests use it: policies, exports, the job, and what the reference finds."""

import csv
import itertools
import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from pipelines import calibration
from schemas import metric_types
from tests.support import cli
from tests.support import real_logs as real

SWITCHES = {
    "response_from": ("first_message", "last_message"),
    "bots": ("ignore", "answer"),
    "late_messages": ("include", "exclude"),
    "rounding": ("half_up", "floor", "ceil"),
}
EVERY = [
    dict(zip(SWITCHES, values, strict=True)) for values in itertools.product(*SWITCHES.values())
]
IDS = ["-".join(policy.values()) for policy in EVERY]
KINDS = metric_types()[:6]
TIMES = {name for name in metric_types() if name.endswith("Time")}

Values = dict[str, dict[str, int]]
Row = tuple[str, str, object]


def real_logs(test: Callable[..., None]) -> Callable[..., None]:
    """Marks a test of the real logs. One process runs all of them, and walks each policy once."""
    missing = pytest.mark.skipif(
        not real.DATA.is_dir(), reason=f"no real logs: {real.DATA} is missing"
    )
    return pytest.mark.slow(pytest.mark.xdist_group("calibration")(missing(test)))


@lru_cache
def walked(log: str, number: int) -> Values:
    """What the oracle makes of the curtailed sessions under a policy."""
    return real.walked(log, real.curtailed(log), **EVERY[number])


def rows_of(values: Values) -> list[Row]:
    return [(session, kind, v) for session, of in values.items() for kind, v in of.items()]


def write_records(path: Path, rows: list[Row]) -> Path:
    """As Bulk API 2.0 exports them, with a column that nobody asks for."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                *("Name", "MessagingSessionId", "MessagingSessionMetricType"),
                "MessagingSessionMetricValue",
            ]
        )
        writer.writerows(["MSM-1", *row] for row in rows)
    return path


def write_sessions(path: Path, rows: Sequence[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def calibrate(
    output: Path, messages: list[Path], sessions: Path, records: list[Path], *args: str
) -> dict:
    """Runs the job; returns the report."""
    status = calibration.main(
        [
            *("--messages", *map(str, messages)),
            *("--sessions", str(sessions)),
            *("--records", *map(str, records)),
            *("--assume_platform", "enhanced"),
            *("--output", str(output)),
            *args,
            cli.RUNNER,
        ]
    )
    assert status == 0
    return json.loads((output / "calibration.json").read_text("utf-8"))


@lru_cache
def matrix(log: str, number: int) -> np.ndarray:
    """The oracle's values, a row per session."""
    return matrix_of(walked(log, number))


def matrix_of(values: Values) -> np.ndarray:
    return np.array([[of[kind] for kind in KINDS] for _, of in sorted(values.items())])


def agreement(records: np.ndarray, computed: np.ndarray) -> dict[str, dict[str, int]]:
    """How the records of each type agree with values."""
    off = np.abs(records - computed)
    return {
        kind: {
            "compared": len(off),
            "exact": int((of_type == 0).sum()),
            "within_1_s": int((of_type <= (kind in TIMES)).sum()),
        }
        for kind, of_type in zip(KINDS, off.T, strict=True)
    }


def policy_of(entry: dict) -> dict[str, str]:
    return {switch: entry[switch] for switch in SWITCHES}


# A small export: s1 has a conversation, s2 none; s3 is open.

MESSAGES = [
    ("s1", "m1", "2024-10-02T12:00:00.000Z", "EndUser"),
    ("s1", "m2", "2024-10-02T12:00:10.000Z", "EndUser"),
    ("s1", "m3", "2024-10-02T12:00:42.500Z", "Agent"),
]
SESSIONS = [
    ("s1", "Ended", "2024-10-02T12:05:00Z"),
    ("s2", "Ended", "2024-10-02T12:05:00Z"),
    ("s3", "Active", ""),
]


def small(tmp_path: Path, rows: list[Row]) -> tuple[list[Path], Path, list[Path]]:
    for name, columns, found in (
        ("messages", ["session_id", "message_id", "sent_at", "sender_role"], MESSAGES),
        ("sessions", ["session_id", "status", "ended_at"], SESSIONS),
    ):
        with (tmp_path / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([columns, *found])
    records = write_records(tmp_path / "records.csv", rows)
    return [tmp_path / "messages.csv"], tmp_path / "sessions.csv", [records]


def run(tmp_path: Path, records: Path, *args: str) -> int:
    return calibration.main(
        [
            *("--messages", str(tmp_path / "messages.csv")),
            *("--sessions", str(tmp_path / "sessions.csv")),
            *("--records", str(records), "--assume_platform", "enhanced"),
            *("--output", str(tmp_path / "out"), *args, cli.RUNNER),
        ]
    )
