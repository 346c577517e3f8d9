"""A log for every runner, and the output of the FnApiRunner from this log."""

import pathlib
from collections.abc import Callable

import pytest

from tests.support.cli import output_bytes
from tests.support.portable import Done, Job, make_log

MESSAGES = 1_000_000


@pytest.fixture(scope="session")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return make_log(tmp_path_factory.mktemp("log"), MESSAGES)


@pytest.fixture(scope="session")
def by_conversation(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The job on the same messages, which name only their conversation."""
    return make_log(tmp_path_factory.mktemp("by-conversation"), MESSAGES, by="conversation")


@pytest.fixture(scope="session")
def expected(job: Job, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The content of each file that the FnApiRunner writes, the counts included."""
    output = tmp_path_factory.mktemp("expected") / "out"
    done = job.run(output, "--runner=FnApiRunner", f"--summary={output}/summary.json")
    assert done.status == 0, done.said
    files = output_bytes(output)
    assert len(files) >= 3 and files["rejects/rejects-00000-of-00001.jsonl"].count(b"\n") == 100
    return files


@pytest.fixture
def published(tmp_path: pathlib.Path) -> pathlib.Path:
    """A directory with an earlier output, computed from another log."""
    output = tmp_path / "out"
    earlier = make_log(tmp_path / "earlier", 1_000)
    done = earlier.run(output, "--runner=FnApiRunner", "--max_reject_ratio=1")
    assert done.status == 0, done.said
    return output


Check = Callable[..., Done]


@pytest.fixture
def same_bytes(job: Job, expected: dict[str, bytes], tmp_path: pathlib.Path) -> Check:
    """Runs the job with some options, and compares the output with the FnApiRunner's."""

    def check(*args: str, output: pathlib.Path = tmp_path / "out") -> Done:
        done = job.run(output, *args, f"--summary={output}/summary.json")
        assert done.status == 0, "\n".join(done.said[-40:])
        assert output_bytes(job.directory / output) == expected
        return done

    return check


@pytest.fixture
def one_line(job: Job, tmp_path: pathlib.Path) -> Callable[..., None]:
    """Runs the job with some options on more rejects than are allowed, and looks at its last line."""

    def check(*args: str) -> None:
        done = job.run(tmp_path / "out", "--max_reject_ratio=0", *args)
        assert done.status == 1
        assert "more than max_reject_ratio 0 allows: sent_at_invalid 100 (" in done.last_words
        assert "; nothing was published." in done.last_words
        assert not (tmp_path / "out").exists()

    return check
