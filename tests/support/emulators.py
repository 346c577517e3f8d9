"""Emulators of Cloud Storage and BigQuery, for tests that run the real clients against them.

    def test_something(storage, bigquery): ...

`storage` is a `Storage`: an empty bucket that exists for one test. `bigquery` is a `BigQuery`: an empty
dataset that exists for one test. While a test uses one of them, the clients in this process find the
emulators through environment variables that the clients document; nothing is patched. Another process
gets `.env`, a whole environment, to find them. A test may use both: a load job finds the files of the
storage emulator under their gs:// paths. A test is skipped where a package is missing.

Each process that runs tests starts emulators of its own, on free ports, at the first test that uses them.

The credentials belong to an invented service account; their key is made once a session.

Two things of the real store are added to the storage emulator: `ifGenerationMatch`, and buckets with
restricted access. A request for a bucket named `forbidden` is refused for want of permission (403), a
request for a bucket named `expired` for credentials that are no longer valid (401).

`EMULATORS_PYTHON` names the Python that has the BigQuery emulator, if another one than the Python of the
tests has it. The emulator differs from BigQuery: load jobs ignore `timePartitioning` (make the table
first) and match Avro fields by position, not by name; `table$YYYYMMDD` and REQUIRED are unknown; queries
ignore `destinationTable`; a list of datasets cannot be filtered.
"""

import contextlib
import http.server
import itertools
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, NamedTuple

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROJECT = "test-project"
FORBIDDEN, EXPIRED = "forbidden", "expired"
_BIGQUERY_PYTHON = os.environ.get("EMULATORS_PYTHON", sys.executable)
_BIGQUERY_EMULATOR = (
    "bqemulator==1.4.0",
    # The last version whose extensions pip can install.
    "duckdb==1.5.5",
    "duckdb-extension-avro==1.5.5",
    "duckdb-extension-spatial==1.5.5",
    "numpy<2.5",
)
_START_S = 60
_NUMBERS = itertools.count(1)

# A program for the Python that has the BigQuery emulator: copies DuckDB's extensions to the folder in
# which DuckDB looks for them.
_PLACE_EXTENSIONS = """
import glob, os, shutil, sys, duckdb, duckdb_extension_avro as some
ask = lambda sql: duckdb.sql(sql).fetchone()[0]
version = ask("select library_version from pragma_version()")
folder = os.path.join(sys.argv[1], ".duckdb", "extensions", version, ask("pragma platform"))
os.makedirs(folder)
site = os.path.dirname(os.path.dirname(some.__file__))
found = glob.glob(f"{site}/duckdb_extension_*/extensions/{version}/**/*.duckdb_extension", recursive=True)
for path in found:
    shutil.copy(path, folder)
if len(found) < 2:
    sys.exit(f"no extensions for DuckDB {version}")
"""


class Storage(NamedTuple):
    """A bucket of the Cloud Storage emulator.

    Attributes:
      url: endpoint of the emulator.
      bucket: name of an empty bucket.
      env: environment for another process that uses the emulator.
    """

    url: str
    bucket: str
    env: dict[str, str]

    def path(self, name: str = "") -> str:
        """The gs:// path of an object."""
        return f"gs://{self.bucket}/{name}".rstrip("/")

    def put(self, name: str, content: bytes) -> str:
        """Makes an object; returns its gs:// path."""
        query = urllib.parse.urlencode({"uploadType": "resumable", "name": name})
        headers = {"Authorization": "Bearer test"}
        begin = urllib.request.Request(
            f"{self.url}/upload/storage/v1/b/{self.bucket}/o?{query}", b"", headers, method="POST"
        )
        with urllib.request.urlopen(begin, timeout=60) as answer:
            _call(answer.headers["Location"], "PUT", content)
        return self.path(name)

    def list(self, prefix: str = "") -> dict[str, dict[str, Any]]:
        """The resources of the objects, by name."""
        query = urllib.parse.urlencode({"prefix": prefix})
        found = _call(f"{self.url}/storage/v1/b/{self.bucket}/o?{query}")
        return {item["name"]: item for item in json.loads(found).get("items", ())}

    def get(self, name: str) -> bytes:
        """The content of an object."""
        name = urllib.parse.quote(name, safe="")
        return _call(f"{self.url}/download/storage/v1/b/{self.bucket}/o/{name}?alt=media")

    def contents(self, prefix: str = "") -> dict[str, bytes]:
        """The contents of all objects, by name."""
        return {name: self.get(name) for name in self.list(prefix)}

    def delete(self, name: str) -> None:
        """Deletes an object."""
        name = urllib.parse.quote(name, safe="")
        _call(f"{self.url}/storage/v1/b/{self.bucket}/o/{name}", "DELETE")


class BigQuery(NamedTuple):
    """A dataset of the BigQuery emulator.

    Attributes:
      url: REST endpoint, the value of BIGQUERY_EMULATOR_HOST.
      grpc: host:port of the Storage Read API; no client reads a variable for this address.
      project: name of the project.
      dataset: name of an empty dataset in the project.
      env: environment for another process that uses the emulator.
    """

    url: str
    grpc: str
    project: str
    dataset: str
    env: dict[str, str]


def _call(url: str, method: str = "GET", body: bytes | None = None, kind: str = "") -> bytes:
    headers = {"Authorization": "Bearer test", "Content-Type": kind or "application/octet-stream"}
    request = urllib.request.Request(url, body, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def _call_json(url: str, body: dict[str, Any]) -> None:
    _call(url, "POST", json.dumps(body).encode(), "application/json")


def _need(python: str, *requirements: str) -> None:
    """Skips the test if a Python lacks one of these requirements, which are written as for pip."""
    code = """
import importlib.metadata, re, sys
for requirement in sys.argv[1:]:
    try:
        importlib.metadata.distribution(re.match(r"[\\w-]+", requirement)[0])
    except importlib.metadata.PackageNotFoundError:
        print(requirement)
"""
    answer = subprocess.run(
        [python, "-c", code, *requirements], stdout=subprocess.PIPE, text=True, check=True
    )
    if missing := answer.stdout.split():
        words = " ".join(f"'{one}'" for one in missing)
        pytest.skip(f"not installed: {', '.join(missing)}; {python} -m pip install {words}")


@contextlib.contextmanager
def _running(
    command: list[str], log: pathlib.Path, answers: Callable[[], object], env: dict[str, str]
) -> Iterator[None]:
    """Runs a process in the background; yields at its first answer, and ends the process afterwards."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out)
    try:
        end = time.monotonic() + _START_S
        while True:
            with contextlib.suppress(OSError):
                answers()
                break
            said = log.read_text(errors="replace")[-2000:]
            assert process.poll() is None, f"{command} has ended: {said}"
            assert time.monotonic() < end, f"{command} does not answer: {said}"
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class _Tokens(http.server.BaseHTTPRequestHandler):
    """A token endpoint that answers every request with a token."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        token = {"access_token": "test", "expires_in": 3600, "token_type": "Bearer"}
        body = json.dumps(token).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="session")
def google_credentials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """The key file of a service account; this process issues the tokens."""
    _need(sys.executable, "google-cloud-storage", "google-cloud-bigquery", "cryptography")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Tokens) as server:
        account = {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "1",
            "private_key": key.decode(),
            "client_email": f"test@{PROJECT}.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": f"http://127.0.0.1:{server.server_port}/token",
        }
        path = tmp_path_factory.mktemp("credentials") / "key.json"
        path.write_text(json.dumps(account))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield path
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def storage_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The endpoint of a storage emulator, and the directory with the buckets."""
    _need(sys.executable, "gcp-storage-emulator")
    top = tmp_path_factory.mktemp("storage")
    url = f"http://127.0.0.1:{_free_port()}"
    command = [sys.executable, "-m", "tests.support.emulators", url, str(top)]
    with _running(command, top / "log", lambda: _call(f"{url}/"), dict(os.environ)):
        yield url, str(top / ".cloudstorage")


@pytest.fixture(scope="session")
def bigquery_emulator(
    storage_emulator: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """The REST endpoint of a BigQuery emulator, and host:port of the Storage Read API."""
    if sys.version_info < (3, 11) and sys.executable == _BIGQUERY_PYTHON:
        pytest.skip("the BigQuery emulator needs Python 3.11; name one with EMULATORS_PYTHON")
    _need(_BIGQUERY_PYTHON, *_BIGQUERY_EMULATOR)
    home = tmp_path_factory.mktemp("bigquery")
    placed = subprocess.run(
        [_BIGQUERY_PYTHON, "-c", _PLACE_EXTENSIONS, home],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if placed.returncode:
        words = " ".join(f"'{one}'" for one in _BIGQUERY_EMULATOR)
        pytest.skip(f"{placed.stderr.strip()}; {_BIGQUERY_PYTHON} -m pip install {words}")
    rest, grpc = _free_port(), _free_port()
    url = f"http://127.0.0.1:{rest}"
    command = [_BIGQUERY_PYTHON, "-m", "bqemulator", "start", "--ephemeral"]
    command += ["--rest-port", str(rest), "--grpc-port", str(grpc), "--project", PROJECT]
    env = os.environ | {"HOME": str(home), "BQEMU_GCS_LOCAL_ROOT": storage_emulator[1]}
    env.pop("PYTHONPATH", None)
    datasets = f"{url}/bigquery/v2/projects/{PROJECT}/datasets"
    with _running(command, home / "log", lambda: _call(datasets), env):
        yield url, f"127.0.0.1:{grpc}"


@pytest.fixture
def google_environment(
    request: pytest.FixtureRequest,
    google_credentials: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, str]:
    """The environment in which the clients find the emulators, set while the test runs."""
    settings = {
        "GOOGLE_APPLICATION_CREDENTIALS": str(google_credentials),
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "NO_GCE_CHECK": "true",
        "STORAGE_EMULATOR_HOST": request.getfixturevalue("storage_emulator")[0],
    }
    if "bigquery" in request.fixturenames:
        settings["BIGQUERY_EMULATOR_HOST"] = request.getfixturevalue("bigquery_emulator")[0]
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return dict(os.environ)


@pytest.fixture
def storage(
    storage_emulator: tuple[str, str], google_environment: dict[str, str]
) -> Iterator[Storage]:
    """An empty bucket."""
    bucket = Storage(storage_emulator[0], f"bucket-{next(_NUMBERS)}", google_environment)
    _call_json(f"{bucket.url}/storage/v1/b?project={PROJECT}", {"name": bucket.bucket})
    yield bucket
    for name in bucket.list():
        bucket.delete(name)


@pytest.fixture
def bigquery(
    bigquery_emulator: tuple[str, str], google_environment: dict[str, str]
) -> Iterator[BigQuery]:
    """An empty dataset."""
    url, grpc = bigquery_emulator
    dataset = BigQuery(url, grpc, PROJECT, f"dataset_{next(_NUMBERS)}", google_environment)
    datasets = f"{url}/bigquery/v2/projects/{PROJECT}/datasets"
    reference = {"projectId": PROJECT, "datasetId": dataset.dataset}
    _call_json(datasets, {"datasetReference": reference})
    yield dataset
    _call(f"{datasets}/{dataset.dataset}?deleteContents=true", "DELETE")


# From here on: the program of the storage emulator, which runs in a process of its own.


def _generation(storage: Any, bucket: str, name: str) -> int:
    from gcp_storage_emulator.exceptions import NotFound

    try:
        return int(storage.get_file_obj(bucket, name)["generation"])
    except NotFound:
        return 0


def _object_name(request: Any) -> str:
    params = request.params
    if name := params.get("dest_object_id") or params.get("object_id"):
        return name
    if "name" in request.query:
        return request.query["name"][0]
    return request.data.get("meta", request.data)["name"]


def _refusal(request: Any, storage: Any) -> tuple[int, str] | None:
    """The status and message of a refusal by the real store that the emulator lacks, or None."""
    bucket = request.params.get("bucket_name")
    if bucket == FORBIDDEN:
        who = f"test@{PROJECT}.iam.gserviceaccount.com"
        return 403, f"{who} does not have storage.objects access to the bucket {bucket}."
    if bucket == EXPIRED:
        return 401, "Invalid Credentials"
    if bucket and bucket not in storage.buckets:
        return 404, "The specified bucket does not exist."
    wanted = request.query.get("ifGenerationMatch")
    if wanted and "upload_id" not in request.query:
        bucket = request.params.get("dest_bucket_name", bucket)
        if _generation(storage, bucket, _object_name(request)) != int(wanted[0]):
            return 412, "At least one of the pre-conditions you specified did not hold."
    return None


def _serve_storage(url: str, top: str) -> None:
    from gcp_storage_emulator import server

    def guarded(handler: Callable[..., None]) -> Callable[..., None]:
        def handle(request: Any, response: Any, storage: Any) -> None:
            if refusal := _refusal(request, storage):
                code, message = refusal
                response.status = HTTPStatus(code)
                response.json({"error": {"code": code, "message": message}})
            else:
                handler(request, response, storage)

        return handle

    server.HANDLERS = tuple(
        (pattern, {method: guarded(handler) for method, handler in handlers.items()})
        for pattern, handlers in server.HANDLERS
    )
    place = urllib.parse.urlsplit(url)
    server.create_server(place.hostname, place.port, data_dir=top).run()


if __name__ == "__main__":
    _serve_storage(*sys.argv[1:])
