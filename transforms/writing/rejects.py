"""The rejects as a file. Pure; no Beam."""

import json
import re
from collections.abc import Iterable

from transforms.batches import Reject

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
