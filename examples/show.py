"""Prints in which files the records of a run are, and the records of its first two sessions.

python examples/show.py build/example
"""

import itertools
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import fastavro

SESSIONS_SHOWN = 2


def read(files: list[pathlib.Path]) -> Iterator[dict[str, Any]]:
    """The records of Avro files, one after the other."""
    for path in files:
        with path.open("rb") as file:
            yield from fastavro.reader(file)


def table(records: list[dict[str, Any]]) -> list[str]:
    """The records as lines: fields in columns, numbers to the right, a blank line between sessions."""
    names = list(records[0])
    rows = [[str(v).replace("+00:00", "Z") for v in record.values()] for record in records]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    right = [isinstance(value, int) for value in records[0].values()]

    def line(cells: list[str]) -> str:
        aligned = zip(cells, widths, right, strict=True)
        return "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in aligned).rstrip()

    lines = [line(names), line(["-" * width for width in widths])]
    for before, record, row in zip([records[0], *records], records, rows, strict=False):
        if record["MessagingSessionId"] != before["MessagingSessionId"]:
            lines.append("")
        lines.append(line(row))
    return lines


def main(directory: str) -> int:
    """Prints the first records of the files in a directory; returns the exit status."""
    files = sorted(pathlib.Path(directory).rglob("metrics-*.avro"))
    sessions = itertools.groupby(read(files), key=lambda record: record["MessagingSessionId"])
    shown = [list(records) for _, records in itertools.islice(sessions, SESSIONS_SHOWN)]
    if not shown:
        print(f"{directory}: no records in metrics-*.avro", file=sys.stderr)
        return 1
    print(f"\nThe records are in {', '.join(map(str, files))}; the first of them:\n")
    print("\n".join(table(list(itertools.chain.from_iterable(shown)))))
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/show.py DIRECTORY")
    sys.exit(main(sys.argv[1]))
