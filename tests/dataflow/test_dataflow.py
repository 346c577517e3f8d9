"""Dataflow without Google Cloud: what is submitted, what a worker gets, and that it runs there.

Jobs are submitted to an endpoint on loopback and to the storage emulator. What was staged is then run
by a Python that has the staged package and what that requires, and nothing else.
"""

import http.server
import importlib.metadata
import importlib.util
import json
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import venv
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
import yaml
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as beam_api
from packaging.requirements import Requirement

from pipelines import options, session_metrics
from pipelines.running import USAGE
from tests.support.cli import ROOT, RUNNER, output_bytes
from tests.support.emulators import PROJECT, Storage
from transforms.bigquery import parse_table
from transforms.publishing.object_stores import SUCCESS
from transforms.publishing.staging import staging_of

TEMPLATES = ROOT / "dataflow"
METADATA = json.loads((TEMPLATES / "metadata.json").read_text("utf-8"))
PARAMETERS = {parameter["name"]: parameter for parameter in METADATA["parameters"]}
DOCKERFILE = (TEMPLATES / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
PAGE = (ROOT / "docs" / "dataflow.md").read_text("utf-8")
IMAGE = "europe-west1-docker.pkg.dev/test-project/images/session-metrics:1"

HAS_CLOUD = importlib.util.find_spec("google.cloud.dataflow_v1beta3") is not None
needs_cloud = pytest.mark.skipif(
    not HAS_CLOUD,
    reason=f"not installed: apache-beam[gcp]; {sys.executable} -m pip install '.[gcp]'",
)


# The endpoint.


class Dataflow:
    """Takes jobs as Dataflow's REST endpoint does, and runs none.

    Attributes:
      url: the endpoint.
      jobs: the bodies of the requests for a new job.
      states: what is said of the job's state, question by question; the last one again and again.
      errors: the job's error messages.
      counters: its user counters, as (namespace, name, step, value).
      polled: set when somebody has asked for a job's state.
    """

    def __init__(self) -> None:
        self.url = ""
        self.jobs: list[dict[str, Any]] = []
        self.states = ["JOB_STATE_DONE"]
        self.errors: list[str] = []
        self.counters: list[tuple[str, str, str, int]] = []
        self.polled = threading.Event()

    def answer(self, method: str, path: str, body: bytes) -> dict[str, Any] | None:
        jobs = re.fullmatch(
            rf"/v1b3/projects/{PROJECT}/locations/europe-west1/jobs(/job-1)?(/\w+)?", path
        )
        if not jobs:
            return None
        if method == "POST":
            self.jobs.append(json.loads(body))
            job = {key: self.jobs[-1][key] for key in ("name", "clientRequestId")}
            return {"id": "job-1", **job, "currentState": "JOB_STATE_RUNNING"}
        if jobs[2] == "/messages":
            texts = enumerate(self.errors)
            common = {"time": "2024-10-02T12:00:00Z", "messageImportance": "JOB_MESSAGE_ERROR"}
            return {"jobMessages": [{"id": str(i), "messageText": t, **common} for i, t in texts]}
        if jobs[2] == "/metrics":
            return {"metrics": list(self._metrics())}
        self.polled.set()
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return {"id": "job-1", "currentState": state}

    def _metrics(self) -> Iterator[dict[str, Any]]:
        for namespace, name, step, value in self.counters:
            for tentative in ({}, {"tentative": "true"}):
                context = {"namespace": namespace, "step": step, **tentative}
                yield {
                    "name": {"origin": "user", "name": name, "context": context},
                    "scalar": value,
                }


@pytest.fixture
def dataflow() -> Iterator[Dataflow]:
    service = Dataflow()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            found = service.answer(self.command, self.path.split("?")[0], sent)
            body = json.dumps(found or {}).encode()
            self.send_response(HTTPStatus.NOT_FOUND if found is None else HTTPStatus.OK)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service.url = f"http://localhost:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield service
        server.shutdown()
        thread.join()


# What is submitted, and from where.


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the image's Dockerfile takes of the project to make its package, and no more."""
    directory = tmp_path_factory.mktemp("checkout")
    for name in copied():
        if name.startswith("dataflow"):
            continue
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, directory / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, directory / name)
    return directory


@pytest.fixture
def inputs(storage: Storage) -> list[str]:
    """The example export in the bucket, as options."""
    export = ROOT / "examples" / "export"
    for path in export.rglob("*"):
        if path.is_file():
            storage.put(f"export/{path.relative_to(export).as_posix()}", path.read_bytes())
    messages = ["export/conversation_entries.csv", "export/connect_pages/*.json"]
    sessions = storage.path("export/messaging_sessions.csv")
    return ["--messages", *map(storage.path, messages), "--sessions", sessions]


def on_dataflow(storage: Storage, *more: str) -> list[str]:
    """The options of a job on Dataflow that do not concern its input."""
    words = f"""--runner DataflowRunner --project {PROJECT} --region europe-west1
        --temp_location {storage.path("tmp")} --staging_location {storage.path("staging")}
        --output {storage.path("out")} --max_reject_ratio 0.05 --job_name nightly"""
    return [*words.split(), *more]


def submit(
    python: str | Path, cwd: Path, storage: Storage, *args: str
) -> subprocess.CompletedProcess[str]:
    env = storage.env | {"PYTHONPATH": ""}
    command = [str(python), "-m", "pipelines.session_metrics", *args]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def staged(storage: Storage, request: dict[str, Any]) -> dict[str, bytes]:
    """The files that a job's request names for its workers, by name."""
    packages = request["environment"]["workerPools"][0]["packages"]
    prefix = f"storage.googleapis.com/{storage.bucket}/"
    return {
        package["name"]: storage.get(package["location"].removeprefix(prefix))
        for package in packages
    }


# A worker.


def distributions(requirements: Iterable[str]) -> dict[str, importlib.metadata.Distribution]:
    """The installed distributions that requirements ask for, directly or not."""
    found: dict[str, importlib.metadata.Distribution] = {}
    seen = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        for extra in ("", *requirement.extras):
            if (requirement.name, extra) in seen:
                continue
            seen.add((requirement.name, extra))
            one = found[requirement.name] = importlib.metadata.distribution(requirement.name)
            for more in map(Requirement, one.requires or ()):
                if more.marker is None or more.marker.evaluate({"extra": extra}):
                    waiting.append(more)
    return found


def make_worker(directory: Path, package: Path) -> Path:
    """A Python that has a package, what that requires and Beam as a worker has it; nothing else."""
    venv.create(directory, with_pip=False)
    (site,) = directory.glob("lib/python*/site-packages")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-index", "--no-build-isolation", "--target", str(site)]
    subprocess.run([*command, str(package)], check=True)
    (name,) = site.glob("messaging_session_metrics-*.dist-info")
    metadata = importlib.metadata.Distribution.at(name)
    own = [text for text in metadata.requires or () if "extra ==" not in text]
    worker = ["apache-beam[gcp]" if HAS_CLOUD else "apache-beam", *own]
    for one in distributions(worker).values():
        for top in {file.parts[0] for file in one.files or ()} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(one.locate_file(top))
    return directory / "bin" / "python"


@pytest.fixture(scope="session")
def package(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of a checkout, as `--setup_file` has it built."""
    directory = tmp_path_factory.mktemp("package")
    command = [sys.executable, "-m", "build", "--no-isolation", "--sdist", "--outdir"]
    subprocess.run([*command, str(directory), str(checkout)], check=True, capture_output=True)
    (made,) = directory.iterdir()
    return made


@pytest.fixture(scope="session")
def worker(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a worker that has the package of a checkout."""
    return make_worker(tmp_path_factory.mktemp("worker") / "venv", package)


IMPORT_ALL = """
import importlib, importlib.util, pkgutil
import pipelines, schemas, transforms
for top in (pipelines, schemas, transforms):
    for module in pkgutil.walk_packages(top.__path__, top.__name__ + "."):
        print(importlib.import_module(module.name).__file__)
for name in ("benchmarks", "pytest"):
    assert importlib.util.find_spec(name) is None, name
"""


def test_package_has_the_modules_and_data_and_nothing_else(package):
    with tarfile.open(package) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()} - {""}
    tops = ("pipelines", "schemas", "transforms")
    wanted = {
        path.relative_to(ROOT).as_posix()
        for top in tops
        for path in (ROOT / top).rglob("*")
        if path.suffix in (".py", ".avsc", ".json", ".css")
    }
    assert {name for name in names if name.startswith(tops) and "." in name} == wanted
    assert not [name for name in names if re.match("(tests|benchmarks|examples|dataflow)", name)]


def test_worker_imports_every_module(worker, tmp_path):
    run = subprocess.run(
        [worker, "-c", IMPORT_ALL],
        cwd=tmp_path,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    files = run.stdout.splitlines()
    assert len(files) > 20
    assert all(Path(file).is_relative_to(worker.parent.parent) for file in files)


def test_worker_computes_the_example(worker, tmp_path):
    export = ROOT / "examples" / "export"
    argv = ["--messages", f"{export}/conversation_entries.csv", f"{export}/connect_pages/*.json"]
    argv += ["--sessions", f"{export}/messaging_sessions.csv", "--max_reject_ratio", "0.05", RUNNER]
    run = subprocess.run(
        [worker, "-m", "pipelines.session_metrics", *argv, "--output", "out"],
        cwd=tmp_path,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert session_metrics.main([*argv, "--output", str(tmp_path / "here")]) == 0
    assert output_bytes(tmp_path / "out") == output_bytes(tmp_path / "here")


# Submitting.


@needs_cloud
def test_dry_run_builds_the_job_and_touches_nothing(storage, inputs, checkout):
    storage.put(".out.staging/of-another-run", b"")
    assert staging_of(storage.path("out")) == storage.path(".out.staging")
    before = storage.contents()
    args = [*inputs, *on_dataflow(storage), "--setup_file", "./setup.py", "--dry_run=True"]
    run = submit(sys.executable, checkout, storage, *args)
    assert run.returncode == 0, run.stderr
    said = "session-metrics: dry run: the job is well-formed; nothing was submitted"
    assert run.stderr.splitlines()[-1] == said
    assert storage.contents() == before


@needs_cloud
def test_graph_for_dataflow(storage, inputs, checkout):
    setup = str(checkout / "setup.py")
    argv = [*inputs, *on_dataflow(storage), "--setup_file", setup, "--dry_run=True"]
    job = session_metrics.parse([*argv, "--sdk_container_image", IMAGE])
    pipeline = beam.Pipeline(options=job.beam_options)
    session_metrics.build(pipeline, job)
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
    dataflow.states = ["JOB_STATE_PENDING", "JOB_STATE_RUNNING", "JOB_STATE_DONE"]
    dataflow.counters = [
        ("session_metrics", "messages_read", "read", 568),
        ("session_metrics", "records_written", "publish", 246),
        ("session_metrics.stages", "read_busy_ms", "read", 11_000),
        ("session_metrics.stages", "read_busy_ms", "read channels", 4_000),
    ]
    args = [*inputs, *on_dataflow(storage), "--setup_file", "./setup.py"]
    args += f"""--dataflow_endpoint {dataflow.url} --summary {storage.path("summary.json")}
        --report {storage.path("page.html")}
        --machine_type n1-standard-4 --max_num_workers 10 --labels team=care
        --service_account_email worker@{PROJECT}.iam.gserviceaccount.com""".split()
    run = submit(sys.executable, checkout, storage, *args)
    assert run.returncode == 0, run.stderr
    said = [" ".join(line.split()) for line in run.stderr.splitlines()]
    at = said.index("messages read 568")
    assert said[at:] == [
        "messages read 568",
        "records written 246",
        "stage rows MB thread seconds",
        "read 0 0 15.0",
        "key 0 0 0.0",
        "fold 0 0 0.0",
        "write 0 0 0.0",
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
    assert json.loads(replay.stdout) == json.loads(storage.get("summary.json"))


@needs_cloud
def test_installed_package_submits_from_anywhere(
    storage, inputs, worker, package, dataflow, tmp_path
):
    """From a folder without a checkout, with the package as it was built, and without waiting."""
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
def test_launcher_of_the_template_gets_the_job(storage, inputs, worker, tmp_path):
    """With the options that Dataflow's launcher gives, after those of the template's parameters."""
    _, messages, _, _, sessions = inputs
    launch = storage.path("staging/template_launches/job_object")
    args = [f"--messages={messages}", f"--sessions={sessions}", f"--output={storage.path('out')}"]
    args += f"""--max_reject_ratio=0.05 --partition_by=day --closed_from=2024-10-01
        --closed_until=2024-10-08 --sdk_container_image={IMAGE} --job_name=nightly
        --machine_type=n2-standard-2 --network=default --project={PROJECT} --region=europe-west1
        --runner=DataflowRunner --service_account_email=worker@{PROJECT}.iam.gserviceaccount.com
        --staging_location={storage.path("staging")} --subnetwork=regions/europe-west1/subnetworks/one
        --temp_location={storage.path("tmp")} --template_location={launch}""".split()
    run = subprocess.run(
        [worker, TEMPLATES / "main.py", *args],
        cwd=tmp_path,
        env=storage.env | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    said = f"session-metrics: the job is described in {launch}; nothing runs yet"
    assert run.stderr.splitlines()[-1] == said
    job = json.loads(storage.get("staging/template_launches/job_object"))
    assert job["name"] == "nightly"
    (pool,) = job["environment"]["workerPools"]
    assert [one["containerImage"] for one in pool["sdkHarnessContainerImages"]] == [IMAGE]
    names = {one["name"] for one in pool.get("packages", ())}
    assert names <= {"submission_environment_dependencies.txt"}  # the image has the package


@needs_cloud
def test_job_that_fails_says_why_in_one_line(storage, inputs, checkout, dataflow):
    why = (
        "8 of 568 messages rejected (sent_at_invalid 8), more than max_reject_ratio 0.01 allows; "
        "nothing was published"
    )
    dataflow.states = ["JOB_STATE_FAILED"]
    dataflow.errors = [
        "Workflow failed. Causes: S07:WriteMetrics/Publish failed.",
        f"Traceback (most recent call last):\n  File ...\ntransforms.errors.TooManyRejectsError: "
        f"{why} [while running 'WriteMetrics/Publish-ptransform-42']\n",
    ]
    args = [*inputs, *on_dataflow(storage, "--dataflow_endpoint", dataflow.url)]
    run = submit(sys.executable, checkout, storage, *args)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == f"session-metrics: {why}"


@needs_cloud
def test_interrupted_while_the_job_runs_on(storage, inputs, checkout, dataflow):
    """What the job has staged is left to it."""
    dataflow.states = ["JOB_STATE_RUNNING"]
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
    assert err.splitlines()[-1] == (
        "session-metrics: no longer waiting (KeyboardInterrupt), but the job was not ended and still "
        f"publishes in {storage.path('out')}; cancel it where it runs"
    )
    assert ".out.staging/of-the-job" in storage.list()


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
    argv = [*inputs, *on_dataflow(storage), "--dry_run=True", *more.split()]
    capfd.readouterr()
    assert session_metrics.main(argv) == USAGE
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("session-metrics: ") and said in last


# The template.


def copied() -> list[str]:
    """The paths that the Dockerfile takes of the project."""
    lines = re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
    return [name for line in lines for name in line.split()[:-1]]


def option(name: str) -> Any:
    """The option of the job that a parameter is for."""
    (found,) = (action for action in session_metrics._parser()._actions if action.dest == name)
    return found


def test_template_has_every_option():
    names = {action.dest for action in session_metrics._parser()._actions} - {"help"}
    assert set(PARAMETERS) == names | {"sdk_container_image"}
    required = {name for name, parameter in PARAMETERS.items() if not parameter["isOptional"]}
    assert required == {"messages", "sessions", "sdk_container_image"}


@pytest.mark.parametrize("name", set(PARAMETERS) - {"sdk_container_image"})
def test_parameter_is_like_its_option(name):
    parameter, action = PARAMETERS[name], option(name)
    assert parameter["label"] and parameter["helpText"].endswith(".")
    default = None if action.default in (None, []) else str(action.default)
    assert parameter.get("defaultValue") == default
    choices = [choice["value"] for choice in parameter.get("enumOptions", ())]
    assert choices == list(action.choices or ())
    assert parameter["paramType"] == ("ENUM" if choices else "TEXT")


# Of each parameter with no choices: values that it takes, and values that it does not.
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
VALUES = {
    "messages": _INPUT,
    "sessions": _INPUT,
    "channels": _INPUT,
    "summary": _FILES,
    "report": _FILES,
    "report_time_zone": (
        ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "EST5EDT"],
        ["", "Europe Berlin", "/Berlin", "Europe/", "Europe//Berlin", "+01:00"],
    ),
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
    """Its regular expression takes what the job takes, and refuses what the job would refuse."""
    (regex,) = PARAMETERS[name]["regexes"]
    assert regex.startswith("^") and regex.endswith("$")
    choices = [choice["value"] for choice in PARAMETERS[name].get("enumOptions", ())]
    good, bad = VALUES.get(name, (choices, ["", "x", *(f"{choice}x" for choice in choices)]))
    assert [value for value in good if not re.fullmatch(regex, value)] == []
    assert [value for value in bad if re.fullmatch(regex, value)] == []
    if name == "sdk_container_image":
        return
    for value in good:
        args = session_metrics._parser().parse_args([f"--{name}={value}"])
        assert getattr(args, name) not in (None, [])
        if name.endswith("_columns"):
            assert options.columns_of(value, name.removesuffix("_columns"))
        if name == "output_table":
            assert parse_table(value)


@needs_cloud
def test_metadata_is_what_dataflow_reads():
    from google.cloud import dataflow_v1beta3

    text = json.dumps(METADATA)
    metadata = dataflow_v1beta3.TemplateMetadata.from_json(text)  # an unknown field is an error
    assert [parameter.name for parameter in metadata.parameters] == list(PARAMETERS)


def test_image_has_what_it_copies():
    ignore = (TEMPLATES / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
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
    builds = yaml.safe_load((TEMPLATES / "cloudbuild.yaml").read_text("utf-8"))
    (step,) = builds["steps"]
    assert step["args"][:3] == ["build", "--file", "dataflow/Dockerfile"]


# The page.


def blocks(language: str) -> list[str]:
    """The code of the page in a language, with its shell variables filled in."""
    found = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return [block.replace("\\\n", " ") for block in found]


def filled(text: str) -> str:
    """A command of the page with values for its variables."""
    values = dict(re.findall(r"^([A-Z]+)=(\S+)", blocks("sh")[0], re.MULTILINE))
    for _ in range(3):  # one may be made of others
        text = re.sub(r"\$\{?([A-Z]+)\}?", lambda m: values[m[1]], text)
    return text


def test_commands_of_the_page_are_understood():
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    commands = [
        re.sub("[\"']", "", filled(line)).split()
        for line in lines
        if re.match("python -m pipelines.session_metrics|session-metrics", line)
    ]
    assert len(commands) >= 2
    for words in commands:
        words = words[3:] if words[0] == "python" else words[1:]
        args, rest = session_metrics._parser().parse_known_args(words)
        assert [path[:15] for path in (*args.messages, *args.sessions)] == ["gs://my-bucket/"] * 2
        assert args.output == "gs://my-bucket/metrics"
        options.check_beam_options(rest, session_metrics._parser())


def check_parameters(found: dict[str, str]) -> None:
    for name, value in found.items():
        if "${" not in value and "{{" not in value:
            assert re.fullmatch(PARAMETERS[name]["regexes"][0], value), (name, value)
    assert set(found) <= set(PARAMETERS)
    assert {name for name, one in PARAMETERS.items() if not one["isOptional"]} <= set(found)


def test_parameters_of_the_page_are_the_templates():
    runs = [line for b in blocks("sh") for line in b.splitlines() if "flex-template run" in line]
    assert runs
    for line in runs:
        pairs = re.findall(r"--parameters[ =](\S+?)=(\S+)", re.sub("[\"']", "", filled(line)))
        check_parameters(dict(pairs))
    (workflow,) = blocks("yaml")
    launch = yaml.safe_load(filled(workflow))
    steps = {name: step for one in launch["main"]["steps"] for name, step in one.items()}
    check_parameters(steps["launch"]["args"]["body"]["launchParameter"]["parameters"])
    (dag,) = blocks("python")
    compile(dag, "dag", "exec")
    parameters = re.search(r'"parameters": (\{.*?\n +\})', dag, re.DOTALL)[1]
    check_parameters(eval(filled(parameters)))


def test_page_lists_every_counter(tmp_path):
    export = ROOT / "examples" / "export"
    words = f"""--messages {export}/conversation_entries.csv {export}/connect_pages/*.json
        --sessions {export}/messaging_sessions.csv --max_reject_ratio 0.05 --output {tmp_path}/out
        {RUNNER}"""
    job = session_metrics.parse(words.split())
    pipeline = beam.Pipeline(options=job.beam_options)
    session_metrics.build(pipeline, job)
    result = pipeline.run()
    result.wait_until_finish()
    keys = [one.key.metric for one in result.metrics().query()["counters"]]
    used = {
        (key.namespace, re.sub("_rejected_.*", "_rejected_<reason>", key.name))
        for key in keys
        if key.namespace.startswith("session_metrics")
    }
    listed = {
        (namespace, name)
        for namespace, table in re.findall(r"In `(session_metrics[.\w]*)`:\n\n((?:\|.*\n)+)", PAGE)
        for row in table.splitlines()
        for name in re.findall(r"`([a-z_<>]+)`", row.split("|")[1])
    }
    assert used - listed == set()
    assert {namespace for namespace, _ in listed} == {"session_metrics", "session_metrics.stages"}
