"""The rejects as a file, how many are too many, and too few messages. Pure; no Beam."""

import json
import re
from collections.abc import Iterable

from transforms.batches import EXAMPLES_SHOWN, Counts, Example, Reject
from transforms.errors import NoMessagesError, TooManyRejectsError

REJECTS_NAME = "rejects-00000-of-00001.jsonl"

_REJECTS_FILE = re.compile(r"rejects-\d{5}-of-\d{5}\.jsonl")


def is_rejects_file(name: str) -> bool:
    """Whether this run or an earlier one may have written rejects under a name."""
    return bool(_REJECTS_FILE.fullmatch(name))


def encode_rejects(rejects: Iterable[Reject]) -> bytes:
    """A line of JSON for each reject, UTF-8, sorted by all fields, so that arrival leaves no trace."""
    rows = sorted(rejects, key=lambda reject: tuple("" if v is None else v for v in reject))
    lines = (json.dumps(reject._asdict(), ensure_ascii=False) + "\n" for reject in rows)
    return "".join(lines).encode("utf-8", "replace")


def check_rejects(counts: Counts, max_ratio: float) -> None:
    """Checks that not too many rows were rejected.

    Raises:
      TooManyRejectsError: more than `max_ratio` of the rows of one input.
    """
    for rows in ("messages", "sessions", "participants", "channels", "records"):
        read = counts.get(f"{rows}_read", 0)
        reasons = {
            name.removeprefix(f"{rows}_rejected_"): number
            for name, number in counts.items()
            if name.startswith(f"{rows}_rejected_")
        }
        rejected = sum(reasons.values())
        if read and rejected / read > max_ratio:
            listed = ", ".join(f"{reason} {number:,}" for reason, number in reasons.items())
            hint = ""
            if "platform_unknown" in reasons:
                hint = "State the sessions' platform with --channels or --assume_platform. "
            raise TooManyRejectsError(
                f"{rejected:,} of {read:,} {rows} rejected ({listed}), more than "
                f"max_reject_ratio {max_ratio:g} allows; nothing was published. "
                f"{hint}Mend the input, or raise --max_reject_ratio to accept it and see the rejects"
            )


def check_messages(counts: Counts, examples: Iterable[Example], allowed: bool) -> None:
    """Checks that messages and sessions belong together.

    Args:
      counts: what became of all rows.
      examples: ids of both, in any order.
      allowed: whether it may be that no message counts.

    Raises:
      NoMessagesError: sessions are reported, and not one message counts.
    """
    reported = counts.get("sessions_reported", 0)
    if allowed or not reported or counts.get("messages_counted"):
        return
    fates = [
        f"{name.removeprefix('messages_').replace('_', ' ')} {number:,}"
        for name, number in counts.items()
        if name.startswith("messages_") and name != "messages_read"
    ]
    read = counts.get("messages_read", 0)
    found: dict[str, set[str]] = {"messages": set(), "sessions": set()}
    for example in examples:
        found[example.of].add(example.id)
    shown = {of: ", ".join(sorted(ids)[:EXAMPLES_SHOWN]) for of, ids in found.items()}
    beside = ""
    if all(shown.values()):
        beside = f"; messages name {shown['messages']}, sessions are {shown['sessions']}"
    raise NoMessagesError(
        f"sessions are reported ({reported:,}) and not one message counts: "
        + (f"of {read:,} messages read, {', '.join(fates)}" if read else "there are no messages")
        + f"{beside}; nothing was published. Give the messages of these sessions, or "
        "--allow_no_messages"
    )
