"""Exports whose messages name only their conversation, the figures worked out for them, and a walk."""

import csv
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from tests.support import cli, oracle
from tests.support.conversations import Entry, Snapshot, assign, comparable
from tests.support.real_logs import DATA, NEVER_COUNTED, micros

FOLDER = DATA / "conversations"

EXPORTS = ("data_cloud", "warehouse", "entries_api", "off_core")

Row = dict[str, Any]

_ROLES = {"agent": "Agent", "enduser": "EndUser", "bot": "Bot", "chatbot": "Bot"}

_MESSAGES = {
    "data_cloud": lambda row, roles: (
        None,
        row["ssot__ConversationId__c"],
        row["ssot__Id__c"],
        micros(row["ssot__TranscriptedDateTime__c"]),
        roles[row["ssot__EngagementParticipantId__c"]],
    ),
    "warehouse": lambda row, roles: (
        None,
        row["conversation_id"],
        row["id"],
        micros(row["transcripted_date_time"]),
        row["role"],
    ),
    "entries_api": lambda row, roles: (
        None,
        row["conversationIdentifier"],
        row["identifier"],
        row["transcriptedTimestamp"] * 1000,
        row["sender"]["role"],
    ),
    "off_core": lambda row, roles: (
        next((one for one in json.loads(row["related_records"]) if one.startswith("0Mw")), None),
        row["conversation_identifer"],
        row["identifier"],
        int(row["transcripted_timestamp"]) * 1000,
        json.loads(row["sender"])["role"],
    ),
}
"""What a row of messages says: session, conversation, id, instant, role."""


def path_of(export: str, kind: str) -> Path:
    """The file of the messages, the sessions or the participants of an export."""
    (found,) = (FOLDER / export).glob(f"{kind}.*")
    return found


def inputs_of(export: str, **instead: Path | str) -> list[str]:
    """The options for the files of an export, some of them others instead."""
    kinds = ["messages", "sessions"]
    kinds += ["participants"] if list((FOLDER / export).glob("participants.*")) else []
    return [
        word
        for kind in kinds
        for word in (f"--{kind}", str(instead.get(kind) or path_of(export, kind)))
    ]


def lines_of(path: Path) -> list[str]:
    """The lines of a file that may be zipped."""
    content = path.read_bytes()
    content = gzip.decompress(content) if path.suffix == ".gz" else content
    return content.decode("utf-8").splitlines()


def rows_of(path: Path) -> list[Row]:
    """The rows of a CSV or a file of JSON Lines."""
    lines = lines_of(path)
    return (
        list(csv.DictReader(lines)) if ".csv" in path.name else [json.loads(one) for one in lines]
    )


def write_rows(path: Path, rows: list[Row]) -> Path:
    """Writes rows as CSV, each with the columns of the first."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)
    return path


@lru_cache
def expected(export: str) -> dict[str, dict[str, int]]:
    """The six values of each closed session, worked out elsewhere."""
    return {
        row.pop("session_id"): {kind: int(value) for kind, value in row.items()}
        for row in rows_of(FOLDER / export / "expected.csv")
    }


def messages_of(export: str) -> Iterator[Entry]:
    """The rows that are messages whose sender counts; the same message may be there twice."""
    roles = {}
    if export == "data_cloud":
        roles = {
            row["ssot__Id__c"]: row["ssot__EngagementParticipantRole__c"]
            for row in rows_of(path_of(export, "participants"))
        }
    read: Callable[[Row, dict[str, str]], tuple] = _MESSAGES[export]
    for row in rows_of(path_of(export, "messages")):
        if row.get("ssot__ConversationEntryType__c") == "ParticipantChanged":
            continue
        *entry, role = read(row, roles)
        if role.capitalize() not in NEVER_COUNTED:
            yield Entry(*entry, _ROLES[role.replace("_", "").replace(" ", "").lower()])


@lru_cache
def sessions_of(export: str) -> tuple[Snapshot, ...]:
    """The sessions, each once."""
    return tuple(
        Snapshot(
            session_id=_any(row, "Id", "id", "ssot__Id__c"),
            conversation_id=_any(
                row, "ConversationId", "conversation_id", "ssot__ConversationId__c"
            ),
            conversation_identifier=_any(row, "Conversation.ConversationIdentifier") or None,
            started_at_us=_micros(
                _any(row, "StartTime", "start_time", "ssot__MessagingSessionStartTime__c")
            ),
            ended_at_us=_micros(
                _any(row, "EndTime", "end_time", "ssot__MessagingSessionEndTime__c")
            ),
            status=_any(row, "Status", "status", "ssot__MessagingSessionStatus__c"),
            deleted=_any(row, "_fivetran_deleted") or _any(row, "IsDeleted") == "true",
        )
        for row in rows_of(path_of(export, "sessions"))
    )


def _any(row: Row, *names: str) -> Any:
    return next((row[name] for name in names if name in row), None)


def _micros(text: str | None) -> int | None:
    return micros(text) if text else None


@lru_cache
def assigned(export: str, lead_us: int) -> tuple[tuple[Entry, str | None, str], ...]:
    """Each message with its session, and how it was found, by the rule session by session."""
    by_conversation = defaultdict(list)
    for session in sessions_of(export):
        for name in {session.conversation_id, session.conversation_identifier} - {None}:
            by_conversation[comparable(name)].append(session)
    return tuple(
        (entry, *assign(entry, by_conversation[comparable(entry.conversation_id)], lead_us))
        for entry in messages_of(export)
    )


def walked(export: str, lead_us: int) -> dict[str, dict[str, int]]:
    """The metrics of the closed sessions, by the oracle."""
    found = defaultdict(list)
    for entry, session_id, _ in assigned(export, lead_us):
        found[session_id].append(
            {
                "message_id": entry.message_id,
                "sent_at_us": entry.sent_at_us,
                "sequence": None,
                "role": entry.role,
            }
        )
    return {
        one.session_id: oracle.metrics(found[one.session_id], {"ended_at_us": one.ended_at_us})
        for one in sessions_of(export)
        if one.status == "Ended" and not one.deleted
    }


def ways(export: str, lead_us: int) -> dict[str, int]:
    """How many messages got their session in each way, as the job counts them."""
    names = {
        "session_id": "by_session_id",
        "time": "by_time",
        "opening": "as_opening",
        "late": "as_late",
        "none": "to_none",
    }
    found = Counter(how for *_, how in assigned(export, lead_us))
    return {f"assigned_{names[how]}": number for how, number in found.items()}


def by_time_of(export: str, lead_us: int) -> dict[str, int]:
    """How many messages of each session name only their conversation, the same message once."""
    found = {
        (session_id, entry.message_id): how for entry, session_id, how in assigned(export, lead_us)
    }
    return Counter(session_id for (session_id, _), how in found.items() if how != "session_id")


def compute(output: Path, export: str, *args: str, **instead: Path | str) -> tuple[Path, Row]:
    """Runs the job on an export; returns where the records are, and the counts."""
    summary = output.with_name(f"{output.name}.json")
    words = [
        *inputs_of(export, **instead),
        "--output",
        str(output),
        "--summary",
        str(summary),
        *args,
    ]
    assert cli.call_main(*words) == 0
    return output, json.loads(summary.read_text("utf-8"))
