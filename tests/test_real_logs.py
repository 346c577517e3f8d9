"""Real conversation logs: the job agrees with figures worked out elsewhere, and with the oracle."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import fastavro
import pytest

from tests.support import cli, oracle
from tests.support.real_logs import (
    DATA,
    LOGS,
    curtailed,
    expected,
    files_of,
    lines,
    messages_of,
    micros,
    sessions_of,
    walked,
)

# Every pair of values of any two switches, so each value at least twice.
COMBINATIONS = [
    ("first_message", "ignore", "floor", "exclude"),
    ("first_message", "answer", "ceil", "include"),
    ("first_message", "answer", "half_up", "exclude"),
    ("last_message", "ignore", "ceil", "exclude"),
    ("last_message", "answer", "floor", "include"),
    ("last_message", "ignore", "half_up", "include"),
]
SWITCHES = ("response_from", "bots", "rounding", "late_messages")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no real logs: {DATA} is missing"),
    pytest.mark.parametrize("log", LOGS),
]


def compute(output: Path, messages: list[Path], sessions: Path, *args: str) -> Path:
    """Runs the job; returns where the records are."""
    status = cli.call_main(
        *("--messages", *messages),
        *("--sessions", sessions),
        *("--assume_platform", "enhanced"),
        *("--output", output),
        *args,
    )
    assert status == 0
    return output


def differences(found: dict, wanted: dict) -> dict:
    """The first ten sessions with other values than wanted: found and wanted."""
    other = sorted(key for key in found.keys() | wanted if found.get(key) != wanted.get(key))
    return {key: (found.get(key), wanted.get(key)) for key in other[:10]}


@pytest.mark.parametrize(
    ("response_from", "name"),
    [("first_message", "expected"), ("last_message", "expected_last_message")],
)
def test_the_oracle(log, response_from, name):
    found = walked(log, sessions_of(log), response_from=response_from)
    assert differences(found, expected(log, name)) == {}


@pytest.mark.parametrize(
    ("args", "name"),
    [((), "expected"), (("--response_from", "last_message"), "expected_last_message")],
)
def test_every_session_has_the_figures_worked_out_elsewhere(log, args, name, tmp_path):
    summary = tmp_path / "summary.json"
    output = compute(tmp_path / "out", *files_of(log), *args, "--summary", str(summary))
    values = cli.read_values(output)
    assert differences(values, expected(log, name)) == {}
    # No rejects.
    assert list(cli.output_bytes(output)) == ["metrics-00000-of-00001.avro"]
    counts = json.loads(summary.read_text("utf-8"))
    num_messages, num_sessions = LOGS[log]
    assert counts["messages_read"] == num_messages
    assert counts["sessions_read"] == counts["sessions_reported"] == len(values) == num_sessions


def test_every_switch_against_the_oracle(log, tmp_path):
    rows = curtailed(log)
    sessions = tmp_path / "sessions.jsonl"
    sessions.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    found = []
    for number, combination in enumerate(COMBINATIONS):
        policy = dict(zip(SWITCHES, combination, strict=True))
        summaries = tmp_path / f"summaries-{number}"
        args = [word for switch, value in policy.items() for word in (f"--{switch}", value)]
        args += ["--session_summary", str(summaries)]
        output = compute(tmp_path / f"out-{number}", files_of(log)[0], sessions, *args)
        found.append(cli.read_values(output))
        assert differences(found[-1], walked(log, rows, **policy)) == {}, policy
        check_summaries(log, rows, summaries, policy)
    # Each switch has an effect on this log: the six runs differ.
    assert len({json.dumps(values) for values in found}) == len(COMBINATIONS)


def check_summaries(
    log: str, rows: Sequence[dict], summaries: Path, policy: dict[str, str]
) -> None:
    """Compares the summaries in a directory with those of the oracle, which are not rounded."""
    policy = {switch: value for switch, value in policy.items() if switch != "rounding"}
    with (summaries / "summaries-00000-of-00001.avro").open("rb") as file:
        found = {row["session_id"]: row for row in fastavro.reader(file)}
    messages = messages_of(log)
    wanted = {
        row["session_id"]: oracle.summary(
            messages.get(row["session_id"], []),
            {f"{name}_us": micros(row[name]) for name in ("started_at", "ended_at")},
            **policy,
        )
        for row in rows
    }
    kept = {i: {name: found[i][name] for name in row} for i, row in wanted.items()}
    assert differences(kept, wanted) == {}, policy
    assert len(found) == len(rows)


def test_order_split_and_repetition_of_rows_make_no_difference(log, tmp_path):
    messages, sessions = files_of(log)
    as_it_is = compute(tmp_path / "as_it_is", messages, sessions)
    rng = random.Random(20241002)
    rows = lines(log, "messages")
    rows += rng.choices(rows, k=5_000)
    rng.shuffle(rows)
    parts = []
    for number in range(7):
        part = tmp_path / f"part-{number}.jsonl"
        part.write_text("".join(f"{row}\n" for row in rows[number::7]), "utf-8")
        parts.append(part)
    rng.shuffle(parts)
    session_rows = lines(log, "sessions")
    rng.shuffle(session_rows)
    shuffled_sessions = tmp_path / "sessions.jsonl"
    shuffled_sessions.write_text("".join(f"{row}\n" for row in session_rows), "utf-8")
    summary = tmp_path / "summary.json"
    args = ("--summary", str(summary))
    shuffled = compute(tmp_path / "shuffled", parts, shuffled_sessions, *args)
    assert cli.output_bytes(shuffled) == cli.output_bytes(as_it_is)
    counts = json.loads(summary.read_text("utf-8"))
    assert counts["messages_read"] == LOGS[log][0] + 5_000
