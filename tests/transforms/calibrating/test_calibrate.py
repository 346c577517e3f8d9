"""Whole calibrations of real logs: the same findings, however the inputs are ordered and split."""

import csv
import random

import pytest

from tests.support import cli
from tests.support import real_logs as real
from tests.support.calibration import (
    EVERY,
    IDS,
    SWITCHES,
    Row,
    Values,
    agreement,
    calibrate,
    matrix,
    matrix_of,
    policy_of,
    real_logs,
    rows_of,
    run,
    small,
    walked,
    write_records,
    write_sessions,
)
from transforms.keying import sharding


def disturbed(values: Values) -> tuple[Values, list[Row]]:
    """Values of which three in a hundred are off, and those."""
    rng = random.Random(20241002)
    off = []
    result: Values = {}
    for session, kind, value in rows_of(values):
        if rng.random() < 0.03:
            value += rng.choice([1, 7, 3600])
            off.append((session, kind, value))
        result.setdefault(session, {})[kind] = value
    return result, off


@real_logs
@pytest.mark.parametrize("number", [7, 17], ids=lambda number: IDS[number])
@pytest.mark.parametrize("log", real.LOGS)
def test_disturbed_records_are_recognised(log, number, tmp_path, capfd):
    clean = walked(log, number)
    records, off = disturbed(clean)
    messages, _ = real.files_of(log)
    sessions = write_sessions(tmp_path / "sessions.jsonl", real.curtailed(log))
    export = write_records(tmp_path / "records.csv", rows_of(records))
    report = calibrate(tmp_path / "out", messages, sessions, [export])
    best = report["policies"][0]
    total = len(rows_of(clean))
    assert walked(log, EVERY.index(policy_of(best))) == clean
    assert (best["compared"], best["exact"]) == (total, total - len(off))
    for entry in report["policies"]:
        computed = matrix(log, EVERY.index(policy_of(entry)))
        assert entry["types"] == agreement(matrix_of(records), computed)
        for what in ("compared", "exact", "within_1_s"):
            assert entry[what] == sum(of_type[what] for of_type in entry["types"].values())
    scores = [(entry["exact"], entry["within_1_s"]) for entry in report["policies"]]
    assert scores == sorted(scores, reverse=True)
    ranks = [entry["rank"] for entry in report["policies"]]
    assert ranks == [1 + scores.index(score) for score in scores]
    shown = capfd.readouterr().err
    assert f"best: {report['flags']}\n" in shown
    assert f"{len(off):,} of {total:,} records differ" in shown
    counted = {session: 0 for session in clean}
    ends = {row["session_id"]: real.micros(row["ended_at"]) for row in real.curtailed(log)}
    for session in counted:
        limit = ends[session] + (0 if ends[session] % 1_000_000 else 999_999)
        counted[session] = sum(
            EVERY[number]["late_messages"] == "include" or message["sent_at_us"] <= limit
            for message in {
                m["message_id"]: m for m in real.messages_of(log).get(session, [])
            }.values()
        )
    with (tmp_path / "out" / "differences-00000-of-00001.csv").open(encoding="utf-8") as file:
        listed = [tuple(row.values()) for row in csv.DictReader(file)]
    assert listed == sorted(
        (session, kind, str(value), str(clean[session][kind]), str(counted[session]))
        for session, kind, value in off
    )


@real_logs
@pytest.mark.parametrize("log", real.LOGS)
def test_order_split_and_shards_make_no_difference(log, tmp_path, monkeypatch):
    records, _ = disturbed(walked(log, 5))
    messages, _ = real.files_of(log)
    session_rows, record_rows = list(real.curtailed(log)), rows_of(records)
    sessions = write_sessions(tmp_path / "sessions.jsonl", session_rows)
    export = write_records(tmp_path / "records.csv", record_rows)
    calibrate(tmp_path / "as_it_is", messages, sessions, [export])
    rng = random.Random(20241002)
    lines = real.lines(log, "messages")
    for rows in (lines, session_rows, record_rows):
        rng.shuffle(rows)
    message_parts, record_parts = [], []
    for part in range(5):
        message_parts.append(tmp_path / f"messages-{part}.jsonl")
        message_parts[-1].write_text("".join(f"{line}\n" for line in lines[part::5]), "utf-8")
        path = tmp_path / f"records-{part}.csv"
        record_parts.append(write_records(path, record_rows[part::5]))
    shuffled = write_sessions(tmp_path / "shuffled.jsonl", session_rows)
    monkeypatch.setattr(sharding, "SHARD_BYTES", 1 << 16)
    calibrate(tmp_path / "shuffled", message_parts, shuffled, record_parts)
    found = cli.output_bytes(tmp_path / "shuffled")
    assert found == cli.output_bytes(tmp_path / "as_it_is")
    assert list(found) == ["calibration.json", "differences-00000-of-00001.csv"]


def test_a_type_is_computed_where_the_sessions_say_from_when(tmp_path):
    messages, _, records = small(tmp_path, [("s1", "ServiceRepAcceptToFirstResponseTime", 33)])
    sessions = tmp_path / "accepted.csv"
    sessions.write_text(
        "Id,Status,EndTime,AcceptTime\ns1,Ended,2024-10-02T12:05:00Z,2024-10-02T12:00:10.000Z\n"
    )
    report = calibrate(tmp_path / "out", messages, sessions, records)
    assert report["policies"][0]["types"] == {
        "ServiceRepAcceptToFirstResponseTime": {"compared": 1, "exact": 1, "within_1_s": 1}
    }
    assert report["not_told_apart"]["rounding"] == ["half_up", "ceil"]


@pytest.mark.slow
def test_columns_of_other_names_and_a_range(tmp_path):
    messages, sessions, _ = small(tmp_path, [])
    records = tmp_path / "records.jsonl"
    records.write_text('{"a": {"s": "s1"}, "t": "AgentMessageCount", "v": 1}\n')
    mapping = ("--record_columns", "session_id=a.s,metric_type=t,metric_value=v")
    report = calibrate(tmp_path / "out", messages, sessions, [records], *mapping)
    assert report["policies"][0]["exact"] == 1
    assert {entry["rank"] for entry in report["policies"]} == {1}
    assert report["best"] == EVERY[0]
    assert list(report["not_told_apart"]) == list(SWITCHES)
    status = run(tmp_path, records, *mapping, "--closed_from", "2024-10-03")
    assert status == 1
