"""Which policy Salesforce's own records follow: `CalibratePolicy`, `WriteCalibration`.

Every combination of the switches is computed of the same messages, and compared with the records, value
by value. Only how often they agree leaves a shard, and then where the best policy differs.
"""

import dataclasses
import functools
import io
import itertools
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, get_args

import apache_beam as beam
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.typehints.decorators import no_annotations
from numpy.typing import NDArray

from schemas import metric_types
from transforms import fold, publishing
from transforms.batches import MAX_VALUE, RECORDS, Counts, Reject
from transforms.coders import RecordBatchCoder
from transforms.computing import group_by_shard
from transforms.counting import COUNTS, add_counts
from transforms.errors import InputError
from transforms.fold import Int64s
from transforms.metrics import METRICS
from transforms.overlapping import Done, Job, OverlappingDoFn
from transforms.policy import Bots, LateMessages, Policy, ResponseFrom, Rounding
from transforms.reading import Batches
from transforms.shards import Shard, is_late, order_shard
from transforms.writing import REJECTS_NAME, check_rejects, encode_rejects

SWITCHES: dict[str, tuple[Any, ...]] = {
    "response_from": get_args(ResponseFrom),
    "bots": get_args(Bots),
    "late_messages": get_args(LateMessages),
    "rounding": get_args(Rounding),
}
"""The values of each switch, its default first; what no fold depends on comes last."""

COMPARED, EXACT, WITHIN_1_S = range(3)
REPORT, DIFFERENCES_NAME = "calibration.json", "differences-00000-of-00001.csv"

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
_OWNED = re.compile(
    r"calibration\.json|differences-\d{5}-of-\d{5}\.csv|rejects/rejects-\d{5}-of-\d{5}\.jsonl"
)


def policies(base: Policy) -> list[Policy]:
    """Every combination of the switches, for the sessions that `base` asks for; the defaults first."""
    return [
        dataclasses.replace(base, **dict(zip(SWITCHES, values, strict=True)))
        for values in itertools.product(*SWITCHES.values())
    ]


class Records(NamedTuple):
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
) -> tuple[Shard, Records]:
    """What there is to fold in a shard, and to compare it with."""
    of_records = [batch for batch in batches if "metric_type" in batch.schema.names]
    others = [batch for batch in batches if "metric_type" not in batch.schema.names]
    shard = order_shard(others, policy, counts)
    known = [
        batch.column("session_id").unique().cast(pa.string())
        for batch in others
        if "message_id" not in batch.schema.names
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
) -> Records:
    """Finds the session of each record, and drops what can't be compared.

    Args:
      batches: of schema `RECORDS`, in any order.
      sessions: those that get records, schema `SESSIONS`, each id once.
      known: the ids of all sessions.
      counts: the fate of the records is added to it.
    """
    table = pa.Table.from_batches(batches, RECORDS).unify_dictionaries()
    encoded = table["session_id"].combine_chunks()
    ids, codes = encoded.dictionary, encoded.indices.to_numpy()
    number = pc.index_in(ids, sessions.column("session_id").cast(pa.string())).fill_null(-1)
    session = number.to_numpy().take(codes).astype(np.intp)
    unknown = ~pc.is_in(ids, known).to_numpy(zero_copy_only=False).take(codes)
    metric, value = table["metric_type"].to_numpy(), table["value"].to_numpy()

    kept = np.flatnonzero(session >= 0)
    order = kept[np.lexsort((value[kept], session[kept], metric[kept]))]
    session, metric, value = session[order], metric[order], value[order]
    starts = np.ones(len(order) + 1, bool)  # of the records of one session and type, by value
    starts[1:-1] = (metric[1:] != metric[:-1]) | (session[1:] != session[:-1])
    edges = np.flatnonzero(starts)
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
    return Records(session[compared], value[compared], of_type)


def _fold(shard: Shard, policy: Policy) -> fold.Folded:
    messages = shard.messages
    if policy.late_messages == "exclude":
        messages = messages.only(~is_late(messages, shard.sessions))
    return fold.fold(messages, len(shard.sessions), policy)


def _computed(
    folded: fold.Folded, shard: Shard, records: Records, policy: Policy
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
    order = sorted(range(len(every)), key=lambda i: (scores[i], len(_not_default(every[i])), i))
    ranks = {score: rank for rank, score in reversed(list(enumerate(sorted(scores), 1)))}
    return [Standing(ranks[scores[i]], every[i], agreement[i]) for i in order]


def _not_default(policy: Policy) -> list[str]:
    return [name for name, values in SWITCHES.items() if getattr(policy, name) != values[0]]


def open_switches(ranked: Sequence[Standing]) -> dict[str, list[str]]:
    """The switches in which the policies at the top differ, with the values that these have."""
    top = [standing.policy for standing in ranked if standing.rank == 1]
    found = {
        switch: [value for value in values if any(getattr(p, switch) == value for p in top)]
        for switch, values in SWITCHES.items()
    }
    return {switch: values for switch, values in found.items() if len(values) > 1}


def report(agreement: Int64s, counts: Counts) -> dict[str, Any]:
    """What the comparison has come to, as JSON has it; `docs/calibration.md` describes it."""
    ranked = standings(agreement, Policy())
    names = ("compared", "exact", "within_1_s")

    def numbers(three: Int64s) -> dict[str, int]:
        return dict(zip(names, three.tolist(), strict=True))

    best = {switch: getattr(ranked[0].policy, switch) for switch in SWITCHES}
    return {
        "best": best,
        "flags": " ".join(f"--{switch} {value}" for switch, value in best.items()),
        "not_told_apart": open_switches(ranked),
        "policies": [
            {
                "rank": one.rank,
                **{switch: getattr(one.policy, switch) for switch in SWITCHES},
                **numbers(one.agreement.sum(axis=0)),
                "types": {
                    name: numbers(three)
                    for name, three in zip(metric_types(), one.agreement, strict=True)
                    if three[COMPARED]
                },
            }
            for one in ranked
        ],
        "counts": counts,
    }


class Calibration(NamedTuple):
    """What the comparison has found.

    Attributes:
      agreement: PCollection of one array, as `calibrate_shard` counts, of all shards.
      differences: PCollection of `pa.RecordBatch`, schema `DIFFERENCES`, of the best policy.
      rejects: PCollection of `Reject`, of all inputs.
      counts: PCollection of dicts, to be added up.
    """

    agreement: beam.PCollection
    differences: beam.PCollection
    rejects: beam.PCollection
    counts: beam.PCollection


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class CalibratePolicy(beam.PTransform):
    """Compares Salesforce's own records with what each policy makes of the messages.

    Takes the `Batches` of `ReadForCalibration`. Bounded; rows may arrive in any order and any number of
    batches, and the result is the same.

    Attributes:
      policy: which sessions; nothing else of it is used.
    """

    policy: Policy = Policy()  # noqa: RUF009  (immutable)

    @no_annotations
    def expand(self, inputs: Batches) -> Calibration:
        """Applies the transform to messages, sessions and records."""
        shards = group_by_shard(inputs)
        calibrated = shards | "CalibrateShards" >> beam.ParDo(
            _CalibrateShard(), self.policy
        ).with_outputs(COUNTS, main="agreement")
        agreement = calibrated.agreement | "AddAgreement" >> beam.CombineGlobally(_add)
        best = agreement | "BestPolicy" >> beam.Map(_best, self.policy)
        # The shards once more, not the messages: which policy is the best, all shards must have told.
        differences = shards | "DifferencesOfShards" >> beam.ParDo(
            _DifferencesOfShard(), beam.pvalue.AsSingleton(best)
        ).with_output_types(pa.RecordBatch)
        counts = (inputs.counts, calibrated[COUNTS]) | "AllCounts" >> beam.Flatten()
        return Calibration(agreement, differences, inputs.rejects, counts)


def _add(agreements: Iterable[Int64s]) -> Int64s:
    nothing = np.zeros((len(policies(Policy())), len(METRICS), 3), np.int64)
    return functools.reduce(np.add, agreements, nothing)


def _best(agreement: Int64s, policy: Policy) -> tuple[Policy, bool]:
    """The best policy, and whether it reproduces every record."""
    first = standings(agreement, policy)[0]
    compared, exact, _ = first.agreement.sum(axis=0)
    return first.policy, bool(compared == exact)


class _ShardDoFn(OverlappingDoFn):
    """Has the batches of a shard decoded."""

    def __init__(self) -> None:
        self._coder = RecordBatchCoder()

    def job(
        self, element: tuple[int, Iterable[bytes]], work: Callable[[list[pa.RecordBatch]], Done]
    ) -> Job:
        encoded = list(element[1])
        return lambda: work([self._coder.decode(one) for one in encoded])


class _CalibrateShard(_ShardDoFn):
    stage = "fold"

    def jobs(self, element: tuple[int, Iterable[bytes]], extra: Policy) -> Iterator[Job]:
        def work(batches: list[pa.RecordBatch]) -> Done:
            agreement, counts = calibrate_shard(batches, extra)
            rows, num_bytes = sum(map(len, batches)), sum(batch.nbytes for batch in batches)
            return Done([agreement], counts, {"rows": rows, "bytes": num_bytes, "shards": 1})

        yield self.job(element, work)


class _DifferencesOfShard(_ShardDoFn):
    stage = "differ"

    def jobs(
        self, element: tuple[int, Iterable[bytes]], extra: tuple[Policy, bool]
    ) -> Iterator[Job]:
        policy, all_exact = extra
        if all_exact:
            return

        def work(batches: list[pa.RecordBatch]) -> Done:
            found = differences_of_shard(batches, policy)
            return Done([found] if len(found) else [], {}, {"rows": len(found)})

        yield self.job(element, work)


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class WriteCalibration(beam.PTransform):
    """Writes the report, the differences and the rejects, and publishes them all or not at all.

    Takes `Calibration`. The same inputs give the same bytes.

    Attributes:
      output: directory, of any Beam filesystem.
      max_reject_ratio: with more than this share of an input's rows rejected nothing is published.

    Raises (in the pipeline):
      TooManyRejectsError: see `max_reject_ratio`.
      InputError: there is no record to compare with.
      OutputError: the filesystem says no.
    """

    output: str
    max_reject_ratio: float = 0.01

    @no_annotations
    def expand(self, calibration: Calibration) -> beam.PCollection:
        """Applies the transform; gives the counts of the whole run, once published."""
        pipeline = calibration.counts.pipeline
        none = pipeline | "NoDifferences" >> beam.Create([b""], reshuffle=False)
        none |= "NoBatch" >> beam.Map(_no_differences).with_output_types(pa.RecordBatch)
        differences = (
            (calibration.differences, none)
            | "AllDifferences" >> beam.Flatten()
            | "KeyDifferences"
            >> beam.Map(lambda batch: (0, batch)).with_output_types(tuple[int, pa.RecordBatch])
            | "GroupDifferences" >> beam.GroupByKey()
            | "WriteDifferences" >> beam.MapTuple(self._write_differences)
        )
        rejects = (
            calibration.rejects
            | "KeyRejects" >> beam.Map(lambda reject: (0, reject))
            | "GroupRejects" >> beam.GroupByKey()
            | "WriteRejects" >> beam.MapTuple(self._write_rejects)
        )
        counts = calibration.counts | "AddCounts" >> beam.CombineGlobally(add_counts)
        # On its own, so that publishing can be tried again.
        reported = counts | "WriteReport" >> beam.Map(
            self._write_report, beam.pvalue.AsSingleton(calibration.agreement)
        )
        return (
            pipeline
            | "Once" >> beam.Create([None], reshuffle=False)
            | "Publish"
            >> beam.Map(
                self._publish,
                beam.pvalue.AsIter(differences),
                beam.pvalue.AsIter(rejects),
                beam.pvalue.AsIter(reported),
                beam.pvalue.AsSingleton(counts),
            )
        )

    def _write(self, name: str, content: bytes) -> str:
        publishing.write_file(f"{publishing.staging_of(self.output)}/{name}", [content])
        return name

    def _write_differences(self, _: int, batches: Iterable[pa.RecordBatch]) -> str:
        table = pa.Table.from_batches(list(batches), DIFFERENCES)
        keys = [("session_id", "ascending"), ("metric_type", "ascending")]
        file = io.BytesIO()
        pl.DataFrame(table.take(pc.sort_indices(table, keys))).write_csv(file)
        return self._write(DIFFERENCES_NAME, file.getvalue())

    def _write_rejects(self, _: int, rejects: Iterable[Reject]) -> str:
        return self._write(os.path.join("rejects", REJECTS_NAME), encode_rejects(rejects))

    def _write_report(self, counts: Counts, agreement: Int64s) -> str:
        check_rejects(counts, self.max_reject_ratio)
        check_comparable(counts)
        content = json.dumps(report(agreement, counts), indent=2) + "\n"
        return self._write(REPORT, content.encode())

    def _publish(
        self,
        _: None,
        differences: Iterable[str],
        rejects: Iterable[str],
        reported: Iterable[str],
        counts: Counts,
    ) -> Counts:
        names = [*differences, *rejects, *reported]
        publishing.publish(self.output, names, lambda name: bool(_OWNED.fullmatch(name)))
        return counts


def _no_differences(_: bytes) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], DIFFERENCES)


def check_comparable(counts: Counts) -> None:
    """Raises InputError where there is no record to compare with, and says why."""
    if counts.get("records_compared"):
        return
    read = counts.get("records_read", 0)
    why = {
        "records_skipped_metric_type": "are of a type that is not known",
        "records_of_unknown_session": "are of sessions that the sessions' files do not have",
        "records_of_session_not_reported": "are of sessions that are not closed, not of an enhanced "
        "channel or out of range",
        "records_not_computed": "are of types that take columns which the sessions lack",
        "records_contradictory": "contradict each other",
    }
    found = [f"{counts[name]:,} {text}" for name, text in why.items() if counts.get(name)]
    told = f"of {read:,} records {'; '.join(found)}" if read else "the records' files have no rows"
    raise InputError(f"nothing to compare: {told}; nothing was published")
