"""Small inputs of the main job, and what it made of them."""

import json
from collections.abc import Sequence
from pathlib import Path

MESSAGES = "session_id,message_id,sent_at,sender_role,entry_type"

SESSIONS = "session_id,status,ended_at,platform_type,created_at,modified_at"

FILE = "metrics-00000-of-00001"


def put(path: Path, *lines: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return str(path)


def replaced(words: Sequence[str], more: Sequence[str]) -> list[str]:
    """A command line with more words, which replace the options that both have."""
    kept, keeps = [], True
    for word in map(str, words):
        if word.startswith("--"):
            keeps = word.split("=")[0] not in {other.split("=")[0] for other in more}
        kept += [word] if keeps else []
    return [*kept, *more]


def session(session_id: str, ended_at: str, platform: str = "Enhanced", *more: str) -> str:
    created_at, modified_at = (*more, "", "")[:2]
    return f"{session_id},Ended,{ended_at},{platform},{created_at},{modified_at}"


def values(files: dict[str, bytes], name: str = f"{FILE}.jsonl") -> dict[str, list[int]]:
    """The six values by session, in the order of types; other fields are looked at elsewhere."""
    found: dict[str, list[int]] = {}
    for row in map(json.loads, files[name].decode().splitlines()):
        found.setdefault(row["MessagingSessionId"], []).append(row["MessagingSessionMetricValue"])
    return found
