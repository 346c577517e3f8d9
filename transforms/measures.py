"""What the report knows of sessions: sums and histograms that can be merged. Pure; no Beam.

A `Report` is made of a batch of summaries by columns, and reports are merged by adding whole numbers, so
that neither the order nor the cut of the batches makes a difference. Its size depends on the number of
days and channel types, not on the number of sessions.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Int64s = NDArray[np.int64]

SIDES = ("agent", "end_user")
COUNTS = ("sessions", "agent_messages", "end_user_messages", "bot_messages", "unanswered")
"""What is summed up by day, by hour of the week and by channel type: the columns of `Tally.sums`."""
RULES = ("response_from", "bots", "late_messages")
"""The switches that times depend on; a summary has each as `policy_...`."""
NOT_STATED = ""
"""The channel type of sessions that have none."""
SLOWEST = 10

DAY_US = 86_400_000_000
_HOUR_US = 3_600_000_000
_THURSDAY = 3  # the weekday of day 0, Monday being 0

MAX_RELATIVE_ERROR = 0.01
"""Of a percentile: no bucket is wider than twice that share of its lower edge; see `EDGES_US`."""
_PER_WIDTH = 50
_LONGEST_US = 1 << 58  # some thousands of years
BAR_EDGES_US = tuple(math.isqrt(10**12 << k) for k in range(44))
"""From 1 s, each the square root of two times the one before: what a bar of the distribution spans."""
LADDER_US = tuple(
    seconds * 1_000_000
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
"""Where the buckets of the histograms begin: whole microseconds up to 100, then at most 2 % wide.

All of `LADDER_US` and `BAR_EDGES_US` are among them, so that sums between those are exact.
"""
_MIDDLES_US = EDGES_US + (np.diff(EDGES_US, append=EDGES_US[-1] + 1) - 1) // 2
_BITS = 12
_BUCKET = (1 << _BITS) - 1


@dataclasses.dataclass(frozen=True, eq=False)
class Tally:
    """Sums by key.

    Attributes:
      keys: shape (keys,), ascending, each once.
      sums: shape (keys, sums).
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
        """The number of times that each key is there."""
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
      counts: by group, the sums named in `COUNTS`.
      times: for each of `SIDES`, the number of sessions by group and bucket of the average response
        time; sessions without a response are in none.
    """

    counts: Tally
    times: Mapping[str, Tally]

    @classmethod
    def empty(cls) -> "Groups":
        """No sessions."""
        return cls(Tally.empty(len(COUNTS)), {side: Tally.empty(1) for side in SIDES})

    @classmethod
    def merge(cls, many: Sequence["Groups"]) -> "Groups":
        """Adds them up."""

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
            found = groups[np.searchsorted(self.counts.keys, tally.keys >> _BITS)]
            times[side] = Tally.of(found << _BITS | tally.keys & _BUCKET, tally.sums)
        return Groups(Tally.of(groups, self.counts.sums), times)

    def together(self) -> "Groups":
        """All sessions in one group, 0."""
        return self.regrouped(np.zeros(len(self.counts.keys), np.int64))

    def rows(self) -> dict[int, dict[str, int]]:
        """By group the counts, under their names."""
        return {
            key: dict(zip(COUNTS, sums, strict=True))
            for key, sums in zip(self.counts.keys.tolist(), self.counts.sums.tolist(), strict=True)
        }

    def sessions_with_response(self, side: str) -> dict[int, int]:
        """By group the number of sessions that have a response of a side; groups without are left out."""
        groups, number, _ = self._ranked(side, 100)
        return dict(zip(groups.tolist(), number.tolist(), strict=True))

    def percentile_us(self, side: str, percent: int) -> dict[int, int]:
        """By group the least time that at least `percent` of its sessions do not exceed.

        It differs from that of the times themselves by at most `MAX_RELATIVE_ERROR`. Groups without a
        response are left out.
        """
        groups, _, times_us = self._ranked(side, percent)
        return dict(zip(groups.tolist(), times_us.tolist(), strict=True))

    def sessions_between(self, side: str, edges_us: Sequence[int]) -> list[int]:
        """The number of sessions, of all groups, from each edge to the next, and from the last on.

        It is exact where the edges are among `EDGES_US`.
        """
        tally = self.times[side]
        at_us = EDGES_US[tally.keys & _BUCKET]
        place = np.searchsorted(np.array(edges_us, np.int64), at_us, "right")
        number = np.zeros(len(edges_us) + 1, np.int64)
        np.add.at(
            number, place, tally.sums[:, 0]
        )  # whole numbers, which bincount's weights are not
        return number[1:].tolist()

    def _ranked(self, side: str, percent: int) -> tuple[Int64s, Int64s, Int64s]:
        keys, number = self.times[side].keys, self.times[side].sums[:, 0]
        groups, first = np.unique(keys >> _BITS, return_index=True)
        up_to = np.cumsum(number)
        before = up_to[first] - number[first]
        sessions = np.diff(before, append=up_to[-1:] if len(first) else 0)[: len(first)]
        rank = np.maximum(-(-sessions * percent // 100), 1)
        where = np.searchsorted(up_to, before + rank)
        return groups, sessions, _MIDDLES_US[keys[where] & _BUCKET]


class Slow(NamedTuple):
    """One of the sessions in which the agents' responses took longest, on average."""

    average_us: int
    session_id: str
    longest_us: int
    responses: int
    ended_at_us: int
    channel_type: str


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """What is known of a set of sessions; picklable.

    Attributes:
      zone: IANA name of the time zone of days and hours.
      days: by day of the session's end, in days since 1970-01-01.
      hours: by hour of the week of the session's start, else its end: 24 times the weekday (Monday is
        0) and the hour.
      channels: by number in `channel_types`.
      channel_types: in alphabetical order, `NOT_STATED` among them.
      slowest: those of the longest average agent response, the longest first, at most `SLOWEST`.
      policies: the rules of the response times and the number of sessions of each.
      unstarted: the number of sessions whose start is not known.
      ended_us: the first and the last end, microseconds since the epoch; None without sessions.
    """

    zone: str
    days: Groups
    hours: Groups
    channels: Groups
    channel_types: tuple[str, ...]
    slowest: tuple[Slow, ...]
    policies: Mapping[str, int]
    unstarted: int
    ended_us: tuple[int, int] | None

    @property
    def sessions(self) -> int:
        """How many sessions there are."""
        return int(self.days.counts.sums[:, 0].sum())


def empty(zone: str) -> Report:
    """The report of no sessions."""
    groups = Groups.empty()
    return Report(zone, groups, groups, groups, (), (), {}, 0, None)


def measure(summaries: pa.RecordBatch, zone: str) -> Report:
    """The report of a batch.

    Args:
      summaries: with the columns of `schemas/messaging_session_summary.avsc` that are named here, each
        session once; times are not negative.
      zone: IANA name of the time zone of days and hours.

    Raises:
      pa.ArrowInvalid: there is no such zone.
    """
    if not len(summaries):
        return empty(zone)
    ended_at = summaries.column("ended_at")
    started_at = summaries.column("started_at")
    ended_us = _local_us(ended_at, zone)
    started_us = _local_us(pc.coalesce(started_at, ended_at), zone)
    weekday, hour = (started_us // DAY_US + _THURSDAY) % 7, started_us // _HOUR_US % 24
    channel_types, channel = _codes(summaries.column("channel_type"))
    counts = np.column_stack(
        [
            np.ones(len(summaries), np.int64),
            *(summaries.column(name).to_numpy() for name in COUNTS[1:4]),
            summaries.column("ends_unanswered").to_numpy(zero_copy_only=False),
        ]
    ).astype(np.int64)
    bucketed = {side: _buckets(summaries.column(f"{side}_response_average_us")) for side in SIDES}

    def grouped(group: Int64s) -> Groups:
        times = {
            side: Tally.counting(group[rows] << _BITS | bucket)
            for side, (rows, bucket) in bucketed.items()
        }
        return Groups(Tally.of(group, counts), times)

    rules = pa.table([summaries.column(f"policy_{name}") for name in RULES], list(RULES))
    policies = rules.group_by(list(RULES)).aggregate([([], "count_all")]).to_pylist()
    bounds = pc.min_max(ended_at.cast(pa.int64())).as_py()
    return Report(
        zone,
        grouped(ended_us // DAY_US),
        grouped(24 * weekday + hour),
        grouped(channel),
        channel_types,
        _slowest(summaries),
        {" ".join(f"{name}={p[name]}" for name in RULES): p["count_all"] for p in policies},
        started_at.null_count,
        (bounds["min"], bounds["max"]),
    )


def merge(reports: Iterable[Report], zone: str) -> Report:
    """The report of all sessions of several, which are of one zone."""
    many = [empty(zone), *reports]
    if any(one.zone != zone for one in many):
        raise ValueError("reports of different time zones can't be merged")
    names = sorted({name for one in many for name in one.channel_types})
    number = {name: index for index, name in enumerate(names)}
    channels = [
        one.channels.regrouped(np.array([number[name] for name in one.channel_types], np.int64))
        for one in many
    ]
    policies: dict[str, int] = {}
    for one in many:
        for policy, sessions in one.policies.items():
            policies[policy] = policies.get(policy, 0) + sessions
    ends = [one.ended_us for one in many if one.ended_us]
    return Report(
        zone,
        Groups.merge([one.days for one in many]),
        Groups.merge([one.hours for one in many]),
        Groups.merge(channels),
        tuple(names),
        _first_slowest(slow for one in many for slow in one.slowest),
        dict(sorted(policies.items())),
        sum(one.unstarted for one in many),
        (min(first for first, _ in ends), max(last for _, last in ends)) if ends else None,
    )


def _local_us(instants: pa.Array, zone: str) -> Int64s:
    """Instants as a wall clock shows them, in microseconds, as if it were one of UTC."""
    if zone == "UTC":
        return instants.cast(pa.int64()).to_numpy()
    return pc.local_timestamp(instants.cast(pa.timestamp("us", zone))).cast(pa.int64()).to_numpy()


def _codes(channel_type: pa.Array) -> tuple[tuple[str, ...], Int64s]:
    """The channel types in alphabetical order, and which of them each session has."""
    encoded = channel_type.cast(pa.string()).fill_null(NOT_STATED).dictionary_encode()
    found = encoded.dictionary.to_pylist()
    names = sorted(found)
    number = {name: index for index, name in enumerate(names)}
    codes = np.array([number[name] for name in found], np.int64)
    return tuple(names), codes[encoded.indices.to_numpy()]


def _buckets(times_us: pa.Array) -> tuple[NDArray[np.intp], Int64s]:
    """The rows that have a time, and its bucket."""
    rows = np.flatnonzero(times_us.is_valid().to_numpy(zero_copy_only=False))
    found = times_us.drop_null().to_numpy()
    return rows, (np.searchsorted(EDGES_US, found, "right") - 1).astype(np.int64)


def _slowest(summaries: pa.RecordBatch) -> tuple[Slow, ...]:
    columns = [
        summaries.column("agent_response_average_us"),
        summaries.column("session_id").cast(pa.string()),
        summaries.column("agent_response_max_us"),
        summaries.column("agent_responses"),
        summaries.column("ended_at").cast(pa.int64()),
        summaries.column("channel_type").cast(pa.string()).fill_null(NOT_STATED),
    ]
    table = pa.table(columns, list(Slow._fields))
    table = table.filter(columns[0].is_valid())
    if not len(table):
        return ()
    keys = [("average_us", "descending"), ("session_id", "ascending")]
    rows = table.take(pc.select_k_unstable(table, SLOWEST, keys))
    return _first_slowest(Slow(**row) for row in rows.to_pylist())


def _first_slowest(slow: Iterable[Slow]) -> tuple[Slow, ...]:
    return tuple(sorted(slow, key=lambda one: (-one.average_us, *one[1:]))[:SLOWEST])
