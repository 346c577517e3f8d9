"""The package that a worker gets: complete, nothing else in it, and the same bytes from it."""

import re
import subprocess
import tarfile
from pathlib import Path

from pipelines import session_metrics
from tests.support.cli import ROOT, RUNNER, output_bytes

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
        if path.suffix in (".py", ".avsc", ".json", ".txt", ".css", ".html")
        or path.name == "py.typed"
    }
    assert {name for name in names if name.startswith(tops) and "." in name} == wanted
    assert not [name for name in names if re.match("(tests|benchmarks|examples|dataflow)", name)]


def output_of(worker: Path, directory: Path, *words: str) -> str:
    """Runs a worker's Python in a directory, with nothing of this process; returns its stdout."""
    run = subprocess.run(
        [worker, *words],
        cwd=directory,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_worker_imports_every_module(worker, tmp_path):
    files = output_of(worker, tmp_path, "-c", IMPORT_ALL).splitlines()
    assert len(files) > 20
    assert all(Path(file).is_relative_to(worker.parent.parent) for file in files)


def test_worker_computes_the_example(worker, tmp_path):
    export = ROOT / "examples" / "export"
    argv = ["--messages", f"{export}/conversation_entries.csv", f"{export}/connect_pages/*.json"]
    argv += ["--sessions", f"{export}/messaging_sessions.csv", "--max_reject_ratio", "0.05", RUNNER]
    output_of(worker, tmp_path, "-m", "pipelines.session_metrics", *argv, "--output", "out")
    assert session_metrics.main([*argv, "--output", str(tmp_path / "here")]) == 0
    assert output_bytes(tmp_path / "out") == output_bytes(tmp_path / "here")
