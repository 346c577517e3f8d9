"""Ends a job that runs elsewhere. Neither service runs here: a stand-in answers as their APIs do."""

import types

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.jobs import cancelling
from pipelines.jobs.cancelling import cancel
from tests.support import job_manager
from tests.support.job_manager import JobManager


@pytest.fixture
def flink(monkeypatch):
    monkeypatch.setattr(cancelling, "_EACH_S", 0.0)
    with job_manager.running() as place:
        yield place


def result_of(job_id):
    return types.SimpleNamespace(_job_id=job_id)


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_a_job_on_flink_is_cancelled_and_waited_for(scheme, flink):
    options = PipelineOptions(["--runner=FlinkRunner", f"--flink_master={scheme}{flink}"])
    assert cancel(options, result_of("nightly_4f2a")) == "CANCELED"
    assert JobManager.jobs == {"1": ["CANCELED"], "2": ["RUNNING"], "3": ["FAILED"]}


def test_a_job_that_is_not_found_for_sure_is_not_cancelled(flink):
    options = PipelineOptions(["--runner=PortableRunner", f"--flink_master={flink}"])
    JobManager.names["2"] = "nightly"
    for job_id in ("nightly_4f2a", "weekly_4f2a"):
        assert cancel(options, result_of(job_id)) is None
    assert JobManager.jobs["1"] == JobManager.jobs["2"] == ["RUNNING"]
    assert cancel(PipelineOptions(["--runner=PortableRunner"]), result_of("nightly_4f2a")) is None


def test_a_job_that_does_not_end(flink, monkeypatch):
    monkeypatch.setattr(cancelling, "_LONGEST_S", 0.0)
    options = PipelineOptions([f"--flink_master={flink}"])
    assert cancel(options, result_of("nightly_4f2a")) is None


def test_a_job_on_dataflow(monkeypatch):
    monkeypatch.setattr(cancelling, "_EACH_S", 0.0)
    states = iter(["RUNNING", "CANCELLING", "CANCELLED"])

    class Result:
        cancelled = False

        def cancel(self):
            self.cancelled = True

        @property
        def state(self):
            assert self.cancelled
            return next(states)

    assert cancel(PipelineOptions(["--runner=DataflowRunner"]), Result()) == "CANCELLED"
