"""Sums and histograms by group, which are merged by adding whole numbers. Pure; no Beam.

A histogram counts sessions by group and by bucket of their average response time. One int64 holds both,
the group above 12 bits for the bucket, so that one sorted array is the histogram of one group after the
other. For example, 42 s are in bucket 776, which begins at 41.395406 s, and 1 s is in bucket 579. Two
sessions of group 5 with 1 s and one with 42 s are

    keys  [5 << 12 | 579, 5 << 12 | 776] = [21059, 21256]
    sums  [[2], [1]]
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from transforms.batches import SIDES
from transforms.instants import SECOND_US

Int64s = NDArray[np.int64]

SUMMED = ("sessions", "agent_messages", "end_user_messages", "bot_messages", "unanswered")
"""The counts that are added up by day, by hour of the week and by channel type."""

MAX_RELATIVE_ERROR = 0.01
"""The relative error of a percentile: no bucket is wider than twice this share of its lower edge."""

_PER_WIDTH = 50

# Some thousands of years.
_LONGEST_US = 1 << 58

BAR_EDGES_US = tuple(math.isqrt(10**12 << k) for k in range(44))
"""Where the bars of the distribution begin: at 1 s, then at 1.4 (the root of 2) times the edge before."""

LADDER_US = tuple(
    seconds * SECOND_US
    for seconds in (
        *(1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800),
        *(86400, 172800, 604800, 2592000),
    )
)
"""Times that people think in: 1 s to 30 days."""


def _edges_us() -> Int64s:
    edges, fixed = [0, 1], sorted({*BAR_EDGES_US, *LADDER_US}, reverse=True)
    while edges[-1] < _LONGEST_US:
        following = edges[-1] + max(1, edges[-1] // _PER_WIDTH)
        if fixed and fixed[-1] <= following:
            following = fixed.pop()
        if following > edges[-1]:
            edges.append(following)
    return np.array(edges, np.int64)


EDGES_US = _edges_us()
"""Where the buckets of the histograms begin: each microsecond up to 100, then at most 2 % apart.

`LADDER_US` and `BAR_EDGES_US` are among the edges, so that numbers of sessions between them are exact.
"""

_MIDDLES_US = EDGES_US + (np.diff(EDGES_US, append=EDGES_US[-1] + 1) - 1) // 2

BUCKET_BITS = 12

BUCKET_MASK = (1 << BUCKET_BITS) - 1


@dataclasses.dataclass(frozen=True, eq=False)
class Tally:
    """Sums by key.

    Attributes:
      keys: shape (keys,), ascending, each key once.
      sums: shape (keys, sums); a row for each key.
    """

    keys: Int64s
    sums: Int64s

    @classmethod
    def of(cls, keys: Int64s, sums: Int64s) -> "Tally":
        """Adds up rows of the same key, in any order."""
        order = np.argsort(keys, kind="stable")
        distinct, first = np.unique(keys[order], return_index=True)
        return cls(distinct, np.add.reduceat(sums[order], first, axis=0) if len(first) else sums)

    @classmethod
    def counting(cls, keys: Int64s) -> "Tally":
        """Counts how often each key occurs; the keys are in any order."""
        distinct, number = np.unique(keys, return_counts=True)
        return cls(distinct.astype(np.int64), number.astype(np.int64)[:, None])

    @classmethod
    def empty(cls, sums: int) -> "Tally":
        """No keys."""
        return cls(np.zeros(0, np.int64), np.zeros((0, sums), np.int64))


@dataclasses.dataclass(frozen=True, eq=False)
class Groups:
    """Sessions by day, by hour of the week or by channel type.

    Attributes:
      counts: by group, the counts in `SUMMED`.
      times: by side (one of `SIDES`), the number of sessions by group and bucket of the average response
        time, with keys `group << BUCKET_BITS | bucket`. A session without a response is in no bucket.
    """

    counts: Tally
    times: Mapping[str, Tally]

    @classmethod
    def empty(cls) -> "Groups":
        """No sessions."""
        return cls(Tally.empty(len(SUMMED)), {side: Tally.empty(1) for side in SIDES})

    @classmethod
    def merge(cls, many: Sequence["Groups"]) -> "Groups":
        """Adds up the sessions of several, group by group."""

        def merged(tallies: list[Tally]) -> Tally:
            keys, sums = (
                np.concatenate([getattr(one, name) for one in tallies]) for name in ("keys", "sums")
            )
            return Tally.of(keys, sums)

        return cls(
            merged([one.counts for one in many]),
            {side: merged([one.times[side] for one in many]) for side in SIDES},
        )

    def regrouped(self, groups: Int64s) -> "Groups":
        """The same sessions in other groups: `groups[i]` in place of the i-th of `counts.keys`."""
        times = {}
        for side, tally in self.times.items():
            found = groups[np.searchsorted(self.counts.keys, tally.keys >> BUCKET_BITS)]
            times[side] = Tally.of(found << BUCKET_BITS | tally.keys & BUCKET_MASK, tally.sums)
        return Groups(Tally.of(groups, self.counts.sums), times)

    def together(self) -> "Groups":
        """All sessions in one group, 0."""
        return self.regrouped(np.zeros(len(self.counts.keys), np.int64))

    def total(self) -> dict[str, int]:
        """The counts of all sessions, under their names."""
        return dict(zip(SUMMED, self.counts.sums.sum(axis=0).tolist(), strict=True))

    def answered(self) -> bool:
        """Whether a session has a response."""
        return any(len(tally.keys) for tally in self.times.values())

    def rows(self) -> dict[int, dict[str, int]]:
        """By group, the counts under their names."""
        return {
            key: dict(zip(SUMMED, sums, strict=True))
            for key, sums in zip(self.counts.keys.tolist(), self.counts.sums.tolist(), strict=True)
        }

    def sessions_with_response(self, side: str) -> dict[int, int]:
        """By group, the number of sessions with a response of a side; only groups that have one."""
        groups, number, _ = self._ranked(side, 100)
        return dict(zip(groups.tolist(), number.tolist(), strict=True))

    def percentile_us(self, side: str, percent: int) -> dict[int, int]:
        """By group, the least time that at least `percent` of its sessions do not exceed.

        The time is the middle of a bucket and differs from the exact percentile by at most
        `MAX_RELATIVE_ERROR`. Groups without a response are left out.
        """
        groups, _, times_us = self._ranked(side, percent)
        return dict(zip(groups.tolist(), times_us.tolist(), strict=True))

    def sessions_between(self, side: str, edges_us: Sequence[int]) -> list[int]:
        """The number of sessions, of all groups, from each edge to the next, and from the last on.

        The numbers are exact if the edges are among `EDGES_US`.
        """
        tally = self.times[side]
        at_us = EDGES_US[tally.keys & BUCKET_MASK]
        place = np.searchsorted(np.array(edges_us, np.int64), at_us, "right")
        number = np.zeros(len(edges_us) + 1, np.int64)
        # np.bincount would add floats.
        np.add.at(number, place, tally.sums[:, 0])
        return number[1:].tolist()

    def _ranked(self, side: str, percent: int) -> tuple[Int64s, Int64s, Int64s]:
        """The groups with a response, the number of their sessions with one, and their percentiles."""
        keys, number = self.times[side].keys, self.times[side].sums[:, 0]
        groups, first = np.unique(keys >> BUCKET_BITS, return_index=True)
        up_to = np.cumsum(number)
        before = up_to[first] - number[first]
        sessions = np.diff(before, append=up_to[-1:] if len(first) else 0)[: len(first)]
        rank = np.maximum(-(-sessions * percent // 100), 1)
        where = np.searchsorted(up_to, before + rank)
        return groups, sessions, _MIDDLES_US[keys[where] & BUCKET_MASK]
