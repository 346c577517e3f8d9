"""Beam's own options."""

import pytest

from docs.generate import beam_option_names
from pipelines.command_line import UsageError, beam_names
from pipelines.jobs.beam_options import parse_options


def test_names_of_beams_options_are_those_of_the_installed_beam():
    assert beam_names() == tuple(beam_option_names().split())
    assert {"--runner", "--temp_location", "--streaming"} < set(beam_names())


def test_a_service_without_a_bucket():
    with pytest.raises(UsageError) as error:
        parse_options(["--runner", "DataflowRunner"])
    assert str(error.value).startswith(
        "--runner DataflowRunner: Pipeline has validations errors: Missing GCS path option: "
        "temp_location."
    )
