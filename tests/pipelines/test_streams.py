"""A reader that goes away, and streams that are closed from the start: published is exit status 0."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.calibration import small as small_calibration
from tests.support.cli import ROOT, RUNNER, output_bytes
from tests.support.jobs import FILE, put

# A runner leaves threads behind, and a job server that says something when it is ended.
THREADS_THAT_PRINT = """
import atexit, itertools, sys, threading

def say(what, times):
    for _ in times:
        print(what, end=" ", file=sys.stderr, flush=True)

atexit.register(say, "ending", [1])
threading.Thread(target=say, args=("working", itertools.count()), daemon=True).start()
from pipelines import session_metrics
session_metrics.run(["--mesages", "m.csv"])
"""

# The command is `"$@"`; each prints its status as the last line on descriptor 3.
WAYS = {
    "nobody reads": '{ "$@"; echo $? >&3; } 2>&1 | true',
    "one line is read": '{ "$@" --verbose; echo $? >&3; } 2>&1 | head -1',
    "nobody reads stdout": '{ "$@"; echo $? >&3; } | true',
    "stdout is closed": '"$@" >&-; echo $? >&3',
    "stderr is closed": '"$@" 2>&-; echo $? >&3',
    "both are closed": '"$@" >&- 2>&-; echo $? >&3',
    "all are closed": '"$@" <&- >&- 2>&-; echo $? >&3',
    "no room is left": '"$@" >/dev/full 2>&1; echo $? >&3',
}


def run(way: str, module: str, words: str, cwd: Path) -> tuple[int, str]:
    """Runs a command as one of `WAYS` has it; gives its status and what was read of it."""
    command = [sys.executable, "-m", f"pipelines.{module}", *words.split(), RUNNER]
    done = subprocess.run(
        ["bash", "-c", f"exec 3>{cwd}/status; {WAYS[way]}", "bash", *command],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return int((cwd / "status").read_text()), done.stdout + done.stderr


def test_the_last_line_is_the_last():
    done = subprocess.run(
        [sys.executable, "-c", THREADS_THAT_PRINT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.endswith(
        "session-metrics: unknown option --mesages; did you mean --messages?\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_records_are_published(way, small):
    words = "--messages m.csv --sessions s.csv --output out"
    inputs = output_bytes(small)
    status, said = run(way, "session_metrics", words, small)
    assert status == 0
    assert "Traceback" not in said and "rror" not in said
    assert list(output_bytes(small / "out")) == [f"{FILE}.avro"]
    # What a stream would have had went into no file.
    assert {name: data for name, data in output_bytes(small).items() if name in inputs} == inputs


@pytest.mark.slow
@pytest.mark.parametrize("way", ["nobody reads", "both are closed"])
def test_a_calibration_and_a_page_are_published(way, tmp_path):
    rows = [("s1", "AgentMessageCount", 1)]
    small_calibration(tmp_path, rows)
    words = "--messages messages.csv --sessions sessions.csv --assume_platform enhanced"
    status, said = run(
        way, "calibration", f"{words} --records records.csv --output found", tmp_path
    )
    assert (status, "Traceback" in said) == (0, False)
    assert "calibration.json" in output_bytes(tmp_path / "found")
    more = "--output out --session_summary summaries"
    assert run(way, "session_metrics", f"{words} {more}", tmp_path)[0] == 0
    page = "--summaries summaries/*.avro --output page.html"
    assert run(way, "report", page, tmp_path) == (0, "")
    assert (tmp_path / "page.html").read_text("utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["nobody reads", "both are closed"])
def test_help_that_nobody_reads(way, tmp_path):
    assert run(way, "session_metrics", "--help", tmp_path) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["nobody reads", "both are closed", "no room is left"])
def test_other_statuses_are_the_same(way, small):
    words = "--messages m.csv --sessions none.csv --output out"
    assert run(way, "session_metrics", words, small) == (2, "")
    put(small / "m.csv", "session_id,message_id,sent_at,sender_role", "a,1,noon,EndUser")
    words = "--messages m.csv --sessions s.csv --output out"
    assert run(way, "session_metrics", words, small) == (1, "")
