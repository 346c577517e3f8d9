"""The rejects as a file, and how many are too many. Pure; no Beam."""

import json
from collections.abc import Iterable

from transforms.batches import Counts, Reject
from transforms.errors import TooManyRejectsError

REJECTS_NAME = "rejects-00000-of-00001.jsonl"


def encode_rejects(rejects: Iterable[Reject]) -> bytes:
    """A line of JSON for each reject, sorted."""
    rows = sorted(rejects, key=lambda reject: tuple("" if v is None else v for v in reject))
    lines = (json.dumps(reject._asdict(), ensure_ascii=False) + "\n" for reject in rows)
    return "".join(lines).encode("utf-8", "replace")


def check_rejects(counts: Counts, max_ratio: float) -> None:
    """Raises TooManyRejectsError where more than `max_ratio` of an input's rows were rejected."""
    for kind in ("messages", "sessions", "channels", "records"):
        read = counts.get(f"{kind}_read", 0)
        reasons = {
            name.removeprefix(f"{kind}_rejected_"): number
            for name, number in counts.items()
            if name.startswith(f"{kind}_rejected_")
        }
        rejected = sum(reasons.values())
        if read and rejected / read > max_ratio:
            listed = ", ".join(f"{reason} {number:,}" for reason, number in reasons.items())
            hint = ""
            if "platform_unknown" in reasons:
                hint = "State the sessions' platform with --channels or --assume_platform. "
            raise TooManyRejectsError(
                f"{rejected:,} of {read:,} {kind} rejected ({listed}), more than "
                f"max_reject_ratio {max_ratio:g} allows; nothing was published. "
                f"{hint}Mend the input, or raise --max_reject_ratio to accept it and see the rejects"
            )
