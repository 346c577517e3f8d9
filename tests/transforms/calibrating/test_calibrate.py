"""Which policy records follow: each of the 24 is recognised, and every row is told of."""

import csv
import itertools
import json
import random
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipelines import calibration
from schemas import metric_types
from tests.support import cli, oracle
from tests.support import real_logs as real
from transforms import batches
from transforms import policy as rules
from transforms.calibrating import write
from transforms.calibrating.agreement import calibrate_shard, differences_of_shard
from transforms.keying import sharding
from transforms.policy import Policy
from transforms.reading.columns import ColumnNames, RawBatch
from transforms.reading.normalize import normalize_records

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
real_logs = pytest.mark.skipif(
    not real.DATA.is_dir(), reason=f"no real logs: {real.DATA} is not there"
)

Values = dict[str, dict[str, int]]
Row = tuple[str, str, object]


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


def write_sessions(path: Path, rows: list[dict]) -> Path:
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


def shard_of(log: str) -> list[pa.RecordBatch]:
    """The log as the one shard it would be, the sessions curtailed."""
    session_rows = real.curtailed(log)
    messages = [
        {
            "session_id": session,
            "message_id": message["message_id"],
            "sent_at_us": message["sent_at_us"],
            "sequence": np.iinfo(np.int64).min,
            "sender": oracle.ROLES.index(message["role"]),
        }
        for session, of_session in real.messages_of(log).items()
        for message in of_session
    ]
    sessions = [
        {
            "session_id": row["session_id"],
            "status": row["status"],
            "platform_type": "Enhanced",
            "ended_at_us": real.micros(row["ended_at"]),
        }
        for row in session_rows
    ]
    return [
        pa.RecordBatch.from_pylist(messages, batches.MESSAGES),
        pa.RecordBatch.from_pylist(sessions, batches.SESSIONS),
    ]


def record_batch(values: Values) -> pa.RecordBatch:
    rows = [
        {"session_id": session, "metric_type": metric_types().index(kind), "value": value}
        for session, kind, value in rows_of(values)
    ]
    return pa.RecordBatch.from_pylist(rows, batches.SALESFORCE_RECORDS)


@real_logs
@pytest.mark.parametrize("log", real.LOGS)
def test_every_policy_is_recognised(log):
    shard = shard_of(log)
    told_apart = set()
    for number, policy in enumerate(EVERY):
        records = walked(log, number)
        found, counts = calibrate_shard([*shard, record_batch(records)], Policy())
        report = write.findings(found, counts)
        assert len(report["policies"]) == len(EVERY)
        for entry in report["policies"]:
            other = EVERY.index(policy_of(entry))
            assert entry["types"] == agreement(matrix(log, number), matrix(log, other))
            # At the top is what gives the same records, and nothing else.
            assert (entry["rank"] == 1) == np.array_equal(matrix(log, other), matrix(log, number))
        top = [policy_of(one) for one in report["policies"] if one["rank"] == 1]
        assert policy in top
        assert report["best"] == top[0]
        assert report["not_told_apart"] == {
            switch: [v for v in values if any(one[switch] == v for one in top)]
            for switch, values in SWITCHES.items()
            if len({one[switch] for one in top}) > 1
        }
        told_apart.add(report["flags"])
        best = Policy(**report["best"])
        assert len(differences_of_shard([*shard, record_batch(records)], best)) == 0
    # Without bots, of which twitter_care has none, that switch makes no difference.
    assert len(told_apart) == {"twitter_care": 12, "ubuntu_irc": 24}[log]


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
    for session, of_session in real.messages_of(log).items():
        limit = ends[session] + (0 if ends[session] % 1_000_000 else 999_999)
        counted[session] = sum(
            EVERY[number]["late_messages"] == "include" or message["sent_at_us"] <= limit
            for message in {message["message_id"]: message for message in of_session}.values()
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
    session_rows, record_rows = real.curtailed(log), rows_of(records)
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


def test_every_row_is_told_of(tmp_path, capfd):
    rows: list[Row] = [
        ("s1", "AgentMessageCount", "1.0"),
        ("s1", "EndUserMessageCount", "2"),
        ("s1", "EndUserMessageCount", "2.0"),  # twice, and the same
        ("s1", "MaxAgentResponseTime", "33"),
        ("s1", "AverageAgentResponseTime", "32"),
        ("s1", "MaxEndUserResponseTime", "1"),
        ("s1", "MaxEndUserResponseTime", "2"),  # contradicts the one before
        ("s1", "ServiceRepFirstResponseTime", "7"),  # the sessions do not say when they were routed
        ("s1", "TransferCount", "3"),
        ("s3", "AgentMessageCount", "0"),
        ("s9", "AgentMessageCount", "4"),
        ("s9", "EndUserMessageCount", "4"),
        ("", "AgentMessageCount", "4"),
        ("s1", "", "4"),
        ("s1", "AgentMessageCount", ""),
        ("s1", "AgentMessageCount", "4.5"),
        ("s1", "AgentMessageCount", "-1"),
        ("s1", "AgentMessageCount", "1000000000"),
    ]
    report = calibrate(tmp_path / "out", *small(tmp_path, rows), "--max_reject_ratio", "0.5")
    assert report["counts"] == {
        "messages_counted": 3,
        "messages_read": 3,
        "records_compared": 4,
        "records_contradictory": 2,
        "records_duplicate": 1,
        "records_not_computed": 1,
        "records_of_session_not_reported": 1,
        "records_of_unknown_session": 2,
        "records_read": 18,
        "records_rejected_metric_type_missing": 1,
        "records_rejected_metric_value_invalid": 3,
        "records_rejected_metric_value_missing": 1,
        "records_rejected_session_id_missing": 1,
        "records_skipped_metric_type": 1,
        "sessions_compared": 1,
        "sessions_not_closed": 1,
        "sessions_read": 3,
        "sessions_without_records": 1,
    }
    of_records = {k: v for k, v in report["counts"].items() if k.startswith("records_")}
    assert 2 * of_records["records_read"] == sum(of_records.values())
    assert report["flags"] == (
        "--response_from last_message --bots ignore --late_messages include --rounding half_up"
    )
    assert report["policies"][0]["exact"] == 3  # 32.5 s is 33 s or 32 s, not both
    assert report["policies"][0]["within_1_s"] == 4
    assert report["not_told_apart"] == {
        "bots": ["ignore", "answer"],
        "late_messages": ["include", "exclude"],
        "rounding": ["half_up", "floor", "ceil"],
    }
    differences = (tmp_path / "out" / "differences-00000-of-00001.csv").read_text("utf-8")
    assert differences == (
        "session_id,metric_type,salesforce_value,computed_value,messages\n"
        "s1,AverageAgentResponseTime,32,33,3\n"
    )
    rejects = cli.read_rejects(tmp_path / "out" / "rejects")
    assert [(one["row"], one["reason"], one["detail"]) for one in rejects] == [
        (14, "session_id_missing", ""),
        (15, "metric_type_missing", ""),
        (16, "metric_value_missing", ""),
        (17, "metric_value_invalid", "4.5"),
        (18, "metric_value_invalid", "-1"),
        (19, "metric_value_invalid", "1000000000"),
    ]
    shown = capfd.readouterr().err
    assert "the data can't tell --rounding half_up from floor from ceil" in shown
    assert "1 of 4 records differ" in shown


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


def run(tmp_path: Path, records: Path, *args: str) -> int:
    return calibration.main(
        [
            *("--messages", str(tmp_path / "messages.csv")),
            *("--sessions", str(tmp_path / "sessions.csv")),
            *("--records", str(records), "--assume_platform", "enhanced"),
            *("--output", str(tmp_path / "out"), *args, cli.RUNNER),
        ]
    )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "the records' files have no rows"),
        (
            [("s9", "AgentMessageCount", 1)],
            "of 1 records 1 are of sessions that the sessions' files do not have",
        ),
        (
            [("s1", "TransferCount", 1), ("s2", "Sentiment", 1)],
            "of 2 records 2 are of a type that is not known",
        ),
        (
            [("s3", "AgentMessageCount", 1), ("s1", "ServiceRepFirstResponseTime", 1)],
            "of 2 records 1 are of sessions that are not closed, not of an enhanced channel or out of "
            "range; 1 are of types that take columns which the sessions lack",
        ),
        (
            [("s1", "AgentMessageCount", 1), ("s1", "AgentMessageCount", 2)],
            "of 2 records 2 contradict each other",
        ),
    ],
)
def test_nothing_to_compare(rows, said, tmp_path, capfd):
    *_, (records,) = small(tmp_path, rows)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "calibration.json").write_text("earlier")
    assert run(tmp_path, records) == 1
    assert capfd.readouterr().err == (
        f"session-calibration: nothing to compare: {said}; nothing was published\n"
    )
    assert (tmp_path / "out" / "calibration.json").read_text() == "earlier"
    assert list((tmp_path).glob(".*")) == []


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


def test_too_many_rejects(tmp_path, capfd):
    rows: list[Row] = [("s1", "AgentMessageCount", 1), ("s1", "EndUserMessageCount", "two")]
    *_, (records,) = small(tmp_path, rows)
    assert run(tmp_path, records) == 1
    assert "1 of 2 records rejected (metric_value_invalid 1)" in capfd.readouterr().err


def test_a_run_leaves_its_own_files_alone(tmp_path):
    files = small(tmp_path, [("s1", "AgentMessageCount", 1)])
    out = tmp_path / "out"
    (out / "rejects").mkdir(parents=True)
    (out / "differences-00001-of-00002.csv").write_text("stale")
    (out / "rejects" / "rejects-00000-of-00001.jsonl").write_text("stale")
    (out / "notes.txt").write_text("theirs")
    calibrate(out, *files)
    assert list(cli.output_bytes(out)) == [
        "calibration.json",
        "differences-00000-of-00001.csv",
        "notes.txt",
    ]


def test_records_are_normalized():
    raw = RawBatch(
        {
            "MessagingSessionId": pa.array(["0Mwbb000007MGoT", "0Mwbb000007MGoTCAW"]),
            "MessagingSessionMetricType": pa.array(["MaxAgentResponseTime", "AgentMessageCount"]),
            "MessagingSessionMetricValue": pa.array([42.0, 0.0]),
        },
        2,
        lambda: np.array([2, 3]),
    )
    batch, rejects, counts = normalize_records(raw, ColumnNames.of("records"), "f")
    assert batch.to_pylist() == [
        {"session_id": "0Mwbb000007MGoTCAW", "metric_type": 4, "value": 42},
        {"session_id": "0Mwbb000007MGoTCAW", "metric_type": 0, "value": 0},
    ]
    assert (rejects, counts) == ([], {"records_read": 2})


def test_switches_are_those_of_the_policy():
    assert rules.SWITCHES == SWITCHES
    assert rules.policies(Policy())[0] == Policy()
    assert rules.policies(Policy()) == [Policy(**policy) for policy in EVERY]
    assert list(calibration._HEADERS) == list(metric_types())


def test_a_percentage_is_never_rounded_up():
    assert calibration._percent({"compared": 100_000, "exact": 99_999}, "exact") == "99.99"
    assert calibration._percent({"compared": 7, "exact": 7}, "exact") == "100.00"
