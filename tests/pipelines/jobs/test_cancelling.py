"""Ends a job that runs elsewhere. Neither service runs here: a stand-in answers as their APIs do."""

import http.server
import json
import threading
import types

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.jobs import cancelling
from pipelines.jobs.cancelling import cancel


class Flink(http.server.BaseHTTPRequestHandler):
    """Two jobs, one of which goes through its states once it is cancelled."""

    jobs: dict[str, list[str]]
    names: dict[str, str]

    def do_GET(self):
        if self.path == "/jobs/overview":
            jobs = [
                {"jid": jid, "name": name, "state": self.jobs[jid][0]}
                for jid, name in self.names.items()
            ]
            self.answer({"jobs": jobs})
        else:
            states = self.jobs[self.path.rpartition("/")[2]]
            self.answer({"state": states.pop(0) if len(states) > 1 else states[0]})

    def do_PATCH(self):
        place, _, query = self.path.partition("?")
        assert query == "mode=cancel"
        self.jobs[place.rpartition("/")[2]][:] = ["CANCELLING", "CANCELLING", "CANCELED"]
        self.answer({})

    def answer(self, value):
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def flink(monkeypatch):
    monkeypatch.setattr(cancelling, "_EACH_S", 0.0)
    Flink.jobs = {"1": ["RUNNING"], "2": ["RUNNING"], "3": ["FAILED"]}
    Flink.names = {"1": "nightly", "2": "other_one", "3": "nightly"}
    with http.server.HTTPServer(("127.0.0.1", 0), Flink) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def result_of(job_id):
    return types.SimpleNamespace(_job_id=job_id)


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_a_job_on_flink_is_cancelled_and_waited_for(scheme, flink):
    options = PipelineOptions(["--runner=FlinkRunner", f"--flink_master={scheme}{flink}"])
    assert cancel(options, result_of("nightly_4f2a")) == "CANCELED"
    assert Flink.jobs == {"1": ["CANCELED"], "2": ["RUNNING"], "3": ["FAILED"]}


def test_a_job_that_is_not_found_for_sure_is_not_cancelled(flink):
    options = PipelineOptions(["--runner=PortableRunner", f"--flink_master={flink}"])
    Flink.names["2"] = "nightly"
    for job_id in ("nightly_4f2a", "weekly_4f2a"):
        assert cancel(options, result_of(job_id)) is None
    assert Flink.jobs["1"] == Flink.jobs["2"] == ["RUNNING"]
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
