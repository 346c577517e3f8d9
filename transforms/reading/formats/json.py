"""JSON documents, such as pages of the Connect REST API: one in a file, several, or one in each line."""

import codecs
import functools
from collections.abc import Iterator, Sequence
from typing import IO, Any

from transforms.batches import Counts
from transforms.reading.formats.json_lines import JSON_LINES
from transforms.reading.formats.json_values import (
    batch_of,
    names_of,
    parse_all,
    rows_in,
    value_of,
)
from transforms.reading.formats.parts import WHOLE, Decode, Format, Open, Part


def _document(file: IO[bytes]) -> Iterator[Any]:
    """The rows and pages of JSON documents; one may be an array of them."""
    for value in parse_all(file.read().decode("utf-8-sig")):
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _has_lines(file: IO[bytes]) -> bool:
    """Whether a file is JSON Lines, as BigQuery and Spark write them with the suffix `.json`.

    It is if its first line is an object, and another line follows that does not begin a document of
    several lines. The file is then at its beginning.
    """
    first = second = b""
    while not first and (line := file.readline()):
        first = line.removeprefix(codecs.BOM_UTF8).strip()
    while first and not second and (line := file.readline()):
        second = line.strip()
    file.seek(0)
    if not first or not second or second in (b"{", b"["):
        return False
    try:
        return isinstance(value_of(first), dict)
    except (ValueError, RecursionError):
        return False


def _names(file: IO[bytes]) -> list[str] | None:
    return JSON_LINES.names(file) if _has_lines(file) else names_of(_document(file))


def _parts(file: IO[bytes], size: int) -> list[Part]:
    return JSON_LINES.parts(file, size) if _has_lines(file) else [WHOLE]


def _read(open_file: Open, part: Part, names: Sequence[str]) -> Iterator[Decode]:
    with open_file() as file:
        has_lines = _has_lines(file)
        if not has_lines:
            pages: Counts = {}
            rows = list(rows_in(_document(file), pages))
    if has_lines:
        yield from JSON_LINES.read(open_file, part, names)
    else:
        yield functools.partial(batch_of, list(enumerate(rows, 1)), names, [], pages)


JSON = Format(lambda file: 0.4, _names, _parts, _read, rows_differ=True)
