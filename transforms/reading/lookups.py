"""What other inputs say of the rows: a channel's platform, a participant's role. Pure; no Beam."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.batches import CHANNELS, PARTICIPANTS, kind_of
from transforms.plumbing import texts


class Lookup:
    """A small number for each of many ids.

    The ids are sorted by a hash, so that a few thousand of millions are found without a table of all of
    them being made each time. Measured: three million participants take 1.2 s once, and 330 MB with the
    batches that they came in; 9,000 of them are found in 9 ms.

    Args:
      table: an id and a number in each row, in any order. Of an id that is there with several numbers
        the greatest counts, whatever arrives first.
    """

    def __init__(self, table: pa.Table):
        ids, numbers = (column.combine_chunks() for column in table.columns)
        hashes, numbers = texts.stable_hashes(ids), numbers.to_numpy()
        order = np.lexsort((numbers, hashes))
        hashes, ids = hashes[order], ids.take(pa.array(order))
        last = np.append(hashes[1:] != hashes[:-1], True)[: len(hashes)]
        # Two ids with one hash are both kept.
        again = np.flatnonzero(~last)
        same = pc.equal(ids.take(pa.array(again)), ids.take(pa.array(again + 1)))
        last[again[~same.to_numpy(zero_copy_only=False)]] = True
        self._hashes = hashes[last]
        self._ids = ids.filter(pa.array(last))
        self._numbers = numbers[order][last]

    def find(self, ids: pa.Array) -> pa.Array:
        """The number of each id; null for one that is not there, and for null."""
        hashes = texts.stable_hashes(ids.fill_null(""))
        # From the last on: of one id the greatest number is last.
        place = np.searchsorted(self._hashes, hashes, side="right") - 1
        found = np.full(len(ids), -1)
        while (open_ := np.flatnonzero(found < 0)).size:
            inside = open_[place[open_] >= 0]
            inside = inside[self._hashes[place[inside]] == hashes[inside]]
            if not len(inside):
                break
            equal = pc.equal(self._ids.take(pa.array(place[inside])), ids.take(pa.array(inside)))
            hit = inside[equal.fill_null(False).to_numpy(zero_copy_only=False)]
            found[hit] = place[hit]
            # Another id has the same hash.
            place[inside] -= 1
        numbers = self._numbers.take(np.maximum(found, 0)) if len(self._numbers) else found
        return pa.array(numbers, pa.int8(), mask=found < 0)


class Lookups(NamedTuple):
    """What other inputs say of the rows.

    Attributes:
      platforms: the place in `batches.PLATFORMS` of each channel's platform.
      senders: the sender that each participant is.
    """

    platforms: Lookup
    senders: Lookup

    @classmethod
    def of(cls, batches: Iterable[pa.RecordBatch] = ()) -> "Lookups":
        """Makes the lookups of batches of layout `CHANNELS` and `PARTICIPANTS`, in any order."""
        batches = list(batches)
        return cls(
            *(
                Lookup(pa.Table.from_batches([b for b in batches if kind_of(b) == kind], layout))
                for kind, layout in (("channels", CHANNELS), ("participants", PARTICIPANTS))
            )
        )


NO_LOOKUPS = Lookups.of()
"""For inputs of which no other input says anything."""


class Given(NamedTuple):
    """What is known of an input beside its rows.

    Attributes:
      lookups: what other inputs say of the rows.
      assume_platform: of sessions, the platform if nobody states it: `Enhanced`, `Standard` or None.
      time_zone: the zone of whose wall clocks the instants are; None takes each as it stands.
    """

    lookups: Lookups = NO_LOOKUPS
    assume_platform: str | None = None
    time_zone: str | None = None


NOTHING_GIVEN = Given()
