"""What is submitted to Dataflow and from where, and how the end of the job is reported."""

import json
import signal
import subprocess
import sys

import apache_beam as beam
import pytest
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as beam_api

from pipelines import session_metrics
from pipelines.command_line import USAGE
from pipelines.jobs.session_metrics import build
from tests.support.cli import ROOT, RUNNER, make_job, output_bytes
from tests.support.dataflow import (
    IMAGE,
    make_worker,
    needs_cloud,
    on_dataflow,
    staged,
    submit,
)
from tests.support.emulators import PROJECT
from tests.support.jobs import replaced
from transforms.folding.checks import with_median
from transforms.publishing.object_stores import SUCCESS
from transforms.publishing.staging import hidden_of


@needs_cloud
def test_dry_run_builds_the_job_and_touches_nothing(storage, inputs, checkout, monkeypatch, capfd):
    storage.put(".out.staging/of-another-run", b"")
    assert hidden_of(storage.path("out")) == storage.path(".out.staging")
    before = storage.contents()
    args = [*inputs, *on_dataflow(storage), "--setup_file", "./setup.py", "--dry_run=True"]
    monkeypatch.chdir(checkout)
    assert session_metrics.main(args) == 0
    said = "session-metrics: dry run: the job is well-formed; nothing was submitted"
    assert capfd.readouterr().err.splitlines()[-1] == said
    assert storage.contents() == before


@needs_cloud
def test_graph_for_dataflow(storage, inputs, checkout):
    setup = str(checkout / "setup.py")
    argv = [*inputs, *on_dataflow(storage), "--setup_file", setup, "--dry_run=True"]
    job = make_job([*argv, "--sdk_container_image", IMAGE])
    pipeline = beam.Pipeline(options=job.beam_options)
    build(pipeline, job)
    graph = pipeline.run().job.proto_pipeline

    (environment,) = graph.components.environments.values()
    assert environment.urn == common_urns.environments.DOCKER.urn
    image = beam_api.DockerPayload.FromString(environment.payload).container_image
    assert image == IMAGE
    role = beam_api.ArtifactStagingToRolePayload
    names = {role.FromString(one.role_payload).staged_name for one in environment.dependencies}
    # No main session.
    assert names == {"workflow.tar.gz", "submission_environment_dependencies.txt"}

    tops = {one.unique_name.split("/")[0] for one in graph.components.transforms.values()}
    tops = {top for top in tops if top and not top.startswith("ref_")}  # the root
    assert tops == {"ReadMessagesAndSessions", "ComputeSessionMetrics", "WriteMetrics"}
    grouped = [
        one.unique_name
        for one in graph.components.transforms.values()
        if one.spec.urn == common_urns.primitives.GROUP_BY_KEY.urn
    ]
    assert "ComputeSessionMetrics/Group" in grouped


@needs_cloud
def test_job_is_submitted_and_what_is_staged_gives_the_same_bytes(
    storage, inputs, checkout, dataflow, tmp_path
):
    dataflow.states = ["JOB_STATE_RUNNING", "JOB_STATE_DONE"]
    dataflow.counters = [
        ("session_metrics", "messages_read", "read", 568),
        ("session_metrics", "records_written", "publish", 246),
        ("session_metrics.stages", "read_busy_ms", "read", 11_000),
        ("session_metrics.stages", "read_busy_ms", "read channels", 4_000),
        ("session_metrics.stages", "read_rows", "read", 575),
    ]
    args = [*inputs, *on_dataflow(storage), "--setup_file", "./setup.py"]
    args += f"""--dataflow_endpoint {dataflow.url} --summary {storage.path("summary.json")}
        --report {storage.path("page.html")}
        --machine_type n1-standard-4 --max_num_workers 10 --labels team=care
        --service_account_email worker@{PROJECT}.iam.gserviceaccount.com""".split()
    taken = []
    dataflow.on_submission = lambda: taken.append(storage.get(".out.staging/_run"))
    run = submit(sys.executable, checkout, storage, *args)
    assert run.returncode == 0, run.stderr
    said = [" ".join(line.split()) for line in run.stderr.splitlines()]
    at = said.index("messages read 568")
    assert said[at:] == [
        "messages read 568",
        "records written 246",
        "stage rows MB thread seconds",
        "read 575 0 15.0",
        f"published in {storage.path('out')}",
        f"the page is {storage.path('page.html')}",
    ]

    (request,) = dataflow.jobs
    assert request["name"] == "nightly"
    assert request["labels"] == {"team": "care"}
    environment = request["environment"]
    assert environment["serviceAccountEmail"] == f"worker@{PROJECT}.iam.gserviceaccount.com"
    assert environment["version"]["job_type"] == "FNAPI_BATCH"
    assert "use_runner_v2" in environment["experiments"]
    (pool,) = environment["workerPools"]
    assert pool["machineType"] == "n1-standard-4"
    assert pool["autoscalingSettings"]["maxNumWorkers"] == 10
    sent = environment["sdkPipelineOptions"]["options"]
    assert sent["job_name"] == "nightly" and sent["region"] == "europe-west1"
    assert sent["save_main_session"] is False

    files = staged(storage, request)
    names = {"workflow.tar.gz", "submission_environment_dependencies.txt", "pipeline.pb"}
    assert set(files) | {"pipeline.pb"} == names
    assert not storage.contents("out")  # nothing has run

    # The command has ended, as a job has; what runs now is the job.
    storage.put(".out.staging/_run", taken[0])
    (tmp_path / "workflow.tar.gz").write_bytes(files["workflow.tar.gz"])
    python = make_worker(tmp_path / "worker", tmp_path / "workflow.tar.gz")
    replay = subprocess.run(
        [python, ROOT / "tests" / "support" / "replay.py", sent["pipelineUrl"]],
        cwd=tmp_path,
        env=storage.env | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert replay.returncode == 0, replay.stderr
    here = tmp_path / "here"
    argv = [*inputs, "--max_reject_ratio", "0.05", "--output", str(here), RUNNER]
    argv += ["--summary", str(tmp_path / "summary.json"), "--report", str(tmp_path / "page.html")]
    assert session_metrics.main(argv) == 0
    published = {name.removeprefix("out/"): data for name, data in storage.contents("out/").items()}
    assert published.pop(SUCCESS) == b""
    assert published == output_bytes(here)
    assert storage.get("summary.json") == (tmp_path / "summary.json").read_bytes()
    assert storage.get("page.html") == (tmp_path / "page.html").read_bytes()
    counted = with_median(json.loads(replay.stdout))
    assert counted == json.loads(storage.get("summary.json"))


@needs_cloud
def test_installed_package_submits_from_anywhere(
    storage, inputs, worker, package, dataflow, tmp_path
):
    """The job starts in a folder without a checkout, takes the package as built, and does not wait."""
    args = [*inputs, *on_dataflow(storage, "--dataflow_endpoint", dataflow.url)]
    args += ["--extra_package", str(package), "--no_wait_until_finish"]
    run = submit(worker, tmp_path, storage, *args)
    assert run.returncode == 0, run.stderr
    said = f"session-metrics: submitted; the job publishes in {storage.path('out')} when it ends"
    assert run.stderr.splitlines()[-1] == said
    (request,) = dataflow.jobs
    files = staged(storage, request)
    assert files[package.name] == package.read_bytes()
    assert files["extra_packages.txt"].decode().split() == [package.name]


@needs_cloud
def test_job_that_fails_says_why_in_one_line(storage, inputs, dataflow, capfd):
    why = (
        "8 of 568 messages rejected, more than max_reject_ratio 0.01 allows: sent_at_invalid 8 "
        "(gs://bucket/m.csv, row 9: noon); nothing was published"
    )
    dataflow.states = ["JOB_STATE_FAILED"]
    dataflow.errors = [
        "Workflow failed. Causes: S07:WriteMetrics/Publish failed.",
        f"Traceback (most recent call last):\n  File ...\ntransforms.errors.TooManyRejectsError: "
        f"{why} [while running 'WriteMetrics/Publish-ptransform-42']\n",
    ]
    args = [*inputs, *on_dataflow(storage, "--dataflow_endpoint", dataflow.url)]
    assert session_metrics.main(args) == 1
    assert capfd.readouterr().err.splitlines()[-1] == f"session-metrics: {why}"


@needs_cloud
@pytest.mark.parametrize("cancels", [True, False])
def test_interrupted(cancels, storage, inputs, checkout, dataflow):
    """The job is cancelled. Where Dataflow refuses that, what the job has staged stays where it is."""
    dataflow.states, dataflow.cancels = ["JOB_STATE_RUNNING"], cancels
    args = [*inputs, *on_dataflow(storage, "--dataflow_endpoint", dataflow.url)]
    with subprocess.Popen(
        [sys.executable, "-m", "pipelines.session_metrics", *args],
        cwd=checkout,
        env=storage.env | {"PYTHONPATH": ""},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert dataflow.polled.wait(60)
            storage.put(".out.staging/of-the-job", b"")
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 1
    runs_on = (
        "no longer waiting (KeyboardInterrupt), but the job was not ended and still publishes in "
        f"{storage.path('out')}; cancel it where it runs"
    )
    cancelled = "interrupted; the job ended as CANCELLED; nothing was published"
    said = cancelled if cancels else runs_on
    assert err.splitlines()[-1] == f"session-metrics: {said}"
    assert (".out.staging/of-the-job" in storage.list()) == (not cancels)


BAD_USAGE = {
    "messages": ("--messages m.csv", "--messages m.csv: Dataflow has no files of this machine"),
    "output": ("--output out", "--output out: Dataflow has no files of this machine"),
    "rejects": ("--rejects bad", "--rejects bad: Dataflow has no files of this machine"),
    "summary": ("--summary s.json", "--summary s.json: Dataflow has no files of this machine"),
    "report": ("--report p.html", "--report p.html: Dataflow has no files of this machine"),
    "no project": ("--project=", "Invalid Project ID ()"),
}


@needs_cloud
@pytest.mark.parametrize(("more", "said"), BAD_USAGE.values(), ids=BAD_USAGE)
def test_bad_usage(more, said, storage, inputs, capfd):
    argv = replaced([*inputs, *on_dataflow(storage), "--dry_run=True"], more.split())
    capfd.readouterr()
    assert session_metrics.main(argv) == USAGE
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("session-metrics: ") and said in last
