"""Real conversation logs, and figures that others worked out from them."""

import csv
import datetime
import gzip
import json
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from tests.support import cli, oracle

DATA = cli.ROOT.parent / "shared" / "data"

LOGS = {"twitter_care": (2_350, 1_025), "ubuntu_irc": (74_963, 18_722)}
"""The logs, with the numbers of their messages and sessions."""

SAMPLED = {"twitter_care": 1, "ubuntu_irc": 8}
ROLES = {"EndUser": "EndUser", "Agent": "Agent", "Bot": "Bot", "Chatbot": "Bot", "AiAgent": "Bot"}

NEVER_COUNTED = {"System", "Supervisor", "Router"}

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def lines(log: str, name: str) -> list[str]:
    with gzip.open(DATA / log / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return file.read().splitlines()


def expected(log: str, name: str) -> dict[str, dict[str, int]]:
    with gzip.open(DATA / log / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return {
            row.pop("MessagingSessionId"): {kind: int(value) for kind, value in row.items()}
            for row in csv.DictReader(file)
        }


def micros(text: str) -> int:
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (moment - EPOCH) // datetime.timedelta(microseconds=1)


@lru_cache
def messages_of(log: str) -> dict[str, list[dict]]:
    """Messages by session id, for the oracle."""
    found = defaultdict(list)
    for line in lines(log, "messages"):
        row = json.loads(line)
        if row["sender_role"] in NEVER_COUNTED:
            continue
        found[row["session_id"]].append(
            {
                "message_id": row["message_id"],
                "sent_at_us": micros(row["sent_at"]),
                "sequence": None,
                "role": ROLES[row["sender_role"]],
            }
        )
    return dict(found)


def walked(log: str, sessions: Sequence[dict], **policy: str) -> dict[str, dict[str, int]]:
    """The metrics of the sessions, by the oracle."""
    messages = messages_of(log)
    return {
        row["session_id"]: oracle.metrics(
            messages.get(row["session_id"], []), {"ended_at_us": micros(row["ended_at"])}, **policy
        )
        for row in sessions
    }


def sessions_of(log: str) -> list[dict]:
    return [json.loads(line) for line in lines(log, "sessions")]


@lru_cache
def curtailed(log: str) -> tuple[dict, ...]:
    """One session in `SAMPLED[log]`, ended halfway; every other end is in whole seconds.

    Messages after that end are late.

    The oracle walks these under every policy, in pure Python. The figures that were worked out elsewhere
    are compared for all sessions.
    """
    rows = sessions_of(log)[:: SAMPLED[log]]
    for number, row in enumerate(rows):
        half_us = (micros(row["started_at"]) + micros(row["ended_at"])) // 2
        moment = EPOCH + datetime.timedelta(microseconds=half_us)
        shown = moment.isoformat(timespec="seconds" if number % 2 else "milliseconds")
        row["ended_at"] = shown.replace("+00:00", "Z")
    return tuple(rows)


def files_of(log: str) -> tuple[list[Path], Path]:
    return [DATA / log / "messages.jsonl.gz"], DATA / log / "sessions.jsonl.gz"
