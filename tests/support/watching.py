"""What a reader finds in a directory while others write there."""

import contextlib
import pathlib
import threading
from collections.abc import Iterator

Files = frozenset[tuple[str, int]]


def files_of(directory: pathlib.Path) -> Files:
    """Name and size of each file."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return frozenset((str(p.relative_to(directory)), p.stat().st_size) for p in files)


@contextlib.contextmanager
def watching(directory: pathlib.Path) -> Iterator[set[Files]]:
    """The lists of files that a reader of a directory finds while others write there."""
    seen: set[Files] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.001):
            # The directory may be exchanged while the reader lists the files.
            with contextlib.suppress(FileNotFoundError):
                before = directory.stat().st_ino
                files = files_of(directory)
                if directory.stat().st_ino == before:
                    seen.add(files)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()
