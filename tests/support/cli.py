"""The main job as a user runs it, in another process or in this one, and readers of its output."""

import csv
import datetime
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fastavro
import pyarrow.parquet as pq

from pipelines import session_metrics
from pipelines.command_line import parse_words
from pipelines.jobs import session_metrics as job
from pipelines.jobs.beam_options import parse_options

ROOT = Path(__file__).resolve().parent.parent.parent
RUNNER = "--runner=FnApiRunner"
SUFFIXES = (".avro", ".parquet", ".csv", ".jsonl")

Record = dict[str, Any]


def run_job(*args: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs the command line in `cwd`, in a process of its own."""
    command = [sys.executable, "-m", "pipelines.session_metrics", *map(str, args), RUNNER]
    return subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def make_job(words: Sequence[str]) -> job.Job:
    """Makes the job of a command line, and does not run it."""
    args, rest = parse_words(session_metrics.parser(), words, [])
    return job.make(args, parse_options(rest))


def call_main(*args: str | Path) -> int:
    """Runs the command line in this process, which is quicker; returns the exit status."""
    return session_metrics.main([*map(str, args), RUNNER])


def output_bytes(directory: Path) -> dict[str, bytes]:
    """The content of each file under a directory, by the path inside of the directory."""
    files = sorted(path for path in Path(directory).rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def read_records(directory: Path) -> list[Record]:
    """The records under an output directory, sorted by session id and type.

    CreatedDate is an aware datetime. Records from CSV lack Name and CreatedDate, which Salesforce sets.
    """
    files = sorted(p for p in Path(directory).rglob("metrics-*") if p.suffix in SUFFIXES)
    records = [record for path in files for record in _read(path)]
    return sorted(records, key=lambda r: (r["MessagingSessionId"], r["MessagingSessionMetricType"]))


def read_values(directory: Path) -> dict[str, dict[str, int]]:
    """The values under an output directory, by session id and metric type; each record occurs once."""
    values: dict[str, dict[str, int]] = {}
    for record in read_records(directory):
        of_session = values.setdefault(record["MessagingSessionId"], {})
        metric_type = record["MessagingSessionMetricType"]
        assert metric_type not in of_session, f"{metric_type} twice in {record}"
        of_session[metric_type] = record["MessagingSessionMetricValue"]
    return values


def read_rejects(directory: Path) -> list[Record]:
    """The rejects in a directory of rejects, in the order of the files."""
    files = sorted(Path(directory).glob("rejects-*.jsonl"))
    return [json.loads(line) for path in files for line in path.read_text("utf-8").splitlines()]


def _read(path: Path) -> Iterator[Record]:
    if path.suffix == ".avro":
        with path.open("rb") as file:
            yield from fastavro.reader(file)
    elif path.suffix == ".parquet":
        yield from pq.ParquetFile(path).read().to_pylist()
    elif path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield row | {"MessagingSessionMetricValue": int(row["MessagingSessionMetricValue"])}
    else:
        for line in path.read_text("utf-8").splitlines():
            record = json.loads(line)
            created = record["CreatedDate"].replace("Z", "+00:00")
            yield record | {"CreatedDate": datetime.datetime.fromisoformat(created)}
