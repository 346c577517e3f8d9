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
from transforms.reading.values import SESSION_ID_PREFIX, to_digits

# Importing Polars takes a while; files of CSV and Parquet do without.
if TYPE_CHECKING:
    import polars as pl

# A response of Connect REST is an object that has its rows in this array.
_PAGE = "conversationEntries"


def _rows(values: Iterable[Any]) -> Iterator[Any]:
    """The rows of JSON values, each of which is a row or a page of rows."""
    for value in values:
        if isinstance(value, dict) and isinstance(value.get(_PAGE), list):
            yield from value[_PAGE]
        else:
            yield value


def _value(line: bytes) -> Any:
    """The value of a line. Bytes that are no UTF-8 become surrogates, and are found when encoded."""
    line = line.removeprefix(codecs.BOM_UTF8).removesuffix(b"\r")
    return _parse(line.decode("utf-8", "surrogateescape"))


def _parse(text: str) -> Any:
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


def _names(values: Iterable[Any]) -> list[str] | None:
    """The keys of all rows, nested ones with dots; None if there is no row."""
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
    """The keys in the first MiB of lines."""

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


def _batch(
    rows: list[tuple[int, Any]], names: Sequence[str], malformed: list[tuple[int, str]]
) -> RawBatch:
    """A batch of numbered rows, one by one; `malformed` gets those that are no rows."""
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
    """The rows line by line: for blocks that the fast way can't read, and to find a broken line."""
    rows: list[tuple[int, Any]] = []
    malformed: list[tuple[int, str]] = []
    for number, line in enumerate(block.split(b"\n"), first):
        if not line.removeprefix(codecs.BOM_UTF8).strip():
            continue
        try:
            value = _value(line)
        except (ValueError, RecursionError) as error:
            problem = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
            malformed.append((number, f"not JSON: {problem}"))
            continue
        rows.extend((number, row) for row in _rows([value]))
    return _batch(rows, names, malformed)


def _samples(block: bytes) -> list[dict[str, Any]]:
    """The first rows of a block."""
    found = []
    for line in block[: 1 << 16].splitlines()[:32]:
        try:
            found.append(_value(line))
        except (ValueError, RecursionError):
            continue
    return [row for row in found if isinstance(row, dict)]


def _schema(block: bytes, names: Sequence[str]) -> "dict[str, pl.DataType] | None":
    """The types with which Polars is to read the needed columns.

    A column has the type of its first value in the first rows, and is text if there it has none. A name
    with dots may be a key itself or lead into structs: it is looked for as both. For the names `Seq`
    and `sender.role` and the row `{"Seq": 7, "sender": {"role": "Agent", "subject": "me"}}`:

        Seq           Int64
        sender.role   String
        sender        Struct(role: String)       subject is not decoded

    None if a value is of no such type, or a name would be both a column and a struct.
    """
    import polars as pl

    types = {str: pl.String(), bool: pl.Boolean(), int: pl.Int64(), float: pl.Float64()}
    types[list] = pl.List(pl.String)
    samples = _samples(block)
    tree: dict[str, Any] = {}
    for name in names:
        found = (look_up(row, name) for row in samples)
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
    """The columns of a block in which every line is one plain row; None for any other."""
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
            # Among the values may be a whole number that a float does not hold.
            return None
        columns[name] = column
    return columns


def _is_dubious(column: pa.LargeStringArray) -> bool:
    """Whether a text may stand for an object, a list or half a character.

    Polars gives objects and lists in a column of text as their JSON, and half a character as a zero byte.
    """
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
    """The rows of a JSON document: one page of Connect REST, or an array of pages or rows."""
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
