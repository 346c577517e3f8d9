"""The runners of one machine write the same bytes as the FnApiRunner."""

import socket

import pytest

from tests.support.cli import output_bytes
from tests.support.portable import PRISM

TWO = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")

RUNNERS = {
    "in memory": ["--runner=DirectRunner", "--direct_running_mode=in_memory"],
    "two processes": ["--runner=DirectRunner", *TWO],
    "FnApiRunner, two processes": ["--runner=FnApiRunner", *TWO],
    "Prism": ["--runner=PrismRunner", f"--prism_location={PRISM}"],
    "DirectRunner, given Prism": ["--runner=DirectRunner", f"--prism_location={PRISM}"],
}


@pytest.mark.parametrize("args", RUNNERS.values(), ids=RUNNERS)
def test_the_same_bytes(args, same_bytes):
    same_bytes(*args)


@pytest.mark.parametrize("args", RUNNERS.values(), ids=RUNNERS)
def test_messages_that_name_their_conversation(args, by_conversation, expected, tmp_path):
    done = by_conversation.run(tmp_path / "out", *args)
    assert done.status == 0, "\n".join(done.said[-40:])
    records = {name: content for name, content in expected.items() if name.startswith("created")}
    assert len(records) >= 2
    found = output_bytes(tmp_path / "out")
    assert {name: found[name] for name in found if name.startswith("created")} == records


def test_direct_runner_does_not_wait_for_what_it_cannot_fetch(same_bytes, tmp_path, monkeypatch):
    # A proxy that takes connections and never answers, like a network that drops packets.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("https_proxy", proxy)
        # A home without a Prism of an earlier run.
        monkeypatch.setenv("HOME", str(tmp_path))
        done = same_bytes("--runner=DirectRunner")
    assert not [line for line in done.said if "rism" in line or "ERROR" in line], done.said
