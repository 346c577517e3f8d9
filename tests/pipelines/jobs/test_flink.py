"""Flink's JobManager. It does not run here: a stand-in answers as its REST API does."""

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.jobs.flink import failures_of, find_jobs
from tests.support import job_manager
from tests.support.job_manager import JobManager


@pytest.fixture
def flink():
    with job_manager.running() as place:
        yield place


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_the_jobs_of_a_name(scheme, flink):
    options = PipelineOptions([f"--flink_master={scheme}{flink}"])
    url = f"http://{flink}/jobs"
    assert find_jobs(options, "nightly_4f2a") == {f"{url}/1": "RUNNING", f"{url}/3": "FAILED"}
    assert find_jobs(options, "other_one_4f2a") == {f"{url}/2": "RUNNING"}


def test_a_flink_of_the_job_server_is_not_asked():
    assert find_jobs(PipelineOptions(["--flink_master=[auto]"]), "nightly_4f2a") == {}


def test_the_error_of_a_job(flink):
    options = PipelineOptions([f"--flink_master={flink}"])
    JobManager.names = {"2": "other_one", "3": "nightly"}
    assert failures_of(options, "nightly_4f2a") == [JobManager.failures["3"]]
    assert failures_of(options, "other_one_4f2a") == []


def test_an_error_may_be_that_of_an_earlier_job_of_the_same_name(flink):
    assert failures_of(PipelineOptions([f"--flink_master={flink}"]), "nightly_4f2a") == []
