"""JSON: rows one by one, and documents such as pages of the Connect REST API."""

import codecs
import functools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

import numpy as np
import pyarrow as pa

from transforms.batches import SESSION_ID_PREFIX
from transforms.reading.columns import RawBatch
from transforms.reading.formats.parts import (
    WHOLE,
    Decode,
    Format,
    Open,
    Part,
    look_up,
)
from transforms.reading.values import to_digits

# A response of Connect REST is an object that has its rows in the first of these arrays, one of Data
# Cloud's Query API in the second, with the names of the columns in the third.
ENTRIES, DATA, METADATA = "conversationEntries", "data", "metadata"


def rows_in(values: Iterable[Any]) -> Iterator[Any]:
    """The rows of JSON values, each of which is a row or a page of rows."""
    for value in values:
        if not isinstance(value, dict):
            yield value
        elif isinstance(value.get(ENTRIES), list):
            yield from value[ENTRIES]
        elif isinstance(value.get(DATA), list) and isinstance(value.get(METADATA), list | dict):
            names = _names_in(value[METADATA])
            for row in value[DATA]:
                is_array = isinstance(row, list) and len(row) == len(names)
                yield dict(zip(names, row, strict=True)) if is_array else row
        else:
            yield value


def _names_in(metadata: list[Any] | dict[str, Any]) -> list[str]:
    """The names of the columns of a page of Data Cloud's Query API, in the order of its rows.

    >>> _names_in([{"name": "ssot__Id__c", "type": "Varchar"}])
    ['ssot__Id__c']
    >>> _names_in({"b": {"placeInOrder": 1}, "a": {"placeInOrder": 0}})
    ['a', 'b']
    """
    if isinstance(metadata, dict) and isinstance(metadata.get("columns"), list):
        metadata = metadata["columns"]
    if isinstance(metadata, list):
        return [str(one.get("name")) if isinstance(one, dict) else "" for one in metadata]

    def place(name: str) -> int:
        one = metadata[name]
        found = one.get("placeInOrder") if isinstance(one, dict) else None
        return found if isinstance(found, int) else -1

    return sorted(metadata, key=place)


def value_of(line: bytes) -> Any:
    """The value of a line. Bytes that are no UTF-8 become surrogates, and are found when encoded."""
    line = line.removeprefix(codecs.BOM_UTF8).removesuffix(b"\r")
    return parse(line.decode("utf-8", "surrogateescape"))


def parse(text: str) -> Any:
    """The value of a JSON text. Of a key that an object has twice the first counts, as for Polars."""
    return json.loads(
        text,
        parse_int=lambda digits: int(digits) if len(digits) < 20 else digits,
        object_pairs_hook=_first_of_each,
    )


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs as a dict; of several with one key the first.

    >>> _first_of_each([("a", 1), ("b", 2), ("a", 3)])
    {'a': 1, 'b': 2}
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        values.update(reversed(pairs))
    return values


def names_of(values: Iterable[Any]) -> list[str] | None:
    """The keys of all rows, nested ones with dots; None if there is no row."""
    names: dict[str, None] = {}

    def walk(row: dict[str, Any], prefix: str) -> None:
        for name, value in row.items():
            names[prefix + name] = None
            if isinstance(value, dict):
                walk(value, f"{prefix}{name}.")

    rows = [row for row in rows_in(values) if isinstance(row, dict)]
    for row in rows:
        walk(row, "")
    return list(names) if rows else None


def _as_text(value: Any) -> str | None:
    """A JSON scalar as text; of a list the first messaging session's id."""
    if isinstance(value, list):
        ours = (v for v in value if isinstance(v, str) and v.startswith(SESSION_ID_PREFIX))
        return next(ours, None)
    if value is None or isinstance(value, str):
        return value
    # Some write NaN for no value.
    if value != value:
        return None
    if isinstance(value, float):
        return to_digits(value)
    return None if isinstance(value, dict) else json.dumps(value)


def batch_of(
    rows: list[tuple[int, Any]], names: Sequence[str], malformed: list[tuple[int, str]]
) -> RawBatch:
    """A batch of numbered rows, one by one; `malformed` gets those that are no rows."""
    kept: list[int] = []
    there = {key for _, row in rows if isinstance(row, dict) for key in row}
    names = [name for name in names if name in there or name.split(".")[0] in there]
    columns: dict[str, list[str | None]] = {name: [] for name in names}
    for number, row in rows:
        if not isinstance(row, dict):
            malformed.append((number, "not a JSON object"))
            continue
        texts = [_as_text(look_up(row, name, parse)) for name in names]
        try:
            "".join(text for text in texts if text).encode()
        except UnicodeEncodeError:
            malformed.append((number, "not UTF-8"))
            continue
        kept.append(number)
        for column, text in zip(columns.values(), texts, strict=True):
            column.append(text)
    arrays = {name: pa.array(column, pa.string()) for name, column in columns.items()}
    return RawBatch(arrays, len(kept), lambda: np.array(kept, np.int64), malformed)


def _document(file: IO[bytes]) -> list[Any]:
    """The rows of a JSON document: one page of Connect REST, or an array of pages or rows."""
    value = parse(file.read().decode("utf-8-sig"))
    return list(rows_in(value if isinstance(value, list) else [value]))


def _read_document(open_file: Open, part: Part, names: Sequence[str]) -> Iterator[Decode]:
    with open_file() as file:
        rows = _document(file)
    yield functools.partial(batch_of, list(enumerate(rows, 1)), names, [])


JSON = Format(
    0.4,
    lambda file: names_of(_document(file)),
    lambda file, size: [WHOLE],
    _read_document,
)
