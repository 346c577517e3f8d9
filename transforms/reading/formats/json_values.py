"""The values of JSON: rows one by one, and the rows of pages such as those of the Connect REST API."""

import codecs
import itertools
import json
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

import numpy as np
import pyarrow as pa

from transforms.batches import SESSION_ID_PREFIX, Counts, add_count
from transforms.reading.columns import RawBatch
from transforms.reading.formats.parts import leading_parts, look_up
from transforms.reading.values import to_digits

# A response of Connect REST is an object that has its rows in the first of these arrays, one of Data
# Cloud's Query API in the second, with the names of the columns in the third. The answer to a query, as
# REST and simple-salesforce's query_all give it, has them in the fourth, beside one of the marks; what
# `sf data query --json` prints has such an answer in `_RESULT`.
ENTRIES, DATA, METADATA, RECORDS = "conversationEntries", "data", "metadata", "records"
MARKS_OF_RECORDS = ("totalSize", "done", "nextRecordsUrl")
_RESULT, _TOKEN = "result", "nextPageToken"

WITH_MORE, LAST = "pages_with_more", "pages_last"
"""The counts of pages that say that more follow, and of those that say that they are the last."""


def rows_in(values: Iterable[Any], pages: Counts | None = None) -> Iterator[Any]:
    """The rows of JSON values, each of which is a row or a page of rows.

    Args:
      values: the values.
      pages: gets the counts `WITH_MORE` and `LAST` added.
    """
    for value in values:
        page = _page_in(value)
        rows = None if page is None else _rows_of(page)
        if page is None or rows is None:
            yield value
            continue
        if pages is not None:
            more = _says_more(page)
            add_count(pages, WITH_MORE, more is True)
            add_count(pages, LAST, more is False)
        yield from rows


def _page_in(value: Any) -> dict[str, Any] | None:
    """The object that may be a page: the value, or the result of a command of which it is the answer."""
    if not isinstance(value, dict):
        return None
    result = value.get(_RESULT)
    if "status" in value and isinstance(result, dict) and isinstance(result.get(RECORDS), list):
        return result
    return value


def _says_more(page: dict[str, Any]) -> bool | None:
    """Whether a page says that more follow; None if it does not say."""
    # Connect says the first, or has a token of the next page; a query says the second.
    has_more, done = page.get("hasMore"), page.get("done")
    if isinstance(has_more, bool):
        return has_more
    if isinstance(done, bool):
        return not done
    return bool(page[_TOKEN]) if _TOKEN in page else None


def _rows_of(page: dict[str, Any]) -> Iterable[Any] | None:
    """The rows of a page; None if it is none."""
    if isinstance(page.get(ENTRIES), list):
        return page[ENTRIES]
    if isinstance(page.get(RECORDS), list) and any(mark in page for mark in MARKS_OF_RECORDS):
        return page[RECORDS]
    if isinstance(page.get(DATA), list) and isinstance(page.get(METADATA), list | dict):
        names = names_in(page[METADATA])
        return [
            dict(zip(names, row, strict=True))
            if isinstance(row, list) and len(row) == len(names)
            else row
            for row in page[DATA]
        ]
    return None


KEYS_OF_PAGES = (ENTRIES, DATA, METADATA, RECORDS, *MARKS_OF_RECORDS)
"""The keys by which pages are known."""


def may_be_pages(keys: Set[str]) -> bool:
    """Whether values that have these keys, and none of the other `KEYS_OF_PAGES`, may be pages."""
    return (
        ENTRIES in keys
        or {DATA, METADATA} <= keys
        or (RECORDS in keys and not keys.isdisjoint(MARKS_OF_RECORDS))
    )


def names_in(metadata: list[Any] | dict[str, Any]) -> list[str]:
    """The names of the columns of a page of Data Cloud's Query API, in the order of its rows.

    >>> names_in([{"name": "ssot__Id__c", "type": "Varchar"}])
    ['ssot__Id__c']
    >>> names_in({"b": {"placeInOrder": 1}, "a": {"placeInOrder": 0}})
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
    return _DECODER.decode(text)


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs as a dict; of several with one key the first.

    >>> _first_of_each([("a", 1), ("b", 2), ("a", 3)])
    {'a': 1, 'b': 2}
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        values.update(reversed(pairs))
    return values


_DECODER = json.JSONDecoder(
    parse_int=lambda digits: int(digits) if len(digits) < 20 else digits,
    object_pairs_hook=_first_of_each,
)


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


def text_of(value: Any) -> str | None:
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


def _texts(values: Sequence[Any]) -> pa.Array:
    """Values as texts; raises UnicodeEncodeError if one has half a character."""
    try:
        # In the usual column there is nothing but texts.
        return pa.array(values, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([text_of(value) for value in values], pa.string())


def _is_utf8(value: Any) -> bool:
    try:
        (text_of(value) or "").encode()
    except UnicodeEncodeError:
        return False
    return True


def batch_of(
    rows: list[tuple[int, Any]],
    names: Sequence[str],
    malformed: list[tuple[int, str]],
    pages: Mapping[str, int] | None = None,
) -> RawBatch:
    """A batch of numbered rows; `malformed` gets those that are no rows."""
    objects = [(number, row) for number, row in rows if isinstance(row, dict)]
    if len(objects) < len(rows):
        malformed += [(n, "not a JSON object") for n, row in rows if not isinstance(row, dict)]
    there = {key for _, row in objects for key in row}
    names = [name for name in names if name in there or name.split(".")[0] in there]
    columns = {name: [look_up(row, name, parse) for _, row in objects] for name in names}
    try:
        arrays = {name: _texts(values) for name, values in columns.items()}
    except UnicodeEncodeError:
        whole = [_drop_half_characters(columns, at, row) for at, (_, row) in enumerate(objects)]
        broken = itertools.compress(objects, map(operator.not_, whole))
        malformed += [(number, "not UTF-8") for number, _ in broken]
        objects = list(itertools.compress(objects, whole))
        arrays = {name: _texts(list(itertools.compress(v, whole))) for name, v in columns.items()}
    numbers = [number for number, _ in objects]
    return RawBatch(
        arrays, len(objects), lambda: np.array(numbers, np.int64), malformed, pages or {}
    )


def _drop_half_characters(columns: dict[str, list[Any]], at: int, row: dict[str, Any]) -> bool:
    """Whether a row has no half characters, once the texts of JSON in it that have any are passed over.

    Args:
      columns: the values of all rows; of this row those of a text that has any become None.
      at: the place of the row.
      row: the row.
    """
    broken = {_text_around(row, name) for name, v in columns.items() if not _is_utf8(v[at])}
    for name, values in columns.items():
        if _text_around(row, name) in broken:
            values[at] = None
    return "" not in broken


def _text_around(row: dict[str, Any], name: str) -> str:
    """The name of the innermost text of JSON that a value is in; empty for one that is in the row itself.

    >>> _text_around({"a": '{"b": {"c": 1}}'}, "a.b.c")
    'a'
    """
    parts = (part for part in leading_parts(name) if part != name)
    is_direct = row.get(name) is not None
    texts = (part for part in parts if isinstance(look_up(row, part, parse), str))
    return "" if is_direct else next(texts, "")


def batch_of_arrays(
    rows: list[Any], columns: Sequence[str], first: int, names: Sequence[str]
) -> RawBatch:
    """A batch of the rows of a page of Data Cloud, numbered from `first`.

    Args:
      rows: arrays; other values are malformed, or rows with names of their own.
      columns: what the arrays hold.
      first: the number of the first row.
      names: the columns that are asked for, nested ones with dots.
    """
    are_whole = {type(row) for row in rows} == {list} and {len(row) for row in rows} == {
        len(columns)
    }
    if are_whole and not any(
        name not in columns and name.split(".")[0] in columns for name in names
    ):
        values = dict(zip(columns, zip(*rows, strict=True), strict=True))
        try:
            arrays = {name: _texts(values[name]) for name in names if name in values}
        except UnicodeEncodeError:
            pass
        else:
            return RawBatch(arrays, len(rows), lambda: np.arange(first, first + len(rows)))
    named = rows_in([{DATA: rows, METADATA: [{"name": name} for name in columns]}])
    return batch_of(list(enumerate(named, first)), names, [])
