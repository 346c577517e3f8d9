"""The rejects as files. Pure; no Beam."""

import re

import pyarrow as pa

from transforms.batches import Counts, add_count
from transforms.rejects import Reject, with_texts
from transforms.writing.encoders import json_lines

_REJECTS_FILE = re.compile(r"rejects-\d{5}-of-\d{5}\.jsonl")


def rejects_file(number: int, of: int) -> str:
    """The name of one of the files of rejects; they are numbered from 0."""
    return f"rejects-{number:05d}-of-{of:05d}.jsonl"


def is_rejects_file(name: str) -> bool:
    """Whether this run or an earlier one may have written rejects under a name."""
    return bool(_REJECTS_FILE.fullmatch(name))


def encode_rejects(batch: pa.RecordBatch) -> bytes:
    """A line of JSON for each reject of a batch of layout `REJECTS`, UTF-8, in their order."""
    return json_lines(with_texts(batch).select(Reject._fields))


def only_counted(counts: Counts, written: int) -> Counts:
    """The count `rejects_only_counted`: how many rejects are in no file, as there are too many.

    >>> only_counted({"messages_rejected_malformed_row": 9}, 7)
    {'rejects_only_counted': 2}

    Args:
      counts: what became of all rows.
      written: how many rejects are in files.
    """
    rejected = sum(number for name, number in counts.items() if "_rejected_" in name)
    found: Counts = {}
    # A pipeline may have rejects of its own, which no count has.
    add_count(found, "rejects_only_counted", max(0, rejected - written))
    return found
