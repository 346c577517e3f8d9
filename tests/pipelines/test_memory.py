"""What the command asks of the allocators; `docs/performance.md` has what that gains."""

import platform
import subprocess
import sys

import pytest

from tests.support.cli import ROOT

AT_THE_END = """
import atexit
def show():
    import pyarrow
    print(pyarrow.default_memory_pool().backend_name)
atexit.register(show)
from pipelines import session_metrics
session_metrics.run(["--help"])
"""

ACCEPTED = """
import ctypes
from pipelines import memory
print([ctypes.CDLL(None).mallopt(*one) for one in memory._MALLOPT.items()])
"""

ARENAS = """
import ctypes, sys, threading
from pipelines import memory
memory.keep_freed()
together = threading.Barrier(4)
def take():
    together.wait()
    blocks = [bytearray(1000) for _ in range(100)]
    together.wait()
threads = [threading.Thread(target=take) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
print(open(sys.argv[1]).read().count("<heap nr="))
"""


def printed_last(code: str, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *args], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("named", [None, "mimalloc"])
def test_arrow_takes_its_memory_from_the_c_library(named, monkeypatch):
    """Unless the caller names another allocator."""
    monkeypatch.delenv("ARROW_DEFAULT_MEMORY_POOL", raising=False)
    if named:
        monkeypatch.setenv("ARROW_DEFAULT_MEMORY_POOL", named)
    assert printed_last(AT_THE_END) == (named or "system")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_the_c_library_knows_the_parameters():
    assert printed_last(ACCEPTED) == "[1, 1, 1]"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_all_threads_share_what_is_freed(tmp_path):
    assert printed_last(ARENAS, str(tmp_path / "info.xml")) == "1"
