"""The Flex Template: its parameters, its launcher and its image."""

import json
import re
import subprocess
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from pipelines import option_values, session_metrics
from tests.support.cli import ROOT
from tests.support.cloud import contents
from tests.support.dataflow import (
    DOCKERFILE,
    FOLDER,
    IMAGE,
    METADATA,
    PARAMETERS,
    copied,
    needs_cloud,
)
from tests.support.emulators import PROJECT
from transforms.bigquery import parse_table


@needs_cloud
def test_launcher_of_the_template_gets_the_job(storage, inputs, worker, tmp_path):
    """Dataflow's launcher adds options of its own after the template's parameters."""
    _, messages, _, _, sessions = inputs
    launch = storage.path("staging/template_launches/job_object")
    # Of a job that was launched before, and is at work.
    storage.put(".out.staging/_run", b"one")
    storage.put(".out.staging/one/metrics-00000-of-00001.avro", b"staged")
    args = [f"--messages={messages}", f"--sessions={sessions}", f"--output={storage.path('out')}"]
    args += f"""--max_reject_ratio=0.05 --partition_by=day --closed_from=2024-10-01
        --closed_until=2024-10-08 --sdk_container_image={IMAGE} --job_name=nightly
        --machine_type=n2-standard-2 --network=default --project={PROJECT} --region=europe-west1
        --runner=DataflowRunner --service_account_email=worker@{PROJECT}.iam.gserviceaccount.com
        --staging_location={storage.path("staging")} --subnetwork=regions/europe-west1/subnetworks/one
        --temp_location={storage.path("tmp")} --template_location={launch}""".split()
    run = subprocess.run(
        [worker, FOLDER / "main.py", *args],
        cwd=tmp_path,
        env=storage.env | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    said = f"session-metrics: the job is described in {launch}; nothing runs yet"
    assert run.stderr.splitlines()[-1] == said
    assert sorted(contents(storage, ".out.staging")) == ["_run", "one/metrics-00000-of-00001.avro"]
    job = json.loads(storage.get("staging/template_launches/job_object"))
    assert job["name"] == "nightly"
    (pool,) = job["environment"]["workerPools"]
    assert [one["containerImage"] for one in pool["sdkHarnessContainerImages"]] == [IMAGE]
    names = {one["name"] for one in pool.get("packages", ())}
    assert names <= {"submission_environment_dependencies.txt"}  # the image has the package


def option(name: str) -> Any:
    """The option of the job that a parameter sets."""
    (found,) = (action for action in session_metrics.parser()._actions if action.dest == name)
    return found


def test_template_has_every_option():
    names = {action.dest for action in session_metrics.parser()._actions} - {"help", "verbose"}
    assert set(PARAMETERS) == names | {"sdk_container_image"}
    required = {name for name, parameter in PARAMETERS.items() if not parameter["isOptional"]}
    assert required == {"messages", "sessions", "sdk_container_image"}


@pytest.mark.parametrize("name", sorted(set(PARAMETERS) - {"sdk_container_image"}))
def test_parameter_is_like_its_option(name):
    parameter, action = PARAMETERS[name], option(name)
    assert parameter["label"] and parameter["helpText"].endswith(".")
    default = None if action.default in (None, []) else str(action.default)
    assert parameter.get("defaultValue") == default
    choices = [choice["value"] for choice in parameter.get("enumOptions", ())]
    assert choices == list(action.choices or ())
    assert parameter["paramType"] == ("ENUM" if choices else "TEXT")


# For each parameter without choices: values that it takes, and values that it refuses.
_COLUMNS = (
    ["sent_at=meta.time", "sent_at=meta.time,sender_role=From__c"],
    ["sent_at", "sent_at=", "=x", "sent_at=a,", "sent_at=a,b", ""],
)
_FILES = (
    ["gs://b-1/entries/*.parquet", "gs://my.bucket/a b/**", "gs://bucket/x.csv.gz"],
    ["", "entries/*.csv", "/entries/*.csv", "gs://bucket", "gs://bucket/entries/", "s3://b/x.csv"],
)
_TABLE = (
    ["my-project:metrics.records", "example.com:project.metrics.records_2024", "p.d.t-1"],
    ["", "records", "metrics.records", "p:d", "p:d.t$20241002", "p:d.t u", "gs://bucket/x.csv"],
)
_INPUT = (
    [*_FILES[0], *(f"bigquery:{table}" for table in _TABLE[0])],
    [*_FILES[1], *_TABLE[1][:-1]],
)
_FOLDER = (
    ["gs://bucket/metrics", "gs://bucket/metrics/", "gs://bucket/a/b"],
    ["", "metrics", "gs://bucket", "gs:/bucket/metrics", "gs://Bucket/metrics", "gs://bucket/a\nb"],
)
_WHEN = (
    ["2024-10-02", "2024-10-02T12:00:00Z", "2024-10-02T12:00:00.123+0100", "2024-10-02T12:00:00"],
    ["", "yesterday", "2024-13-02", "2024-10-32", "2024-10-2", "2024-10-02 12:00", "20241002"],
)
_TIME_ZONE = (
    ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "EST5EDT"],
    ["", "Europe Berlin", "/Berlin", "Europe/", "Europe//Berlin", "+01:00"],
)
_WORDS = (
    ["sender_role:customer=EndUser,rep=Agent", "entry_type:chat:in=Text,sender_role:b=AI Agent"],
    ["", "sender_role", "rep=Agent", "sender_role:=Agent", "sender_role:-=Agent", "a:b=c,", "a:b="],
)
VALUES = {
    "message_values": _WORDS,
    "session_values": (["status:closed=Ended,4=Error"], _WORDS[1]),
    "messages": _INPUT,
    "sessions": _INPUT,
    "channels": _INPUT,
    "participants": _INPUT,
    "summary": _FILES,
    "report": _FILES,
    "report_time_zone": _TIME_ZONE,
    "message_time_zone": _TIME_ZONE,
    "session_time_zone": _TIME_ZONE,
    "session_summary": (
        [*_FOLDER[0], "my-project:metrics.sessions", "example.com:project.metrics.records_2024"],
        [*_FOLDER[1], "project.metrics.sessions", "p:d", "p:d.t u"],
    ),
    "metrics": (
        ["AgentMessageCount", "ServiceRepFirstResponseTime,AgentMessageCount"],
        ["", "agentMessageCount", "AgentMessageCount,", "AgentMessageCount AgentMessageCount"],
    ),
    "output": _FOLDER,
    "output_table": _TABLE,
    "rejects": _FOLDER,
    "message_columns": _COLUMNS,
    "session_columns": (["status=State"], _COLUMNS[1]),
    "participant_columns": (["sender_role=Role__c,participant_id=Who"], _COLUMNS[1]),
    "channel_columns": (["channel_id=@file"], _COLUMNS[1]),
    "session_lead": (["0", "60", "999999999"], ["", "-1", "1.5", "60 s", "1000000000"]),
    "max_reject_ratio": (
        ["0", "0.01", ".5", "1", "1.0"],
        ["", "-1", "1.01", "2", "1%", "0,5", "."],
    ),
    "closed_from": _WHEN,
    "closed_until": _WHEN,
    "created_from": _WHEN,
    "created_until": _WHEN,
    "sdk_container_image": (
        [IMAGE, f"{IMAGE}@sha256:{'0' * 64}", "localhost:5000/a/session-metrics"],
        ["", "session metrics:1", "docker.io/", "a/b:", "a/b@sha256:0", "https://a/b"],
    ),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_values_of_a_parameter(name):
    """The regular expression takes the values that the job takes, and refuses the others."""
    (regex,) = PARAMETERS[name]["regexes"]
    assert regex.startswith("^") and regex.endswith("$")
    choices = [choice["value"] for choice in PARAMETERS[name].get("enumOptions", ())]
    good, bad = VALUES.get(name, (choices, ["", "x", *(f"{choice}x" for choice in choices)]))
    assert [value for value in good if not re.fullmatch(regex, value)] == []
    assert [value for value in bad if re.fullmatch(regex, value)] == []
    if name == "sdk_container_image":
        return
    for value in good:
        args = session_metrics.parser().parse_args([f"--{name}={value}"])
        assert getattr(args, name) not in (None, [])
        if name.endswith("_columns"):
            assert option_values.columns_of([value], name.removesuffix("_columns"))
        if name.endswith("_values"):
            assert option_values.words_of([value], name.removesuffix("_values"))
        if name == "output_table":
            assert parse_table(value)


@needs_cloud
def test_metadata_is_what_dataflow_reads():
    from google.cloud import dataflow_v1beta3

    text = json.dumps(METADATA)
    metadata = dataflow_v1beta3.TemplateMetadata.from_json(text)  # an unknown field is an error
    assert [parameter.name for parameter in metadata.parameters] == list(PARAMETERS)


def test_image_has_what_it_copies():
    ignore = (FOLDER / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert "*" in ignore
    let_in = {line[1:] for line in ignore if line.startswith("!")}
    assert let_in == set(copied())
    assert [name for name in copied() if not (ROOT / name).exists()] == []


def test_image_runs_the_launcher_and_the_worker():
    beam_release = re.search(r"^ARG BEAM=(.*)$", DOCKERFILE, re.MULTILINE)[1]
    setup = (ROOT / "setup.py").read_text("utf-8")
    required = re.search(r'^BEAM = "(.*)"$', setup, re.MULTILINE)[1]
    assert Requirement(f"apache-beam{required}").specifier.contains(beam_release)
    variables = dict(re.findall(r"^ENV (\w+)=(.*)$", DOCKERFILE, re.MULTILINE))
    workdir = re.findall(r"^WORKDIR (.*)$", DOCKERFILE, re.MULTILINE)[-1]
    assert "COPY dataflow/main.py main.py" in DOCKERFILE
    assert variables == {"FLEX_TEMPLATE_PYTHON_PY_FILE": f"{workdir}/main.py"}
    assert DOCKERFILE.rstrip().endswith('ENTRYPOINT ["/opt/apache/beam/boot"]')
    builds = yaml.safe_load((FOLDER / "cloudbuild.yaml").read_text("utf-8"))
    (step,) = builds["steps"]
    assert step["args"][:3] == ["build", "--file", "dataflow/Dockerfile"]
