"""JSON as whole columns, by layout or by Polars; of lines, and of texts in a column. Pure; no Beam."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.reading.formats.json_by_layout import Decoded, decode_by_layout
from transforms.reading.formats.json_values import (
    KEYS_OF_PAGES,
    batch_of,
    may_be_pages,
    parse,
    value_of,
)
from transforms.reading.formats.lines import count_lines
from transforms.reading.formats.parts import leading_parts, look_up

# Importing Polars takes a while; files of CSV and Parquet do without, and JSON of few layouts.
if TYPE_CHECKING:
    import polars as pl


def decode_lines(block: bytes, names: Sequence[str]) -> Decoded | None:
    """The columns of a block of lines, of which every one is a plain row; None for any other block.

    Args:
      block: whole lines.
      names: the columns that are asked for, nested ones with dots; one that no row has is left out.
    """
    return decode_by_layout(block, names) or decode_by_polars(block, names)


def decode_by_polars(block: bytes, names: Sequence[str]) -> Decoded | None:
    """The same, whatever the layouts of the lines."""
    import polars as pl

    request = _request(block, names)
    if request is None:
        return None
    try:
        # Without a column Polars would not count the rows.
        frame = pl.read_ndjson(block, schema=request.schema or {"": pl.String()})
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    if frame.height != count_lines(block):
        return None
    columns = {}
    for name in request.names:
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
        is_text = pa.types.is_large_string(column.type)
        if is_text and _is_dubious(column, may_be_json=name in request.of_json):
            return None
        if pa.types.is_floating(column.type) and pc.max(pc.abs(column)).as_py() >= 2.0**53:
            # Among the values may be a whole number that a float does not hold.
            return None
        columns[name] = column
    return Decoded(frame.height, columns)


def columns_of_texts(texts: pa.Array, names: Sequence[str]) -> dict[str, pa.Array]:
    """The columns of texts that are JSON objects, one row for each text.

    Args:
      texts: no nulls. One that is no object gives a row of nulls.
      names: the columns that are asked for, nested ones with dots.
    """
    plain = pc.starts_with(pc.utf8_ltrim_whitespace(texts), "{")
    lines = pc.if_else(plain, pc.replace_substring_regex(texts, "[\r\n]", " "), "{}")
    block = "\n".join([*lines.to_pylist(), ""]).encode()
    decoded = decode_lines(block, names) if len(texts) else Decoded(0, {})
    if decoded is not None:
        return decoded.columns
    rows: list[tuple[int, Any]] = []
    for number, line in enumerate(lines.to_pylist()):
        try:
            rows.append((number, parse(line)))
        except (ValueError, RecursionError):
            continue
    raw = batch_of(rows, names, [])
    place = np.full(len(texts), -1)
    place[raw.rows()] = np.arange(raw.num_rows)
    where = pa.array(place, mask=place < 0)
    return {name: column.take(where) for name, column in raw.columns.items()}


def _samples(block: bytes) -> list[dict[str, Any]]:
    """The first rows of a block."""
    found = []
    for line in block[: 1 << 16].splitlines()[:32]:
        try:
            found.append(value_of(line))
        except (ValueError, RecursionError):
            continue
    return [row for row in found if isinstance(row, dict)]


class _Request(NamedTuple):
    """What Polars is asked for.

    Attributes:
      schema: the columns of the lines, with their types.
      names: the columns that are wanted of them.
      of_json: those of these that hold JSON as text.
    """

    schema: "dict[str, pl.DataType]"
    names: list[str]
    of_json: set[str]


def _request(block: bytes, names: Sequence[str]) -> _Request | None:
    """The types with which Polars is to read the needed columns.

    A column has the type of its first value in the first rows, and is text if there it has none. A name
    with dots may be a key itself or lead into structs: it is looked for as both. For the names `Seq`
    and `sender.role` and the row `{"Seq": 7, "sender": {"role": "Agent", "subject": "me"}}`:

        Seq           Int64
        sender.role   String
        sender        Struct(role: String)       subject is not decoded

    Where `sender` is a text, the text itself is read.

    None if a value is of no such type, a name would be both a column and a struct, or among the lines may
    be pages.
    """
    import polars as pl

    types = {str: pl.String(), bool: pl.Boolean(), int: pl.Int64(), float: pl.Float64()}
    types[list] = pl.List(pl.String)
    there = _maybe_there(block, names)
    if there is None:
        return None
    samples = _samples(block)
    texts = {part: _is_text(samples, part) for name in there for part in leading_parts(name)}
    wanted, of_json = [], set()
    for name in there:
        outer = [part for part in leading_parts(name) if part != name and texts[part]]
        if outer and f'"{name}"'.encode() in block:
            # A row may have the value under the whole name.
            return None
        # The outermost: what is inside of it is no column.
        wanted.append(outer[-1] if outer else name)
        if outer or texts[name] == _JSON:
            of_json.add(wanted[-1])
    wanted = list(dict.fromkeys(wanted))
    if any(_has_objects(block, name) for name in of_json):
        return None
    tree: dict[str, Any] = {}
    for name in wanted:
        value = next((v for row in samples if (v := look_up(row, name)) is not None), "")
        kind = pl.String() if name in of_json else types.get(type(value))
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

    return _Request({name: build(node) for name, node in tree.items()}, wanted, of_json)


def _has_objects(block: bytes, name: str) -> bool:
    """Whether a row may have an object or a list where others have it as text.

    Polars would make a text of it, which is not the one that was written.
    """
    key = re.escape(name.rpartition(".")[2]).encode()
    return re.search(key + rb'"\s*:\s*[\[{]', block) is not None


_PLAIN, _JSON = "plain", "JSON"


def _is_text(samples: Sequence[dict[str, Any]], name: str) -> str:
    """Whether the first rows have texts under a name, and whether one may be JSON."""
    found = [value for row in samples if isinstance(value := look_up(row, name), str)]
    if any(text.lstrip()[:1] in ("{", "[") for text in found):
        return _JSON
    return _PLAIN if found else ""


def may_have_pages(block: bytes) -> bool:
    """Whether among the values in the lines of a block may be pages."""
    return _maybe_there(block, []) is None


def _maybe_there(block: bytes, names: Sequence[str]) -> list[str] | None:
    """The names that rows of a block may have: to read a column that no row has takes as long as one.

    A name is there as a key, `"Id"`, or leads into one, `"sender`. None if among the rows may be pages.
    """
    keys = {name: f'"{name.split(".")[0]}' for name in names}
    found = _found([*keys.values(), *(f'"{key}"' for key in KEYS_OF_PAGES)], block)
    if may_be_pages({text.strip('"') for text in found if text.endswith('"')}):
        return None
    # The letters of a key may be escaped.
    if b"\\" in block and re.search(rb"\\u00[2-7]", block):
        return list(names)
    return [name for name in names if keys[name] in found]


def _found(sought: Sequence[str], block: bytes) -> set[str]:
    """The texts that a block has anywhere, by one search for all that are not in its first rows."""
    head = block[: 1 << 13]
    found = {text for text in sought if text.encode() in head}
    rest = sorted(set(sought) - found)
    # One text: the block itself, not a copy.
    edges = pa.py_buffer(np.array([0, len(block)]))
    whole = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), 1, [None, edges, pa.py_buffer(block)]
    )
    while rest:
        any_of = "|".join(re.escape(text[1:]) for text in rest)
        (match,) = pc.extract_regex(whole, f'"(?P<key>{any_of})').to_pylist()
        if match is None:
            break
        text = f'"{match["key"].decode()}'
        found.add(text)
        rest.remove(text)
    return found


def _is_dubious(column: pa.LargeStringArray, may_be_json: bool) -> bool:
    """Whether a text may stand for an object, a list or half a character.

    Polars gives objects and lists in a column of text as their JSON, and half a character as a zero byte.
    In a column of texts that are JSON themselves the first makes no difference.
    """
    offsets = np.frombuffer(column.buffers()[1], np.int64)[column.offset :][: len(column) + 1]
    data = np.frombuffer(column.buffers()[2] or b"", np.uint8)
    first = data[offsets[:-1][offsets[:-1] < offsets[1:]]]
    made = (first == ord("{")) | (first == ord("["))
    return bool((made.any() and not may_be_json) or not data[offsets[0] : offsets[-1]].all())
