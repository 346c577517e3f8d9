"""The transform that makes a report."""

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that

from tests.support.reports import plain
from tests.support.summaries import contact_centre
from transforms.reporting.build import BuildReport
from transforms.reporting.measures import Report, measure


@pytest.mark.parametrize("pieces", [0, 1, 40])
def test_a_pipeline_gives_one_report_of_all_batches(pieces):
    whole = contact_centre(sessions=400)
    size = -(-len(whole) // pieces) if pieces else 0
    batches = [whole.slice(i * size, size) for i in range(pieces)]
    expected = plain(
        Report.merge([measure(one, "America/New_York") for one in batches], "America/New_York")
    )

    def check(reports):
        assert [plain(report) for report in reports] == [expected]

    with beam.Pipeline("FnApiRunner") as pipeline:
        reports = pipeline | beam.Create(batches) | BuildReport("America/New_York")
        assert_that(reports, check)
