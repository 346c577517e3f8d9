"""Memory that is freed stays with the process: a run takes and frees blocks of megabytes all the time."""

import contextlib
import ctypes
import os

# Parameters of mallopt(3) of glibc, and their values.
_MALLOPT = {
    -3: 32 << 20,  # M_MMAP_THRESHOLD: a smaller block is taken from what was freed
    -1: 128 << 20,  # M_TRIM_THRESHOLD: as much stays with the process
    -8: 1,  # M_ARENA_MAX: what one thread has freed another takes
}


def keep_freed() -> None:
    """Has the C library keep what is freed, and Arrow take its memory there.

    To be called before Arrow is imported, and before there are threads. A page that was given back is
    cleared when it is taken again; and each allocator keeps pages for itself.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    # Other C libraries have no such function.
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in _MALLOPT.items():
            mallopt(parameter, value)
