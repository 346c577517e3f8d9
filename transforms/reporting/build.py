"""The transform that makes a report of the summaries of sessions: `BuildReport`."""

import dataclasses
from collections.abc import Iterable

import apache_beam as beam
from apache_beam.typehints.decorators import no_annotations

# Imported to register the coder.
from transforms.plumbing import coders  # noqa: F401
from transforms.reporting.measures import Report, measure


# Beam sets attributes and hashes.
@dataclasses.dataclass(eq=False)
class BuildReport(beam.PTransform):
    """Makes a report of each batch of summaries and adds the reports up.

    Takes a bounded PCollection of `pa.RecordBatch`, schema `messaging_session_summary`, each session
    once; gives one `Report`, also where there are no batches. The batches stay where they are: only
    reports travel, and a report is as large as a histogram for each day, hour of the week and channel
    type.

    Attributes:
      zone: IANA name of the time zone of days and hours.
    """

    zone: str = "UTC"

    @no_annotations
    def expand(self, summaries: beam.PCollection) -> beam.PCollection:
        """Applies the transform to summaries."""
        return (
            summaries
            | "Measure" >> beam.Map(measure, self.zone).with_output_types(Report)
            | "Merge" >> beam.CombineGlobally(_Merge(self.zone)).with_output_types(Report)
        )


class _Merge(beam.CombineFn):
    """Adds up reports, some at a time."""

    _MOST = 16

    def __init__(self, zone: str):
        self._zone = zone

    def create_accumulator(self) -> list[Report]:
        return [Report.empty(self._zone)]

    def add_input(self, mutable_accumulator: list[Report], element: Report) -> list[Report]:
        return self._compacted([*mutable_accumulator, element])

    def merge_accumulators(self, accumulators: Iterable[list[Report]]) -> list[Report]:
        return [Report.merge((one for many in accumulators for one in many), self._zone)]

    def compact(self, accumulator: list[Report]) -> list[Report]:
        return [Report.merge(accumulator, self._zone)]

    def extract_output(self, accumulator: list[Report]) -> Report:
        return Report.merge(accumulator, self._zone)

    def _compacted(self, reports: list[Report]) -> list[Report]:
        return self.compact(reports) if len(reports) > self._MOST else reports
