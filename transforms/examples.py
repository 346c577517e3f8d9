"""A few ids of messages and sessions, to be shown where the two do not belong together. Pure; no Beam."""

import collections
from collections.abc import Iterable
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from transforms.batches import Kind, kind_of

_SHOWN = 3

_OF: dict[Kind, str] = {"messages": "messages", "unassigned": "messages", "sessions": "sessions"}


class Example(NamedTuple):
    """An id of an input.

    Attributes:
      of: `sessions`, or `messages` for the id of a session or conversation that a message names.
      id: as it is compared.
    """

    of: str
    id: str


def examples_of(batches: Iterable[pa.RecordBatch]) -> list[Example]:
    """The least ids of batches of any kind, a few of sessions and a few of messages.

    They are taken from the dictionaries, which is fifty times as fast as from the rows.
    """
    found = []
    for batch in batches:
        of = _OF.get(kind_of(batch))
        if of and len(batch):
            ids = batch.column(0).dictionary
            least_ids = ids.take(pc.select_k_unstable(ids, _SHOWN, [("", "ascending")]))
            found += [Example(of, one) for one in least_ids.to_pylist()]
    return least(found)


def least(examples: Iterable[Example]) -> list[Example]:
    """Of many examples the least few of each input, so that they are the same in every run."""
    ids = collections.defaultdict(set)
    for example in examples:
        ids[example.of].add(example.id)
    return [Example(of, one) for of in sorted(ids) for one in sorted(ids[of])[:_SHOWN]]
