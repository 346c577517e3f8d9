"""How many records each policy reproduces. Pure; no Beam."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas import metric_types
from transforms.batches import MAX_VALUE, SALESFORCE_RECORDS, Counts, kind_of
from transforms.folding.messages import is_late
from transforms.folding.metrics import METRICS
from transforms.folding.shard import Shard, order_shard
from transforms.folding.turns import Folded, Int64s, fold
from transforms.plumbing.runs import run_edges
from transforms.policy import SWITCHES, Policy, policies, switches_changed

COMPARED, EXACT, WITHIN_1_S = range(3)

DIFFERENCES = pa.schema(
    [
        pa.field("session_id", pa.string(), nullable=False),
        pa.field("metric_type", pa.string(), nullable=False),
        pa.field("salesforce_value", pa.int64(), nullable=False),
        pa.field("computed_value", pa.int64(), nullable=False),
        pa.field("messages", pa.int64(), nullable=False),
    ]
)
"""One row for each record that is not reproduced; `messages` are those of the session that count."""

# A second too many is little in a time; a count that is off by one is wrong.
_TOLERANCES = [1 if name.endswith("Time") else 0 for name in metric_types()]


class ComparedRecords(NamedTuple):
    """The records of a shard's sessions that can be compared, each once, sorted by type and session.

    Attributes:
      session: shape (records,), the number of the session.
      value: shape (records,), Salesforce's.
      edges: shape (types + 1,), where the records of each type begin.
    """

    session: NDArray[np.intp]
    value: Int64s
    edges: list[int]


def calibrate_shard(batches: Sequence[pa.RecordBatch], policy: Policy) -> tuple[Int64s, Counts]:
    """Counts, for each combination of the switches, the records of a shard that it reproduces.

    Args:
      batches: of schema `RECORDS`, or as for `order_shard`; all that there are of the shard, in any
        order.
      policy: which sessions; nothing else of it is used.

    Returns:
      An array of shape (policies, types, 3), in the order of `policies` and `metric_types()`: how many
      records were compared, are the same, and are at most a second off (counts: the same); and
      counts that tell each row's fate.
    """
    counts: Counts = {}
    shard, records = _gather(batches, policy, counts)
    agreement = np.zeros((len(policies(policy)), len(METRICS), 3), np.int64)
    folds = itertools.groupby(
        enumerate(policies(policy)), lambda one: dataclasses.replace(one[1], rounding="floor")
    )
    for of_fold, alike in folds:
        folded = _fold(shard, of_fold)
        for number, one in alike:
            for metric, rows, computed in _computed(folded, shard, records, one):
                off = np.abs(computed - records.value[rows])
                close = np.count_nonzero(off <= _TOLERANCES[metric])
                agreement[number, metric] = len(off), np.count_nonzero(off == 0), close
    return agreement, counts


def differences_of_shard(batches: Sequence[pa.RecordBatch], policy: Policy) -> pa.RecordBatch:
    """The records of a shard that a policy does not reproduce.

    Args:
      batches: as for `calibrate_shard`.
      policy: the rules, and which sessions.

    Returns:
      Rows of schema `DIFFERENCES`.
    """
    shard, records = _gather(batches, policy, {})
    folded = _fold(shard, policy)
    messages = np.bincount(folded.messages.session, minlength=len(shard.sessions))
    found = []
    for metric, rows, computed in _computed(folded, shard, records, policy):
        theirs, session = records.value[rows], records.session[rows]
        differ = np.flatnonzero(computed != theirs)
        session = session.take(differ)
        columns = [
            shard.sessions.column("session_id").take(pa.array(session)).cast(pa.string()),
            pa.array([metric_types()[metric]] * len(differ), pa.string()),
            *map(pa.array, (theirs.take(differ), computed.take(differ), messages.take(session))),
        ]
        found.append(pa.RecordBatch.from_arrays(columns, schema=DIFFERENCES))
    table = pa.Table.from_batches(found, DIFFERENCES).combine_chunks()
    return (table.to_batches() or [pa.RecordBatch.from_pylist([], DIFFERENCES)])[0]


def _gather(
    batches: Sequence[pa.RecordBatch], policy: Policy, counts: Counts
) -> tuple[Shard, ComparedRecords]:
    """What there is to fold in a shard, and to compare it with."""
    of_records = [batch for batch in batches if kind_of(batch) == "records"]
    shard = order_shard(batches, policy, counts)
    known = [
        batch.column("session_id").unique().cast(pa.string())
        for batch in batches
        if kind_of(batch) == "sessions"
    ]
    ids = pa.chunked_array(known, pa.string())
    records = match_records(of_records, shard.sessions, ids, counts)
    told = len(np.unique(records.session))
    fates = {
        "messages_counted": len(shard.messages.session),
        "sessions_compared": told,
        "sessions_without_records": len(shard.sessions) - told,
    }
    counts.update({name: number for name, number in fates.items() if number})
    return shard, records


def match_records(
    batches: Sequence[pa.RecordBatch],
    sessions: pa.RecordBatch,
    known: pa.ChunkedArray,
    counts: Counts,
) -> ComparedRecords:
    """Finds the session of each record, and drops what can't be compared.

    Args:
      batches: of schema `RECORDS`, in any order.
      sessions: those that get records, schema `SESSIONS`, each id once.
      known: the ids of all sessions.
      counts: the fate of the records is added to it.
    """
    table = pa.Table.from_batches(batches, SALESFORCE_RECORDS).unify_dictionaries()
    encoded = table["session_id"].combine_chunks()
    ids, codes = encoded.dictionary, encoded.indices.to_numpy()
    number = pc.index_in(ids, sessions.column("session_id").cast(pa.string())).fill_null(-1)
    session = number.to_numpy().take(codes).astype(np.intp)
    unknown = ~pc.is_in(ids, known).to_numpy(zero_copy_only=False).take(codes)
    metric, value = table["metric_type"].to_numpy(), table["value"].to_numpy()

    kept = np.flatnonzero(session >= 0)
    order = kept[np.lexsort((value[kept], session[kept], metric[kept]))]
    session, metric, value = session[order], metric[order], value[order]
    # Runs of records of one type and session; within a run by value.
    edges = run_edges(metric, session)
    first, size = edges[:-1], np.diff(edges)
    agree = value[first] == value[edges[1:] - 1]
    first, stated = first[agree], np.ones(np.count_nonzero(agree), bool)
    for place, one in enumerate(METRICS.values()):
        if one.needs:
            there = sessions.column(f"{one.needs}_us").is_valid().to_numpy(zero_copy_only=False)
            stated &= (metric[first] != place) | there[session[first]]
    fates = {
        "records_of_unknown_session": np.count_nonzero(unknown),
        "records_of_session_not_reported": np.count_nonzero(~unknown) - len(kept),
        "records_contradictory": size[~agree].sum(),
        "records_duplicate": (size[agree] - 1).sum(),
        "records_not_computed": np.count_nonzero(~stated),
        "records_compared": np.count_nonzero(stated),
    }
    for name, fate in fates.items():
        if fate:
            counts[name] = counts.get(name, 0) + int(fate)
    compared = first[stated]
    of_type = np.searchsorted(metric[compared], np.arange(len(METRICS) + 1)).tolist()
    return ComparedRecords(session[compared], value[compared], of_type)


def _fold(shard: Shard, policy: Policy) -> Folded:
    messages = shard.messages
    if policy.late_messages == "exclude":
        messages = messages.only(~is_late(messages, shard.sessions))
    return fold(messages, len(shard.sessions), policy)


def _computed(
    folded: Folded, shard: Shard, records: ComparedRecords, policy: Policy
) -> Iterator[tuple[int, slice, Int64s]]:
    """Of each type that there are records of: its place, which records, and our values for them."""
    pairs = itertools.pairwise(records.edges)
    for place, (metric, (start, end)) in enumerate(zip(METRICS.values(), pairs, strict=True)):
        if start < end:
            rows = slice(start, end)
            values = metric.values(folded, shard.sessions, policy).take(records.session[rows])
            yield place, rows, np.minimum(values, MAX_VALUE)


class Standing(NamedTuple):
    """How well a policy does.

    Attributes:
      rank: from 1; one that reproduces as many records has the same.
      policy: the rules.
      agreement: shape (types, 3), as `calibrate_shard` counts.
    """

    rank: int
    policy: Policy
    agreement: Int64s


def standings(agreement: Int64s, base: Policy) -> list[Standing]:
    """The policies, best first: most records the same, then most within a second.

    Of those that tie the one comes first that has the most defaults.
    """
    totals = agreement.sum(axis=1)
    scores = [(int(-exact), int(-close)) for _, exact, close in totals]
    every = policies(base)
    order = sorted(range(len(every)), key=lambda i: (scores[i], len(switches_changed(every[i])), i))
    ranks = {score: rank for rank, score in reversed(list(enumerate(sorted(scores), 1)))}
    return [Standing(ranks[scores[i]], every[i], agreement[i]) for i in order]


def open_switches(ranked: Sequence[Standing]) -> dict[str, list[str]]:
    """The switches in which the policies at the top differ, with the values that these have."""
    top = [standing.policy for standing in ranked if standing.rank == 1]
    found = {
        switch: [value for value in values if any(getattr(p, switch) == value for p in top)]
        for switch, values in SWITCHES.items()
    }
    return {switch: values for switch, values in found.items() if len(values) > 1}
