"""Whole exports whose messages name only their conversation, through the command."""

import datetime
import functools
import json
import random
import zoneinfo
from collections import defaultdict

import fastavro
import pytest

from tests.support import cli
from tests.support.calibration import calibrate, write_records
from tests.support.calibration import rows_of as rows_of_values
from tests.support.conversation_exports import (
    EXPORTS,
    FOLDER,
    by_time_of,
    compute,
    expected,
    lines_of,
    messages_of,
    path_of,
    rows_of,
    sessions_of,
    walked,
    ways,
    write_rows,
)
from transforms.keying import sharding
from transforms.policy import SWITCHES

LEAD_US = 60_000_000
ZONE = zoneinfo.ZoneInfo("America/Sao_Paulo")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no exports: {FOLDER} is missing"),
]


@pytest.fixture(scope="module")
def as_it_is(tmp_path_factory):
    """Where the records of an export are, and the counts; the job runs once for each."""

    @functools.lru_cache
    def run(export):
        return compute(tmp_path_factory.mktemp("as_it_is") / "out", export)

    return run


@pytest.mark.parametrize("export", EXPORTS)
def test_every_session_has_the_figures_worked_out_elsewhere(export, as_it_is):
    assert walked(export, LEAD_US) == expected(export)
    output, counts = as_it_is(export)
    assert cli.read_values(output) == expected(export)
    # No rejects.
    assert list(cli.output_bytes(output)) == ["metrics-00000-of-00001.avro"]
    rows = rows_of(path_of(export, "messages"))
    assert counts["messages_read"] == len(rows)
    assert counts["sessions_read"] == len(sessions_of(export))
    assert counts["sessions_reported"] == len(expected(export)) == 665
    # Each message has its session in one way, and one fate.
    found = {name: number for name, number in counts.items() if name.startswith("assigned_")}
    assert found == ways(export, LEAD_US)
    assert sum(found.values()) == len(list(messages_of(export)))
    fates = ("counted", "duplicate", "of_unknown_session", "of_session_not_reported")
    fates += ("skipped_role", "skipped_entry_type")
    assert sum(counts.get(f"messages_{fate}", 0) for fate in fates) == len(rows)


@pytest.mark.parametrize("export", EXPORTS)
def test_without_a_lead(export, tmp_path):
    output, counts = compute(tmp_path / "out", export, "--session_lead", "0")
    without = walked(export, 0)
    assert cli.read_values(output) == without
    assert without != expected(export)
    found = {name: number for name, number in counts.items() if name.startswith("assigned_")}
    assert found == ways(export, 0)
    assert "assigned_as_opening" not in found


@pytest.mark.parametrize("export", EXPORTS)
def test_order_split_and_repetition_of_rows_make_no_difference(export, as_it_is, tmp_path):
    rng = random.Random(20241002)
    suffix = "csv" if ".csv" in path_of(export, "messages").name else "jsonl"
    head, rows = [], lines_of(path_of(export, "messages"))
    if suffix == "csv":
        head, rows = rows[:1], rows[1:]
    number_of_rows = len(rows)
    rows += rng.choices(rows, k=number_of_rows // 10)
    rng.shuffle(rows)
    for number in range(7):
        part = tmp_path / f"part-{number}.{suffix}"
        part.write_text("".join(f"{row}\n" for row in head + rows[number::7]), "utf-8")
    sessions = path_of(export, "sessions")
    head, rows = [], lines_of(sessions)
    if sessions.suffix == ".csv":
        head, rows = rows[:1], rows[1:]
    rng.shuffle(rows)
    shuffled = tmp_path / f"sessions{sessions.suffix}"
    shuffled.write_text("".join(f"{row}\n" for row in head + rows), "utf-8")
    output, counts = compute(
        tmp_path / "out", export, messages=f"{tmp_path}/part-*.{suffix}", sessions=shuffled
    )
    assert cli.output_bytes(output) == cli.output_bytes(as_it_is(export)[0])
    assert counts["messages_read"] == number_of_rows + number_of_rows // 10


def test_many_shards(as_it_is, tmp_path, monkeypatch):
    monkeypatch.setattr(sharding, "SHARD_BYTES", 20_000)
    output, counts = compute(tmp_path / "out", "off_core")
    assert cli.output_bytes(output) == cli.output_bytes(as_it_is("off_core")[0])
    assert counts == as_it_is("off_core")[1]


def on_the_clock(text):
    """An instant as a wall clock of the zone shows it, written as if it were UTC."""
    if not text:
        return text
    at = datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(ZONE)
    assert at.utcoffset() == datetime.timedelta(hours=-3)
    return at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def write_on_the_clock(path, kind):
    """The rows of the Data 360 export, with instants on the wall clock of the zone."""
    rows = [
        {name: on_the_clock(value) if "Time__c" in name else value for name, value in row.items()}
        for row in rows_of(path_of("data_cloud", kind))
    ]
    return write_rows(path, rows)


def test_sessions_on_the_clock_of_a_time_zone(as_it_is, tmp_path):
    right, counts = as_it_is("data_cloud")
    sessions = write_on_the_clock(tmp_path / "sessions.csv", "sessions")
    zone = ("--session_time_zone", ZONE.key)
    output, same = compute(tmp_path / "out", "data_cloud", *zone, sessions=sessions)
    assert cli.output_bytes(output) == cli.output_bytes(right)
    assert same == counts
    # Of the messages that count some are late in any case.
    assert counts["outside_messages"] < counts["messages_counted"] / 50

    # Without the option the sessions seem to be three hours early.
    wrong, counts = compute(tmp_path / "wrong", "data_cloud", sessions=sessions)
    assert cli.read_values(wrong) != expected("data_cloud")
    assert counts["outside_messages"] > counts["messages_counted"] / 2
    assert counts["outside_messages_median_min"] == 180
    assert not [name for name in counts if name.startswith("outside_messages_by_")]


def test_messages_and_sessions_on_the_clock_of_a_time_zone(as_it_is, tmp_path):
    inputs = {
        kind: write_on_the_clock(tmp_path / f"{kind}.csv", kind)
        for kind in ("messages", "sessions")
    }
    zones = ("--session_time_zone", ZONE.key, "--message_time_zone", ZONE.key)
    output, _ = compute(tmp_path / "out", "data_cloud", *zones, **inputs)
    assert cli.output_bytes(output) == cli.output_bytes(as_it_is("data_cloud")[0])


def test_sessions_with_numbers_of_messages_of_their_own(tmp_path):
    figures = expected("data_cloud")
    rows = rows_of(path_of("data_cloud", "sessions"))
    for row in rows:
        values = figures.get(row["ssot__Id__c"], {})
        for name in ("AgentMessageCount", "EndUserMessageCount"):
            row[name] = values.get(name, "")
    sessions = write_rows(tmp_path / "sessions.csv", rows)
    output, counts = compute(tmp_path / "out", "data_cloud", sessions=sessions)
    assert cli.read_values(output) == figures
    assert counts["checked_sessions"] == counts["checked_sessions_agree"] == len(figures)

    closed = [row for row in rows if row["ssot__Id__c"] in figures]
    closed[0]["AgentMessageCount"] += 1
    closed[1]["EndUserMessageCount"] = ""
    # An open session has no counts to compare.
    others = [row for row in rows if row["ssot__Id__c"] not in figures]
    others[0] |= {"AgentMessageCount": 99, "EndUserMessageCount": 99}
    write_rows(sessions, rows)
    output, counts = compute(tmp_path / "again", "data_cloud", sessions=sessions)
    assert cli.read_values(output) == figures
    assert counts["checked_sessions"] == len(figures) - 1
    assert counts["checked_sessions_agree"] == len(figures) - 2


@pytest.mark.parametrize("export", ["off_core", "warehouse"])
def test_summaries(export, tmp_path):
    compute(tmp_path / "out", export, "--session_summary", str(tmp_path / "summaries"))
    with (tmp_path / "summaries" / "summaries-00000-of-00001.avro").open("rb") as file:
        found = {row["session_id"]: row for row in fastavro.reader(file)}
    conversations = {one.session_id: one.conversation_id for one in sessions_of(export)}
    by_time = by_time_of(export, LEAD_US)
    assert {
        i: (row["conversation_id"], row["assigned_by_time_messages"]) for i, row in found.items()
    } == {i: (conversations[i], by_time.get(i, 0)) for i in expected(export)}
    messages = sum(
        row[f"{side}_messages"] for row in found.values() for side in ("agent", "end_user", "bot")
    )
    assigned = sum(row["assigned_by_time_messages"] for row in found.values())
    assert assigned == messages if export == "warehouse" else 0 < assigned < messages


@pytest.mark.parametrize("export", ["data_cloud", "off_core"])
def test_calibration(export, tmp_path):
    records = write_records(tmp_path / "records.csv", rows_of_values(expected(export)))
    participants = FOLDER / export / "participants.csv"
    more = ["--participants", str(participants)] if participants.exists() else []
    files = [path_of(export, kind) for kind in ("messages", "sessions")]
    report = calibrate(tmp_path / "out", files[:1], files[1], [records], *more)
    assert report["best"] == {switch: values[0] for switch, values in SWITCHES.items()}
    best = report["policies"][0]
    assert best["exact"] == best["compared"] == 6 * len(expected(export))
    assert report["policies"][1]["rank"] > 1
    found = {name: n for name, n in report["counts"].items() if name.startswith("assigned_")}
    assert found == ways(export, LEAD_US)

    # With another lead the figures are not those of the records.
    lead = ("--session_lead", "0")
    report = calibrate(tmp_path / "again", files[:1], files[1], [records], *more, *lead)
    best = report["policies"][0]
    assert best["exact"] < best["compared"] == 6 * len(expected(export))


def test_the_conversation_in_the_name_of_the_file(tmp_path):
    pages = defaultdict(list)
    for line in lines_of(path_of("entries_api", "messages")):
        entry = json.loads(line)
        pages[entry.pop("conversationIdentifier")].append(entry)
    (tmp_path / "entries").mkdir()
    for conversation, entries in pages.items():
        page = {"nextPageToken": None, "conversationEntries": entries}
        (tmp_path / "entries" / f"{conversation}.json").write_text(json.dumps(page), "utf-8")
    output, counts = compute(
        tmp_path / "out",
        "entries_api",
        "--message_columns",
        "conversation_id=@file",
        messages=f"{tmp_path}/entries/*.json",
    )
    assert cli.read_values(output) == expected("entries_api")
    assert counts["messages_read"] == sum(map(len, pages.values()))
    found = {name: number for name, number in counts.items() if name.startswith("assigned_")}
    assert found == ways("entries_api", LEAD_US)
