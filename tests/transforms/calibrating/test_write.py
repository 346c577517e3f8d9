"""The files of a calibration, and what it says if no record can be compared."""

import pytest

from pipelines.jobs import calibration as job
from tests.support import cli
from tests.support.calibration import Row, calibrate, run, small
from transforms.reading import beginnings


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
        "assigned_by_session_id": 3,
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


def test_too_many_rejects(tmp_path, capfd):
    rows: list[Row] = [("s1", "AgentMessageCount", 1), ("s1", "EndUserMessageCount", "two")]
    *_, (records,) = small(tmp_path, rows)
    assert run(tmp_path, records) == 1
    assert (
        "1 of 2 records rejected, more than max_reject_ratio 0.01 allows: metric_value_invalid 1 ("
        in capfd.readouterr().err
    )


def test_records_that_begin_with_rejects_end_the_run(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(beginnings, "FEWEST_ROWS", 2)
    *_, (records,) = small(tmp_path, [("s1", "AgentMessageCount", "two")] * 2)
    assert run(tmp_path, records) == 1
    why = ": the first 2 records are all rejected: metric_value_invalid 2 ("
    assert why in capfd.readouterr().err
    assert run(tmp_path, records, "--max_reject_ratio", "1") == 1
    assert ": nothing to compare: " in capfd.readouterr().err


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


def test_an_output_that_no_command_has_prepared(tmp_path, monkeypatch):
    """As in a job that a template describes."""
    inputs = small(tmp_path, [("s1", "AgentMessageCount", "1"), ("s1", "", "1")])
    enough = ("--max_reject_ratio", "1")
    report = calibrate(tmp_path / "out", *inputs, *enough)
    monkeypatch.setattr(job, "name_run", lambda options: "")
    assert calibrate(tmp_path / "other", *inputs, *enough) == report
    assert cli.output_bytes(tmp_path / "other") == cli.output_bytes(tmp_path / "out")
    assert [path.name for path in tmp_path.glob(".*")] == []
