"""Runs that fail, are interrupted or refused: one line, the exit status, the earlier output untouched."""

import argparse
import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.command_line import FAILED
from pipelines.jobs import running
from tests.support import job_manager
from tests.support.cli import RUNNER, make_job, output_bytes
from tests.support.job_manager import JobManager
from tests.support.jobs import FILE, MESSAGES, SESSIONS, put, session
from transforms.publishing import directories
from transforms.publishing.staging import staging_of

pytestmark = pytest.mark.slow


def test_file_truncated_further_on(small, run):
    rows = [f"a,{i},2024-10-02T12:00:00Z,EndUser,Text" for i in range(200_000)]
    whole = gzip.compress("\n".join([MESSAGES, *rows]).encode(), 1)
    (small / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    put(small / "out" / f"{FILE}.avro", "old")
    before = output_bytes(small)
    status, err = run("--messages @m.csv @cut.csv.gz")
    assert (status, err.count("\n")) == (1, 1)
    assert err.startswith(f"session-metrics: {small}/cut.csv.gz: can't be read: it is truncated (")
    assert output_bytes(small) == before
    assert not (small / ".out.staging").exists()


def test_second_file_without_a_column(small, run):
    put(small / "n.csv", "session_id,message_id,sent_at")
    status, err = run("--messages @m.csv @n.csv")
    assert (status, err.count("\n")) == (2, 1)
    assert f"{small}/n.csv: no column for sender_role of the messages; found: " in err


def test_interrupted(tmp_path):
    """Ctrl-C while it runs: one line, the earlier output as it was, no debris."""
    lines = (f"s{i % 999},{i},2024-10-02T12:00:00Z,EndUser,Text" for i in range(500_000))
    put(tmp_path / "m.csv", MESSAGES, *lines)
    put(
        tmp_path / "s.csv",
        SESSIONS,
        *(session(f"s{i}", "2024-10-02T13:00:00Z") for i in range(999)),
    )
    put(tmp_path / "out" / f"{FILE}.avro", "old")
    before = output_bytes(tmp_path)
    argv = f"--messages {tmp_path}/m.csv --sessions {tmp_path}/s.csv --output {tmp_path}/out"
    with subprocess.Popen(
        [sys.executable, "-m", "pipelines.session_metrics", *argv.split(), RUNNER],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not (tmp_path / ".out.staging").exists():
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert err == "session-metrics: interrupted; nothing was published\n"
    assert process.returncode == 1
    assert output_bytes(tmp_path) == before
    assert sorted(os.listdir(tmp_path)) == ["m.csv", "out", "s.csv"]


INTERRUPTED = {  # when, at which exchange of directories or between two renames: what is said
    ("", "before", 1): "nothing was published",
    ("", "between", 1): "nothing was published",
    ("", "after", 1): "published already in @out",
    ("--rejects @bad", "before", 1): "nothing was published",
    ("--rejects @bad", "after", 1): "published already in @bad",
    ("--rejects @bad", "before", 2): "published already in @bad",
    ("--rejects @bad", "between", 2): "published already in @bad",
    ("--rejects @bad", "after", 2): "published already in @out; published already in @bad",
}


@pytest.mark.parametrize(("moment", "said"), INTERRUPTED.items(), ids=map(str, INTERRUPTED))
def test_interrupted_while_it_publishes(moment, said, small, run, monkeypatch):
    """Ctrl-C: what is said is what is there."""
    more, when, left = moment
    assert run(more)[0] == 0
    put(small / "s.csv", SESSIONS)
    old = output_bytes(small / "out")
    exchange = directories.exchange

    def interrupted(one: str, other: str) -> bool:
        nonlocal left
        left -= 1
        if left:
            return exchange(one, other)
        if when == "after":
            exchange(one, other)
        elif when == "between":
            os.rename(other, directories.old_of(other))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(directories, "exchange", interrupted)
        assert run(more) == (1, f"session-metrics: interrupted; {said}\n".replace("@", f"{small}/"))
    assert (output_bytes(small / "out") == old) == ("out" not in said)
    assert [name for name in os.listdir(small) if name.startswith(".")] == []


def test_a_second_run_at_the_same_time_is_refused(small, run):
    """Told before any work; the first run's files stay staged."""
    holder = (
        "import sys; from transforms.publishing import publish, staging;"
        "publish.PreparedOutputs(sys.argv[1:], 'one').__enter__();"
        "staging.write_file(staging.staging_of(sys.argv[1], 'one') + '/x', [b'x']);"
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(small / "out")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        status, err = run()
        assert err == f"session-metrics: {small}/out: another run is writing it; wait for its end\n"
        assert status == 2
        assert Path(staging_of(str(small / "out"), "one"), "x").exists()
        process.kill()
    assert run()[0] == 0
    assert list(output_bytes(small / "out")) == [f"{FILE}.avro"]
    assert sorted(os.listdir(small)) == ["m.csv", "out", "s.csv"]


@pytest.mark.parametrize(
    ("more", "here"),
    [
        ("", True),
        ("--environment_type LOOPBACK", True),
        ("--environment_type DOCKER", False),
        ("--environment_type EXTERNAL --environment_config localhost:50000", False),
    ],
)
def test_workers_in_this_process_or_elsewhere(more, here, small):
    """Elsewhere no batch may wait in a file of this process."""
    argv = f"--messages {small}/m.csv --sessions {small}/s.csv --output {small}/out {more}"
    for runner in ("DirectRunner", "FnApiRunner", "PrismRunner"):
        words = f"{argv} --runner {runner} --prism_location /nowhere/prism".split()
        assert make_job(words).runs_here == here, runner


def test_files_that_are_tried_before_any_work():
    """Where no command prepares the outputs, as for a template, a file beside each of them is, too."""

    def tried(run: str, *words: str) -> list[str]:
        job = running.Job(
            beam_options=PipelineOptions(list(words)),
            outputs=["gs://b/out"],
            page="gs://b/page.html",
            files=["gs://b/counts.json"],
            published_in="gs://b/out",
            run=run,
        )
        return job.checked_files

    assert tried("one") == ["gs://b/counts.json"]
    assert tried("") == [
        "gs://b/.out.staging/_run",
        "gs://b/.page.html.staging/_run",
        "gs://b/counts.json",
    ]
    assert tried("", "--runner=DataflowRunner", "--dry_run=True") == []


def test_what_became_of_a_table_is_not_known_where_a_run_is_interrupted(tmp_path, capfd):
    """A statement that has been sent may be carried out all the same."""

    def make(args: argparse.Namespace, options: PipelineOptions) -> running.Job:
        outputs = [str(tmp_path / "out")]
        return running.Job(
            beam_options=options,
            outputs=outputs,
            tables=["p.d.t"],
            published_in="p.d.t",
            run="one",
        )

    def build(pipeline: beam.Pipeline, job: running.Job) -> beam.PCollection:
        raise KeyboardInterrupt

    def tell(*_: object) -> None:
        raise AssertionError("nothing is published")

    args = argparse.Namespace()
    assert running.run_job("job", args, [RUNNER], make=make, build=build, tell=tell) == (
        FAILED,
        "job: interrupted; whether p.d.t was changed is not known",
    )


def test_why_a_job_on_flink_has_failed_is_asked_of_its_job_manager(tmp_path, monkeypatch):
    """The job server says only `error=2`."""

    class Result:
        _job_id = "nightly_4f2a"
        state = "FAILED"

        def wait_until_finish(self) -> str:
            raise RuntimeError("Pipeline nightly_4f2a failed in state FAILED: error=2")

    monkeypatch.setattr(running, "_submit", lambda *_: Result())
    with job_manager.running() as place:
        JobManager.names = {"3": "nightly"}
        words = ["--runner=FlinkRunner", f"--flink_master={place}"]
        ended = running.run_job(
            "job",
            argparse.Namespace(),
            words,
            make=lambda _, options: running.Job(
                beam_options=options, published_in="out", run="one"
            ),
            build=lambda *_: None,
            tell=lambda *_: None,
        )
    assert ended == (
        FAILED,
        "job: the pipeline failed: IOException: no space left; nothing was published",
    )
