"""Dataflow without Google Cloud: an endpoint that takes jobs, and the Python of a worker.

`Dataflow` takes jobs on loopback; their files go to the storage emulator. The Python that `make_worker`
makes has a package of the project, what the package requires, and nothing else.
"""

import http.server
import importlib.metadata
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import threading
import venv
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.support.cli import ROOT
from tests.support.emulators import PROJECT, Storage

FOLDER = ROOT / "dataflow"
METADATA = json.loads((FOLDER / "metadata.json").read_text("utf-8"))
PARAMETERS = {parameter["name"]: parameter for parameter in METADATA["parameters"]}
DOCKERFILE = (FOLDER / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
IMAGE = "europe-west1-docker.pkg.dev/test-project/images/session-metrics:1"

HAS_CLOUD = importlib.util.find_spec("google.cloud.dataflow_v1beta3") is not None
needs_cloud = pytest.mark.skipif(
    not HAS_CLOUD,
    reason=f"not installed: apache-beam[gcp]; {sys.executable} -m pip install '.[gcp]'",
)


class Dataflow:
    """An endpoint that takes jobs as Dataflow's REST endpoint does, and runs none.

    Attributes:
      url: address of the endpoint.
      jobs: bodies of the requests for a new job.
      states: answers to the questions for the job's state, in order; the last one repeats.
      on_submission: is called when it has a new job.
      cancels: whether it cancels a job that it is asked to cancel.
      errors: error messages of the job.
      counters: user counters of the job, as (namespace, name, step, value).
      polled: set as soon as a client has asked for the job's state.
    """

    def __init__(self) -> None:
        self.url = ""
        self.jobs: list[dict[str, Any]] = []
        self.states = ["JOB_STATE_DONE"]
        self.on_submission: Callable[[], object] = lambda: None
        self.cancels = True
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
            self.on_submission()
            job = {key: self.jobs[-1][key] for key in ("name", "clientRequestId")}
            return {"id": "job-1", **job, "currentState": "JOB_STATE_RUNNING"}
        if method == "PUT":
            if not self.cancels:
                return None
            # As a number: JOB_STATE_CANCELLED.
            assert json.loads(body) == {"requestedState": 5}
            self.states = ["JOB_STATE_CANCELLING", "JOB_STATE_CANCELLED"]
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

        do_POST = do_PUT = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service.url = f"http://localhost:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield service
        server.shutdown()
        thread.join()


def copied() -> list[str]:
    """The paths of the project that the Dockerfile copies."""
    lines = re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
    return [name for line in lines for name in line.split()[:-1]]


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the project that the image's Dockerfile copies to build the package, and no others."""
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
    """The options of a job on Dataflow, without the input."""
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
    """The files that a request for a new job lists for the workers, by name."""
    packages = request["environment"]["workerPools"][0]["packages"]
    prefix = f"storage.googleapis.com/{storage.bucket}/"
    return {
        package["name"]: storage.get(package["location"].removeprefix(prefix))
        for package in packages
    }


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
    """A Python with a package, the package's requirements and a worker's Beam, and nothing else."""
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
    """The package of the checkout, built as `--setup_file` builds one."""
    directory = tmp_path_factory.mktemp("package")
    command = [sys.executable, "-m", "build", "--no-isolation", "--sdist", "--outdir"]
    subprocess.run([*command, str(directory), str(checkout)], check=True, capture_output=True)
    (made,) = directory.iterdir()
    return made


@pytest.fixture(scope="session")
def worker(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a worker that has the package of the checkout."""
    return make_worker(tmp_path_factory.mktemp("worker") / "venv", package)
