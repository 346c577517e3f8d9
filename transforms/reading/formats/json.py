"""JSON Lines, and JSON documents such as pages of the Connect REST API."""

import codecs
import functools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.reading.columns import RawBatch
from transforms.reading.formats.lines import count_lines, line_blocks, line_part
from transforms.reading.formats.parts import (
    WHOLE,
    Decode,
    Format,
    Open,
    Part,
    RowCounter,
    byte_ranges,
    counted,
    look_up,
)
from transforms.reading.values import to_digits

if TYPE_CHECKING:  # takes a while, and CSV and Parquet do without
    import polars as pl

_PAGE = "conversationEntries"  # Connect REST: one response is an object with this array


def _rows(values: Iterable[Any]) -> Iterator[Any]:
    """The rows of JSON values, each of which is a row or a page of rows."""
    for value in values:
        if isinstance(value, dict) and isinstance(value.get(_PAGE), list):
            yield from value[_PAGE]
        else:
            yield value


def _value(line: bytes) -> Any:
    line = line.removeprefix(codecs.BOM_UTF8).removesuffix(b"\r")
    return _parse(line.decode("utf-8", "surrogateescape"))


def _parse(text: str) -> Any:
    """Of a key that an object has twice, the first counts."""
    return json.loads(
        text,
        parse_int=lambda digits: int(digits) if len(digits) < 20 else digits,
        object_pairs_hook=_first_of_each,
    )


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        values.update(reversed(pairs))
    return values


def _names(values: Iterable[Any]) -> list[str] | None:
    names: dict[str, None] = {}

    def walk(row: dict[str, Any], prefix: str) -> None:
        for name, value in row.items():
            names[prefix + name] = None
            if isinstance(value, dict):
                walk(value, f"{prefix}{name}.")

    rows = [row for row in _rows(values) if isinstance(row, dict)]
    for row in rows:
        walk(row, "")
    return list(names) if rows else None


def _names_of_lines(file: IO[bytes]) -> list[str] | None:
    def values() -> Iterator[Any]:
        for line in (file.read(1 << 20) + file.readline()).split(b"\n"):
            try:
                yield _value(line)
            except (ValueError, RecursionError):
                continue

    return _names(values())


def _as_text(value: Any) -> str | None:
    """A JSON scalar as text; of a list the first messaging session's id."""
    if isinstance(value, list):
        ours = (v for v in value if isinstance(v, str) and v.startswith("0Mw"))
        return next(ours, None)
    if value is None or isinstance(value, str):
        return value
    if value != value:  # NaN, which some write for no value
        return None
    if isinstance(value, float):
        return to_digits(value)
    return None if isinstance(value, dict) else json.dumps(value)


def _batch(
    rows: list[tuple[int, Any]], names: Sequence[str], malformed: list[tuple[int, str]]
) -> RawBatch:
    """Rows one by one: for what the fast way can't read, and to find which line it was."""
    kept: list[int] = []
    columns: dict[str, list[str | None]] = {name: [] for name in names}
    for number, row in rows:
        if not isinstance(row, dict):
            malformed.append((number, "not a JSON object"))
            continue
        texts = [_as_text(look_up(row, name)) for name in names]
        try:
            "".join(text for text in texts if text).encode()
        except UnicodeEncodeError:
            malformed.append((number, "not UTF-8"))
            continue
        kept.append(number)
        for column, text in zip(columns.values(), texts, strict=True):
            column.append(text)
    arrays = {name: pa.array(column, pa.string()) for name, column in columns.items()}
    return RawBatch(arrays, len(kept), lambda: np.array(kept), malformed)


def _slowly(block: bytes, first: int, names: Sequence[str]) -> RawBatch:
    rows: list[tuple[int, Any]] = []
    malformed: list[tuple[int, str]] = []
    for number, line in enumerate(block.split(b"\n"), first):
        if not line.removeprefix(codecs.BOM_UTF8).strip():
            continue
        try:
            value = _value(line)
        except (ValueError, RecursionError) as error:
            said = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
            malformed.append((number, f"not JSON: {said}"))
            continue
        rows.extend((number, row) for row in _rows([value]))
    return _batch(rows, names, malformed)


def _schema(block: bytes, names: Sequence[str]) -> "dict[str, pl.DataType] | None":
    """The needed columns with the types that the first lines have; text where they have none."""
    import polars as pl

    types = {
        str: pl.String(),
        bool: pl.Boolean(),
        int: pl.Int64(),
        float: pl.Float64(),
        list: pl.List(pl.String),
    }
    samples = []
    for line in block[: 1 << 16].splitlines()[:32]:
        try:
            samples.append(_value(line))
        except (ValueError, RecursionError):
            continue
    tree: dict[str, Any] = {}
    for name in names:
        found = (look_up(row, name) for row in samples if isinstance(row, dict))
        value = next((v for v in found if v is not None), "")
        kind = types.get(type(value))
        if kind is None or name in tree:
            return None
        tree[name] = kind
        *path, leaf = name.split(".")
        if path:
            node = tree
            for key in path:
                node = node.setdefault(key, {})
                if not isinstance(node, dict):
                    return None
            node[leaf] = kind

    def build(node: Any) -> "pl.DataType":
        if not isinstance(node, dict):
            return node
        return pl.Struct({key: build(child) for key, child in node.items()})

    return {name: build(node) for name, node in tree.items()}


def _fast(block: bytes, names: Sequence[str]) -> dict[str, pa.Array] | None:
    """The columns of a block in which every line is one plain row, else None."""
    if f'"{_PAGE}"'.encode() in block:
        return None
    import polars as pl

    schema = _schema(block, names)
    if schema is None:
        return None
    try:
        frame = pl.read_ndjson(block, schema=schema)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    if frame.height != count_lines(block):
        return None
    columns = {}
    for name in names:
        found = [frame[name]]
        if "." in name:
            top, *path = name.split(".")
            nested = frame[top]
            for key in path:
                nested = nested.struct.field(key)
            found.append(nested)
        found = [series for series in found if series.null_count() < len(series)]
        if not found:
            continue
        arrays = (series.to_arrow(compat_level=pl.CompatLevel.oldest()) for series in found)
        column = pc.coalesce(*arrays) if len(found) > 1 else next(arrays)
        if pa.types.is_large_string(column.type) and _is_dubious(column):
            return None
        if pa.types.is_floating(column.type) and pc.max(pc.abs(column)).as_py() >= 2.0**53:
            return None  # among them may be a whole number that a float does not hold
        columns[name] = column
    return columns


def _is_dubious(column: pa.LargeStringArray) -> bool:
    """Whether a text may have been made of an object or a list, or of half a character."""
    offsets = np.frombuffer(column.buffers()[1], np.int64)[column.offset :][: len(column) + 1]
    data = np.frombuffer(column.buffers()[2] or b"", np.uint8)
    first = data[offsets[:-1][offsets[:-1] < offsets[1:]]]
    made = (first == ord("{")) | (first == ord("["))
    return bool(made.any() or not data[offsets[0] : offsets[-1]].all())


def _read_lines(open_file: Open, part: Part, names: Sequence[str]) -> Iterator[Decode]:
    with open_file() as file:
        blocks, first_line = line_part(open_file, file, part)
        counter = RowCounter(first_line)
        for block in line_blocks(blocks):
            block = block.removeprefix(codecs.BOM_UTF8)
            count = count_lines(block)
            yield functools.partial(_decode_lines, block, count, counter.advance(count), names)


def _decode_lines(
    block: bytes, count: int, first: Callable[[], int], names: Sequence[str]
) -> RawBatch:
    columns = _fast(block, names)
    if columns is None:
        return _slowly(block, first(), names)
    return RawBatch(columns, count, counted(first, count))


def _document(file: IO[bytes]) -> list[Any]:
    """The rows of a JSON document: a page of the Connect REST resource, or an array of pages or rows."""
    value = _parse(file.read().decode("utf-8-sig"))
    return list(_rows(value if isinstance(value, list) else [value]))


def _read_document(open_file: Open, part: Part, names: Sequence[str]) -> Iterator[Decode]:
    with open_file() as file:
        rows = _document(file)
    yield functools.partial(_batch, list(enumerate(rows, 1)), names, [])


JSON_LINES = Format(0.4, _names_of_lines, lambda file, size: byte_ranges(size), _read_lines)
JSON = Format(
    0.4,
    lambda file: _names(_document(file)),
    lambda file, size: [WHOLE],
    _read_document,
)
