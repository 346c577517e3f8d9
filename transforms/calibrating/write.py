"""Writes the findings, the differences and the rejects of a calibration: `WriteCalibration`."""

import dataclasses
import io
import json
import re
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.typehints.decorators import no_annotations

from schemas import metric_types
from transforms.batches import Counts
from transforms.calibrating.agreement import COMPARED, DIFFERENCES, open_switches, standings
from transforms.calibrating.calibrate import Calibration
from transforms.errors import InputError
from transforms.files import absolute
from transforms.folding.checks import with_median
from transforms.folding.turns import Int64s
from transforms.plumbing.counters import add_counts, emit_counts
from transforms.policy import SWITCHES, Policy
from transforms.publishing.publish import publish
from transforms.publishing.staging import staging_of, write_file
from transforms.publishing.take import Outputs, release, run_of
from transforms.writing.destinations import RejectsPlace, Written
from transforms.writing.refusals import check_rejects
from transforms.writing.rejects import only_counted
from transforms.writing.stage_rejects import KeepRejects, StageRejects, examples_in

FINDINGS_NAME, DIFFERENCES_NAME = "calibration.json", "differences-00000-of-00001.csv"

_OWNED = re.compile(
    r"calibration\.json|differences-\d{5}-of-\d{5}\.csv|rejects/rejects-\d{5}-of-\d{5}\.jsonl"
)


def findings(agreement: Int64s, counts: Counts) -> dict[str, Any]:
    """The findings as JSON has them; `docs/calibration.md` describes each field.

    Args:
      agreement: as `calibrate_shard` counts, of all shards.
      counts: what became of all rows.
    """
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


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class WriteCalibration(beam.PTransform):
    """Writes the findings, the differences and the rejects, and publishes them all or not at all.

    Takes `Calibration`. The same inputs give the same bytes.

    Attributes:
      output: directory, of any filesystem that Beam knows.
      max_reject_ratio: with more than this share of an input's rows rejected nothing is published.
      run: the name of the run that has prepared the output; empty if none has (`publishing.take`).

    Raises (in the pipeline):
      TooManyRejectsError: see `max_reject_ratio`.
      InputError: no record can be compared.
      OutputError: the filesystem refuses.
    """

    output: str
    max_reject_ratio: float = 0.01
    run: str = ""

    @no_annotations
    def expand(self, calibration: Calibration) -> beam.PCollection:
        """Applies the transform; gives the counts of the whole run, once published."""
        # Workers may have another working directory.
        return dataclasses.replace(self, output=absolute(self.output))._expand(calibration)

    def _expand(self, calibration: Calibration) -> beam.PCollection:
        pipeline = calibration.counts.pipeline
        outputs = Outputs([self.output])
        run = run_of(self.run, pipeline, outputs)
        none = pipeline | "NoDifferences" >> beam.Impulse()
        none |= "NoBatch" >> beam.Map(_no_differences).with_output_types(pa.RecordBatch)
        differences = (
            (calibration.differences, none)
            | "AllDifferences" >> beam.Flatten()
            | "KeyDifferences"
            >> beam.Map(lambda batch: (0, batch)).with_output_types(tuple[int, pa.RecordBatch])
            | "GroupDifferences" >> beam.GroupByKey()
            | "WriteDifferences" >> beam.Map(self._write_differences, run)
        )
        kept = calibration.rejects | "KeepRejects" >> KeepRejects()
        rejects = kept | "StageRejects" >> StageRejects(RejectsPlace.of(self.output, None), run)
        counts = (
            calibration.counts
            | "AddCounts" >> beam.CombineGlobally(add_counts)
            | "MedianOutside" >> beam.Map(with_median)
        )
        # A step of its own, so that publishing can be tried again.
        written = counts | "WriteFindings" >> beam.Map(
            self._write_findings,
            beam.pvalue.AsSingleton(calibration.agreement),
            run,
            examples_in(kept),
        )
        published = (
            pipeline
            | "Once" >> beam.Impulse()
            | "Publish"
            >> beam.Map(
                self._publish,
                beam.pvalue.AsIter(differences),
                beam.pvalue.AsIter(rejects),
                beam.pvalue.AsIter(written),
                beam.pvalue.AsSingleton(counts),
                run,
            )
        )
        release(run, published, outputs)
        return published

    def _write(self, name: str, content: bytes, run: str) -> str:
        write_file(f"{staging_of(self.output, run)}/{name}", [content])
        return name

    def _write_differences(self, grouped: tuple[int, Iterable[pa.RecordBatch]], run: str) -> str:
        table = pa.Table.from_batches(list(grouped[1]), DIFFERENCES)
        keys = [("session_id", "ascending"), ("metric_type", "ascending")]
        file = io.BytesIO()
        pl.DataFrame(table.take(pc.sort_indices(table, keys))).write_csv(file)
        return self._write(DIFFERENCES_NAME, file.getvalue(), run)

    def _write_findings(
        self, counts: Counts, agreement: Int64s, run: str, rejects: Iterable[pa.RecordBatch]
    ) -> str:
        check_rejects(counts, self.max_reject_ratio, rejects)
        check_comparable(counts)
        content = json.dumps(findings(agreement, counts), indent=2) + "\n"
        return self._write(FINDINGS_NAME, content.encode(), run)

    def _publish(
        self,
        _: bytes,
        differences: Iterable[str],
        rejects: Iterable[Written],
        written: Iterable[str],
        counts: Counts,
        run: str,
    ) -> Counts:
        staged = list(rejects)
        names = [*differences, *(name for _, name, _ in staged), *written]
        publish(self.output, names, lambda name: bool(_OWNED.fullmatch(name)), run)
        more = only_counted(counts, sum(number for _, _, number in staged))
        list(emit_counts(more))
        return add_counts([counts, more])


def _no_differences(_: bytes) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], DIFFERENCES)


def check_comparable(counts: Counts) -> None:
    """Checks that at least one record was compared.

    Raises:
      InputError: none was; the text lists why.
    """
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
    reasons = (
        f"of {read:,} records {'; '.join(found)}" if read else "the records' files have no rows"
    )
    raise InputError(f"nothing to compare: {reasons}; nothing was published")
