"""Measures the job beside its peers, and checks that all of them give the same records.

python -m benchmarks.run [--sizes N...] [--repeats N] [--only NAME...] [--output DIR]

DIR/results.json       every run, and the machine
DIR/table.md           medians
DIR/time-by-size.svg   wall time by number of messages

README.md in this folder describes the measurements.
"""

import argparse
import dataclasses
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import load, report

ROOT = pathlib.Path(__file__).resolve().parent.parent
SEED = 1
FOLD_SHARDS = 20
KEY = ["MessagingSessionId", "MessagingSessionMetricType"]
RECORD = pa.schema(
    [(KEY[0], pa.string()), (KEY[1], pa.string()), ("MessagingSessionMetricValue", pa.int32())]
)
PACKAGES = ["apache-beam", "pyarrow", "numpy", "fastavro", "duckdb", "polars"]

Run = dict[str, float]
Results = dict[str, Any]


class BenchmarkError(Exception):
    """A command failed, or its records differ from the job's. The text is one line."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The job and a peer at the same work. The peer may be the job itself with more options.

    The job writes Avro.

    Attributes:
      name: value of `--only`.
      peer: the module in `benchmarks.peers`.
      load_format: format of the input of both.
      peer_format: format of the output of the peer.
      peer_options: options of the peer, without input and output.
      peer_by: what the messages of the peer's input name: their `session`, as those of the job do, or
        their `conversation`.
      largest: the largest number of messages that the peer is run with.
    """

    name: str
    peer: str
    load_format: str
    peer_format: str
    peer_options: tuple[str, ...] = ()
    peer_by: str = "session"
    largest: int | None = None


COMPARISONS = [
    Comparison("parquet-duckdb", "duckdb_sql", "parquet", "parquet"),
    Comparison("parquet-polars", "polars_plan", "parquet", "parquet", ("--format", "parquet")),
    Comparison("jsonl-duckdb", "duckdb_sql", "jsonl", "parquet"),
    Comparison("csv-duckdb", "duckdb_sql", "csv", "parquet"),
    Comparison("csv-polars", "polars_plan", "csv", "parquet", ("--format", "parquet")),
    Comparison("jsonl-gzip-duckdb", "duckdb_sql", "jsonl.gz", "parquet"),
    Comparison("csv-gzip-duckdb", "duckdb_sql", "csv.gz", "parquet"),
    Comparison("avro-polars", "polars_plan", "avro", "avro", ("--format", "avro")),
    Comparison("parquet-summaries", "with_summaries", "parquet", "avro"),
    Comparison(
        "parquet-conversations", "by_conversation", "parquet", "avro", peer_by="conversation"
    ),
    *(
        Comparison(f"{name}-beam", "beam_rows", load_format, "avro", largest=1_000_000)
        for name, load_format in {
            "parquet": "parquet",
            "avro": "avro",
            "csv": "csv",
            "csv-gzip": "csv.gz",
            "jsonl": "jsonl",
            "jsonl-gzip": "jsonl.gz",
        }.items()
    ),
]
FOLD = "fold"


def environment() -> dict[str, Any]:
    """The circumstances that the times depend on: versions, processor, memory."""
    model = platform.processor()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text("utf-8").splitlines()
        models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        model = next(models, model)
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory_bytes / 2**30, 1),
    }


def make_load(
    directory: pathlib.Path, load_format: str, num_messages: int, by: str
) -> pathlib.Path:
    """The directory of a load, which is made at the first call."""
    made = directory / f"{load_format}-{num_messages}-by-{by}-seed{SEED}"
    if not made.exists():
        say(f"{load_format}: making {num_messages:,} messages by {by}")
        partial = made.with_name(made.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        load.write(num_messages, load_format, partial, SEED, by)
        partial.rename(made)
    return made


def measure(command: Sequence[str]) -> Run:
    """Runs a command in a process of its own, whose modules are compiled, as those of a package are.

    Raises:
      BenchmarkError: the command failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.measure", *command],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"},
        capture_output=True,
        text=True,
        check=False,
    )
    taken = json.loads(done.stdout) if done.returncode == 0 else {"exit_status": done.returncode}
    if status := taken.pop("exit_status"):
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise BenchmarkError(f"{' '.join(command)}: exit status {status}, its last words: {said}")
    return taken


def read_records(output: pathlib.Path, output_format: str) -> pa.Table:
    """The id, type and value of the records in a file, a directory, or the shards of a Beam sink."""
    if output.is_dir():
        files = sorted(output.glob(f"metrics-*.{output_format}"))
    else:
        files = sorted(output.parent.glob(f"{output.name}*"))
    if output_format == "parquet":
        tables = [pq.read_table(file, columns=RECORD.names) for file in files]
    else:
        tables = [pl.read_avro(f, columns=RECORD.names).to_arrow() for f in files]
    return pa.concat_tables(table.select(RECORD.names).cast(RECORD) for table in tables)


def check_same(name: str, records: pa.Table, expected: pa.Table) -> None:
    """Compares the records of a command with the job's, in any order.

    Raises:
      BenchmarkError: the records differ.
    """
    if records.equals(expected):
        return
    order = [(column, "ascending") for column in RECORD.names]
    records, expected = records.sort_by(order), expected.sort_by(order)
    if records.num_rows != expected.num_rows:
        raise BenchmarkError(
            f"{name}: {records.num_rows:,} records, where the job has {expected.num_rows:,}"
        )
    if not records.equals(expected):
        pairs = zip(records.to_pylist(), expected.to_pylist(), strict=True)
        theirs, ours = next((a, b) for a, b in pairs if a != b)
        raise BenchmarkError(
            f"{name}: not the job's records: {tuple(theirs.values())}, the job has "
            f"{tuple(ours.values())}"
        )


def compare(
    comparison: Comparison, num_messages: int, repeats: int, directory: pathlib.Path
) -> Results:
    """Runs the job and the peer in turn, once to warm up and then `repeats` times.

    Raises:
      BenchmarkError: one of them failed, or their records differ.
    """
    records = directory / "records"
    shutil.rmtree(records, ignore_errors=True)
    records.mkdir(parents=True)
    load_format = comparison.load_format

    def files(by: str) -> tuple[pathlib.Path, list[str]]:
        source = make_load(directory / "load", load_format, num_messages, by)
        words = ["--messages", str(source / f"messages-*.{load_format}")]
        return source, [*words, "--sessions", str(source / f"sessions.{load_format}"), "--output"]

    source, ours_files = files("session")
    ours = [sys.executable, "-m", "pipelines.session_metrics", "--runner", "FnApiRunner"]
    ours += ours_files
    peer = [sys.executable, "-m", f"benchmarks.peers.{comparison.peer}"]
    peer += [*comparison.peer_options, *files(comparison.peer_by)[1]]

    reference = records / "reference"
    measure([*ours, str(reference)])
    expected = read_records(reference, "avro")

    def run(name: str, command: list[str], output_format: str) -> Run:
        output = records / name
        taken = measure([*command, str(output)])
        check_same(
            f"{comparison.name} at {num_messages:,}, {name}",
            read_records(output, output_format),
            expected,
        )
        for made in records.glob(f"{name}*"):
            shutil.rmtree(made) if made.is_dir() else made.unlink()
        return taken

    run(comparison.peer, peer, comparison.peer_format)
    results: Results = dataclasses.asdict(comparison) | {"messages": num_messages}
    results["load_bytes"] = sum(file.stat().st_size for file in source.iterdir())
    results["records"] = expected.num_rows
    results["ours"], results["theirs"] = [], []
    for _ in range(repeats):
        results["ours"].append(run("ours", ours, "avro"))
        results["theirs"].append(run(comparison.peer, peer, comparison.peer_format))
    shutil.rmtree(records)
    return results


def time_fold(num_shards: int, repeats: int) -> Results:
    """Times the fold alone, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.fold_alone"]
    command += ["--shards", str(num_shards), "--repeats", str(repeats)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"fold: exit status {done.returncode}")
    return json.loads(done.stdout)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _keep(results: Results, directory: pathlib.Path) -> None:
    """Writes the results so far, so that an interrupted run keeps them."""
    results["comparisons"].sort(key=lambda r: (r["name"], r["messages"]))
    text = json.dumps(results, indent=1)
    (directory / "results.json").write_text(text + "\n", "utf-8")
    report.write(results, directory)


def _earlier(directory: pathlib.Path, here: dict[str, Any]) -> Results:
    """Earlier results in a directory, if machine and versions are the same; otherwise empty results."""
    path = directory / "results.json"
    if path.exists():
        found = json.loads(path.read_text("utf-8"))
        if found["environment"] == here:
            return found
    return {"environment": here, "comparisons": [], "fold": None}


def measure_all(
    sizes: Sequence[int], repeats: int, only: Sequence[str], directory: pathlib.Path
) -> None:
    """Measures the selected comparisons and writes the results after each of them."""
    directory.mkdir(parents=True, exist_ok=True)
    results = _earlier(directory, environment())
    for num_messages in sorted(sizes):
        for comparison in COMPARISONS:
            if comparison.name not in only:
                continue
            if comparison.largest and num_messages > comparison.largest:
                say(f"{comparison.name}: left out at {num_messages:,} messages, it is too slow")
                continue
            new = compare(comparison, num_messages, repeats, directory)
            say(f"{comparison.name}: {report.line(new)}")
            results["comparisons"] = [
                old
                for old in results["comparisons"]
                if (old["name"], old["messages"]) != (comparison.name, num_messages)
            ] + [new]
            _keep(results, directory)
    if FOLD in only:
        results["fold"] = time_fold(FOLD_SHARDS, repeats)
        _keep(results, directory)
    say(f"results in {directory}")


def main() -> int:
    names = [comparison.name for comparison in COMPARISONS] + [FOLD]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=[1_000_000, 10_000_000],
        metavar="N",
        help="numbers of messages (default 1000000 10000000)",
    )
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="default 5")
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names)
    )
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "build" / "bench")
    args = parser.parse_args()
    if min(args.sizes) < 1 or args.repeats < 1:
        parser.error("--sizes and --repeats must be 1 or more")
    try:
        measure_all(args.sizes, args.repeats, args.only, args.output.resolve())
    except BenchmarkError as error:
        say(f"benchmark failed: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
