"""The summary of a session: against the reference, and as files and tables."""

import datetime
import itertools
import json

import apache_beam as beam
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import bigquery_schema
from schemas.arrow import arrow_schema
from tests.support import oracle
from tests.support.batches import messages, sessions
from tests.support.cli import call_main, output_bytes, read_values
from transforms import (
    ComputeSessionMetrics,
    ReadMessages,
    ReadMessagesAndSessions,
    ReadSessions,
    ReportPage,
    WriteMetrics,
)
from transforms.folding.shard import fold_shard
from transforms.folding.summaries import SUMMARY_SCHEMA, sort_within
from transforms.policy import Policy
from transforms.writing.encoders import ENCODERS
from transforms.writing.summary_rows import to_summaries

S = 1_000_000
ROLES = {"e": "EndUser", "a": "Agent", "b": "Bot"}
SWITCHES = {
    "response_from": ["first_message", "last_message"],
    "bots": ["ignore", "answer"],
    "late_messages": ["include", "exclude"],
}


def summarize(rows, *session_rows, **policy) -> list[dict]:
    """Rows of (session, message id, second, role, sequence) and sessions to summaries."""
    batches = [messages(*rows)] if rows else []
    batch, _ = fold_shard([*batches, sessions(*session_rows)], Policy(**policy), summarize=True)
    found = to_summaries(batch)
    assert found.schema.equals(arrow_schema(SUMMARY_SCHEMA), check_metadata=True)
    return found.to_pylist()


def talk(text: str) -> list[tuple]:
    parts = text.split()
    return [
        ("s", f"m{n:02}", float(part[1:]), ROLES[part[0]], None) for n, part in enumerate(parts)
    ]


def one(text: str, **session) -> dict:
    policy = {name: session.pop(name) for name in SWITCHES if name in session}
    row = {"session_id": "s", "started_at_us": 0, "ended_at_us": 100 * S, **session}
    (found,) = summarize(talk(text), row, **policy)
    return found


def test_a_session_by_hand():
    # agents answer in 4, 6 and 20 s; the end user in 1, 5 and 4 s
    text = "e2 a6 b7 e8 a14 e19 e21 a39 e43 e50"
    found = one(text, conversation_id="c", channel_type="Text", ended_at_us=60 * S)
    at = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    assert found == {
        "session_id": "s",
        "conversation_id": "c",
        "channel_type": "Text",
        "created_at": None,
        "started_at": at,
        "ended_at": at + datetime.timedelta(seconds=60),
        "agent_messages": 3,
        "end_user_messages": 6,
        "bot_messages": 1,
        "agent_responses": 3,
        "agent_response_total_us": 30 * S,
        "agent_response_average_us": 10 * S,
        "agent_response_median_us": 6 * S,
        "agent_response_p90_us": 20 * S,
        "agent_response_max_us": 20 * S,
        "end_user_responses": 3,
        "end_user_response_total_us": 11 * S,
        "end_user_response_average_us": 3_666_667,
        "end_user_response_median_us": 4 * S,
        "end_user_response_p90_us": 5 * S,
        "end_user_response_max_us": 5 * S,
        "first_agent_response_from_start_us": 6 * S,
        "first_agent_response_from_message_us": 4 * S,
        "ends_unanswered": True,
        "unanswered_us": 17 * S,
        "late_messages": 0,
        "duplicate_messages": 0,
        "assigned_by_time_messages": 0,
        "policy_response_from": "first_message",
        "policy_bots": "ignore",
        "policy_late_messages": "include",
    }


def test_averages_are_rounded_half_up_to_microseconds():
    found = one("e0 a0.000001 e1 a1.000002")  # 1 and 2
    assert found["agent_response_average_us"] == 2


def test_nothing_is_null_where_it_is_not_known():
    found = one("", started_at_us=None)
    assert [name for name, value in found.items() if value is None] == [
        "conversation_id",
        "channel_type",
        "created_at",
        "started_at",
        *(f"agent_response_{name}_us" for name in ("total", "average", "median", "p90", "max")),
        *(f"end_user_response_{name}_us" for name in ("total", "average", "median", "p90", "max")),
        "first_agent_response_from_start_us",
        "first_agent_response_from_message_us",
        "unanswered_us",
    ]
    assert found["ends_unanswered"] is False


@pytest.mark.parametrize(
    ("text", "switches", "unanswered_us"),
    [
        ("e10 a20", {}, None),
        ("a5", {}, None),
        ("e10 a20 e70 e80", {}, 30 * S),
        ("e10 a20 e70 e80", {"response_from": "last_message"}, 20 * S),
        ("e10 b20", {}, 90 * S),
        ("e10 b20", {"bots": "answer"}, None),
        ("e120", {}, 0),
        ("e50 e120", {}, 50 * S),
        ("a10 e120", {"late_messages": "exclude"}, None),
    ],
)
def test_unanswered_at_the_end(text, switches, unanswered_us):
    found = one(text, **switches)
    assert found["unanswered_us"] == unanswered_us
    assert found["ends_unanswered"] is (unanswered_us is not None)


@pytest.mark.parametrize(
    ("text", "session", "from_start_us", "from_message_us"),
    [
        ("a5 e10 a30", {}, 30 * S, 20 * S),  # what an agent writes unasked is no response
        ("e10 b12 a30", {}, 30 * S, 20 * S),
        ("e10 b12 a30 e40 a45", {"bots": "answer"}, 45 * S, 35 * S),
        ("e10 a30", {"started_at_us": 31 * S}, None, 20 * S),  # a start after the response
        ("e10 a30", {"started_at_us": 30 * S}, 0, 20 * S),
        ("e10", {}, None, None),
    ],
)
def test_first_response(text, session, from_start_us, from_message_us):
    found = one(text, **session)
    assert found["first_agent_response_from_start_us"] == from_start_us
    assert found["first_agent_response_from_message_us"] == from_message_us


def test_late_messages_are_counted_either_way():
    for late in SWITCHES["late_messages"]:
        found = one("e10 a20 e100.5 e101.5", late_messages=late)
        assert found["late_messages"] == 1
        assert found["end_user_messages"] == (3 if late == "include" else 2)


_rows = st.lists(
    st.tuples(
        st.sampled_from(["s", "t"]),
        st.sampled_from(["m1", "m2", "m3", "m4", "m5", "m6", "m7"]),
        st.integers(0, 12),
        st.sampled_from(list(ROLES.values())),
        st.sampled_from([None, 1, 2]),
    ),
    max_size=24,
)


@given(
    _rows,
    st.fixed_dictionaries({name: st.sampled_from(values) for name, values in SWITCHES.items()}),
    st.sampled_from([None, 0, 5 * S]),
    st.sampled_from([6 * S, 6 * S + 1, 20 * S]),
    st.randoms(use_true_random=False),
)
def test_against_the_oracle(rows, policy, started_at_us, ended_at_us, random):
    expected = {
        session_id: oracle.summary(
            [
                {"message_id": m, "sent_at_us": at * S, "role": role, "sequence": sequence}
                for i, m, at, role, sequence in rows
                if i == session_id
            ],
            {"started_at_us": started_at_us, "ended_at_us": ended_at_us},
            **policy,
        )
        for session_id in ("s", "t")
    }
    random.shuffle(rows)
    session = {"started_at_us": started_at_us, "ended_at_us": ended_at_us}
    found = summarize(rows, *({"session_id": i, **session} for i in expected), **policy)
    assert [row["session_id"] for row in found] == ["s", "t"]
    for row in found:
        kept = {name: row[name] for name in expected[row["session_id"]]}
        assert kept == expected[row["session_id"]]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=20),
    st.sampled_from([0, 60, 61]),
)
def test_times_are_sorted_within_their_session(pairs, shift):
    """Also where session and time are too long for one number."""
    pairs = sorted((session, time << shift) for session, time in pairs if time << shift < 2**62)
    session = np.array([s for s, _ in pairs], np.int32)
    by_time = sorted(range(len(pairs)), key=lambda i: (pairs[i][0], -pairs[i][1]))
    shuffled = np.array([pairs[i][1] for i in by_time], np.int64)
    assert sort_within(session, shuffled).tolist() == [time for _, time in pairs]


def test_bigquery_has_the_nulls():
    modes = {field["name"]: field["mode"] for field in bigquery_schema(SUMMARY_SCHEMA)}
    assert modes["ended_at"] == modes["agent_responses"] == "REQUIRED"
    assert modes["started_at"] == modes["agent_response_median_us"] == "NULLABLE"
    types = {field["name"]: field["type"] for field in bigquery_schema(SUMMARY_SCHEMA)}
    assert types["ends_unanswered"] == "BOOLEAN"


# The job


@pytest.fixture
def inputs(tmp_path):
    lines = ["session_id,message_id,sent_at,sender_role"]
    for i, text in (("s1", "e1 a3.5 e9"), ("s2", "b1 e2 a62"), ("s3", "e5")):
        for n, part in enumerate(text.split()):
            second = float(part[1:])
            at = f"2024-10-02T12:{int(second // 60):02}:{second % 60:06.3f}Z"
            lines.append(f"{i},m{n},{at},{ROLES[part[0]]}")
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "s.csv").write_text(
        "Id,Status,EndTime,StartTime,AcceptTime,ChannelType,MessagingChannel.PlatformType\n"
        "s1,Ended,2024-10-02T13:00:00Z,2024-10-02T12:00:00Z,2024-10-02T12:00:02Z,Text,Enhanced\n"
        "s2,Ended,2024-10-03T13:00:00Z,,2024-10-02T12:01:00Z,Text,Enhanced\n"
        "s3,Ended,2024-10-03T13:00:00Z,,,Text,Enhanced\n"
        "s4,Active,,,,Text,Enhanced\n"
    )
    return ["--messages", tmp_path / "m.csv", "--sessions", tmp_path / "s.csv"]


def job(inputs, tmp_path, *more) -> tuple[int, dict[str, bytes], dict[str, bytes]]:
    out, summaries = tmp_path / "out", tmp_path / "summaries"
    status = call_main(*inputs, "--output", out, "--session_summary", summaries, *more)
    return status, output_bytes(out), output_bytes(summaries)


@pytest.mark.slow
@pytest.mark.parametrize("output_format", ENCODERS)
def test_summaries_beside_the_records(inputs, tmp_path, output_format, capsys):
    status, records, summaries = job(inputs, tmp_path, "--output_format", output_format)
    assert status == 0
    assert list(summaries) == [f"summaries-00000-of-00001.{output_format}"]
    alone = tmp_path / "alone"
    assert call_main(*inputs, "--output", alone, "--output_format", output_format) == 0
    assert output_bytes(alone) == records
    said = " ".join(capsys.readouterr().err.split())
    assert "summaries written 3" in said
    assert f"published in {tmp_path}/out and {tmp_path}/summaries" in said
    if output_format == "jsonl":
        rows = [json.loads(line) for line in summaries.popitem()[1].splitlines()]
        assert [(r["session_id"], r["agent_response_total_us"]) for r in rows] == [
            ("s1", 2_500_000),
            ("s2", 60_000_000),
            ("s3", None),
        ]


@pytest.mark.slow
def test_summaries_by_day_replace_their_days_alone(inputs, tmp_path):
    by_day = ["--partition_by", "day", "--output_format", "jsonl"]
    _, _, whole = job(inputs, tmp_path, *by_day)
    assert list(whole) == [
        "ended_date=2024-10-02/summaries-00000-of-00001.jsonl",
        "ended_date=2024-10-03/summaries-00000-of-00001.jsonl",
    ]
    again = job(inputs, tmp_path, *by_day, "--closed_from=2024-10-03", "--closed_until=2024-10-04")
    assert again[0] == 0
    assert again[2] == whole
    status, _, rest = job(inputs, tmp_path, *by_day, "--closed_until=2024-10-02")
    assert (status, rest) == (0, whole)


@pytest.mark.slow
def test_a_later_run_leaves_nothing_of_an_earlier_one(inputs, tmp_path):
    job(inputs, tmp_path, "--partition_by", "day")
    others = ["mine.txt", "rejects/rejects-00000-of-00001.jsonl"]
    for name in others:
        (tmp_path / "summaries" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "summaries" / name).write_text("mine")
    _, _, found = job(inputs, tmp_path, "--output_format", "csv")
    assert sorted(found) == [*others, "summaries-00000-of-00001.csv"]


@pytest.mark.parametrize("place", ["out", "out/summaries", "."])
def test_summaries_have_a_directory_of_their_own(inputs, tmp_path, place, capsys):
    words = ["--output", tmp_path / "out", "--session_summary", tmp_path / place]
    assert call_main(*inputs, *words) == 2
    assert "must be a directory of its own, neither in nor around" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("is_page", [True, False])
@pytest.mark.parametrize("summarize", [True, False])
def test_in_a_pipeline_of_ones_own(inputs, tmp_path, summarize, is_page):
    """What is to be written must have been asked for."""
    pipeline = beam.Pipeline(runner="FnApiRunner")
    read = ReadMessagesAndSessions(ReadMessages([str(inputs[1])]), ReadSessions([str(inputs[3])]))
    computed = pipeline | read | ComputeSessionMetrics(summarize=summarize)
    out, summaries = str(tmp_path / "out"), str(tmp_path / "summaries")
    page = ReportPage(str(tmp_path / "page.html"))
    made = {"report": page} if is_page else {"summaries": summaries}
    _ = computed | WriteMetrics(out, output_format="jsonl", **made)
    if summarize:
        pipeline.run()
        if is_page:
            assert "2 to 3 October 2024" in (tmp_path / "page.html").read_text("utf-8")
        else:
            assert list(output_bytes(summaries)) == ["summaries-00000-of-00001.jsonl"]
    else:
        with pytest.raises(Exception, match="there are no summaries of the sessions; nothing was"):
            pipeline.run()
        assert not (tmp_path / "out").exists()
        assert not (tmp_path / "page.html").exists()


# Metrics beside the six


def values(directory) -> dict[str, list]:
    rows = [json.loads(line) for line in (directory / "metrics-00000-of-00001.jsonl").open()]
    return {
        i: [
            (r["MessagingSessionMetricType"], r["MessagingSessionMetricValue"], r["Name"][-1])
            for r in of
        ]
        for i, of in itertools.groupby(rows, lambda r: r["MessagingSessionId"])
    }


def test_metrics_that_are_asked_for(inputs, tmp_path, capsys):
    out = ["--output", tmp_path / "out", "--output_format", "jsonl"]
    names = "ServiceRepAcceptToFirstResponseTime, EndUserMessageCount"
    assert call_main(*inputs, "--output", tmp_path / "avro", "--metrics", names) == 0
    capsys.readouterr()
    assert call_main(*inputs, *out, "--metrics", names) == 0
    assert read_values(tmp_path / "avro") == read_values(tmp_path / "out")
    assert values(tmp_path / "out") == {
        # Accepted at 2 s and answered at 3.5 s, at 60 s and 62 s, never.
        "s1": [("EndUserMessageCount", 2, "4"), ("ServiceRepAcceptToFirstResponseTime", 2, "7")],
        "s2": [("EndUserMessageCount", 1, "4"), ("ServiceRepAcceptToFirstResponseTime", 2, "7")],
        "s3": [("EndUserMessageCount", 1, "4"), ("ServiceRepAcceptToFirstResponseTime", 0, "7")],
    }
    assert "records written 6" in " ".join(capsys.readouterr().err.split())


def test_a_metric_whose_column_is_not_there_is_refused(inputs, tmp_path, capsys):
    out = ["--output", tmp_path / "out"]
    assert call_main(*inputs, *out, "--metrics", "ServiceRepFirstResponseTime") == 2
    said = capsys.readouterr().err
    assert "no column for routed_at of the sessions" in said
    assert "--session_columns routed_at=Their.Name" in said
    mapped = ["--session_columns", "routed_at=AcceptTime"]
    words = [*out, "--metrics", "ServiceRepFirstResponseTime", *mapped, "--output_format", "jsonl"]
    assert call_main(*inputs, *words, "--rounding", "floor") == 0
    assert [of[0][1:] for of in values(tmp_path / "out").values()] == [(1, "8"), (2, "8"), (0, "8")]


def test_the_first_message_of_an_agent_since_the_acceptance():
    types = ("ServiceRepAcceptToFirstResponseTime",)
    for text, accepted_at_us, expected in (
        ("a4 e5 a9", 5 * S, 4),
        ("a5 e6 a9", 5 * S, 0),
        ("b9 e10", 5 * S, 0),
        ("a1 a2", 5 * S, 0),
        ("a9", None, 0),
    ):
        session = {"session_id": "s", "accepted_at_us": accepted_at_us}
        batches = [messages(*talk(text)), sessions(session)]
        found, _ = fold_shard(batches, Policy(), types)
        assert found.column(types[0]).to_pylist() == [expected]


def test_an_unknown_metric(inputs, tmp_path, capsys):
    assert call_main(*inputs, "--output", tmp_path / "out", "--metrics", "Average") == 2
    assert "'Average' is no metric; there are AgentMessageCount, Average" in capsys.readouterr().err
