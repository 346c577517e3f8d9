"""Beam's own options."""

import json
import pickle
import sys

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import DebugOptions, GoogleCloudOptions, PipelineOptions

from docs.generate import beam_option_names
from pipelines.command_line import UsageError, beam_names
from pipelines.jobs import beam_options
from pipelines.jobs.beam_options import check_values, parse_options


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


NO_PROGRAM = """PROCESS takes JSON, such as '{"command": "session-metrics-worker"}'"""


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("session-metrics-worker", NO_PROGRAM),
        ("[]", NO_PROGRAM),
        ("{}", NO_PROGRAM),
        ('{"command": ""}', NO_PROGRAM),
        ('{"command": "/nowhere"}', "there is no such program on this machine"),
    ],
)
def test_workers_that_are_processes_of_no_program(config, said):
    words = ["--runner", "FnApiRunner", "--environment_type", "PROCESS", "--environment_config"]
    with pytest.raises(UsageError) as error:
        parse_options([*words, config])
    assert str(error.value) == f"--environment_config {config}: {said}"


def test_a_program_that_a_runner_on_this_machine_would_wait_for(caplog, monkeypatch):
    """The runner may be elsewhere all the same, behind a tunnel."""
    monkeypatch.setattr(beam_options, "check_endpoints", lambda options: None)
    words = ["--runner", "PortableRunner", "--environment_type", "PROCESS"]
    for endpoint in ("localhost:8073", "127.0.0.1:8073", "[::1]:8073", "prism.example:8073"):
        for command in ("/nowhere", sys.executable):
            config = json.dumps({"command": command})
            parse_options([*words, "--environment_config", config, "--job_endpoint", endpoint])
    said = (
        '--environment_config {"command": "/nowhere"}: there is no such program on this machine; '
        "if the runner is here, the job waits for ever"
    )
    assert [text for text in caplog.messages if "program" in text] == [said] * 3


def test_views_of_the_options_are_made_once_and_share_their_values():
    options = parse_options(["--runner", "FnApiRunner", "--experiments", "x"])
    view = options.view_as(DebugOptions)
    assert options.view_as(DebugOptions) is view
    view.experiments.append("y")
    assert options.view_as(DebugOptions).lookup_experiment("y")
    assert options.get_all_options(drop_default=True)["experiments"] == ["x", "y"]


def test_a_pipeline_has_options_of_its_own_that_make_each_view_once():
    options = parse_options(["--runner", "FnApiRunner", "--experiments", "x"])
    own = beam.Pipeline(options=options).options
    view = own.view_as(DebugOptions)
    assert own.view_as(DebugOptions) is view
    view.experiments.append("y")
    assert options.view_as(DebugOptions).experiments == ["x"]
    assert own.view_as(DebugOptions).lookup_experiment("y")


def test_options_are_pickled_as_beams_own_and_without_its_secrets():
    options = parse_options(["--runner", "FnApiRunner", "--impersonate_service_account", "secret"])
    assert options.view_as(GoogleCloudOptions).impersonate_service_account == "secret"
    unpickled = pickle.loads(pickle.dumps(options))
    assert type(unpickled) is PipelineOptions
    assert unpickled.view_as(GoogleCloudOptions).impersonate_service_account is None


def test_options_of_flinks_job_server():
    """They reach the server as they are; another runner has no such server."""
    words = ["--number_of_execution_retries", "3", "--object_reuse", "--streaming"]
    for runner in ("FlinkRunner", "PortableRunner"):
        check_values([*words, "--runner", runner])
    with pytest.raises(UsageError) as error:
        check_values([*words, "--runner", "FnApiRunner"])
    said = "--number_of_execution_retries is of Flink's job server; the runner is FnApiRunner"
    assert str(error.value) == said
