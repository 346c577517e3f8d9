"""A report on sessions: sums and histograms that can be merged. Pure; no Beam.

A `Report` is made of a batch of summaries, column by column. Reports are merged by adding whole numbers,
so neither the order nor the cut of the batches makes a difference. The size of a report depends on the
number of days and channel types, not on the number of sessions.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.batches import SIDES
from transforms.instants import DAY_US, SECOND_US
from transforms.policy import RULES
from transforms.reporting.histograms import BUCKET_BITS, EDGES_US, SUMMED, Groups, Int64s, Tally

NOT_STATED = ""
"""The channel type of sessions that have none."""

SLOWEST = 10
"""The number of slowest sessions that a report holds at most."""

_HOUR_US = 3_600 * SECOND_US

# The weekday of day 0; Monday is 0.
_THURSDAY = 3


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
    """The numbers of a set of sessions; picklable.

    Attributes:
      zone: IANA name of the time zone of days and hours.
      days: by day of the session's end, in days since 1970-01-01.
      hours: by hour of the week of the session's start, else its end: 24 times the weekday (Monday is
        0) and the hour.
      channels: by number in `channel_types`.
      channel_types: in alphabetical order, `NOT_STATED` among them.
      slowest: the sessions with the longest average agent response, the longest first, at most
        `SLOWEST`.
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

    @classmethod
    def empty(cls, zone: str) -> "Report":
        """The report of no sessions."""
        groups = Groups.empty()
        return cls(zone, groups, groups, groups, (), (), {}, 0, None)

    @classmethod
    def merge(cls, reports: Iterable["Report"], zone: str) -> "Report":
        """The report of the sessions of all reports, no session being in two of them.

        Raises:
          ValueError: a report is of another zone.
        """
        many = [cls.empty(zone), *reports]
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
        return cls(
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

    @property
    def sessions(self) -> int:
        """The number of sessions."""
        return int(self.days.counts.sums[:, 0].sum())


def measure(summaries: pa.RecordBatch, zone: str) -> Report:
    """The report of a batch.

    Args:
      summaries: with the columns of `schemas/messaging_session_summary.avsc`, or at least those that
        are named here; each session once; no time is negative.
      zone: IANA name of the time zone of days and hours.

    Raises:
      pa.ArrowInvalid: there is no such zone.
    """
    if not len(summaries):
        return Report.empty(zone)
    ended_at = summaries.column("ended_at")
    started_at = summaries.column("started_at")
    ended_us = _local_us(ended_at, zone)
    started_us = _local_us(pc.coalesce(started_at, ended_at), zone)
    weekday, hour = (started_us // DAY_US + _THURSDAY) % 7, started_us // _HOUR_US % 24
    channel_types, channel = _codes(summaries.column("channel_type"))
    counts = np.column_stack(
        [
            np.ones(len(summaries), np.int64),
            *(summaries.column(name).to_numpy() for name in SUMMED[1:4]),
            summaries.column("ends_unanswered").to_numpy(zero_copy_only=False),
        ]
    ).astype(np.int64)
    bucketed = {side: _buckets(summaries.column(f"{side}_response_average_us")) for side in SIDES}

    def grouped(group: Int64s) -> Groups:
        times = {
            side: Tally.counting(group[rows] << BUCKET_BITS | bucket)
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


def _local_us(instants: pa.Array, zone: str) -> Int64s:
    """Wall-clock time of a zone, counted in microseconds as if the clock showed UTC."""
    if zone == "UTC":
        return instants.cast(pa.int64()).to_numpy()
    return pc.local_timestamp(instants.cast(pa.timestamp("us", zone))).cast(pa.int64()).to_numpy()


def _codes(channel_type: pa.Array) -> tuple[tuple[str, ...], Int64s]:
    """The channel types in alphabetical order, and for each session the number of its type."""
    encoded = channel_type.cast(pa.string()).fill_null(NOT_STATED).dictionary_encode()
    found = encoded.dictionary.to_pylist()
    names = sorted(found)
    number = {name: index for index, name in enumerate(names)}
    codes = np.array([number[name] for name in found], np.int64)
    return tuple(names), codes[encoded.indices.to_numpy()]


def _buckets(times_us: pa.Array) -> tuple[NDArray[np.intp], Int64s]:
    """The rows that have a time, and the buckets of these times."""
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
