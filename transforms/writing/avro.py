"""Avro's binary encoding, by array operations. Pure; no Beam."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas import avro_schema, is_nullable, symbols_of
from transforms.plumbing import texts

_LINE = 64  # bytes of the processor's caches

# Avro's binary encoding, by array operations: each byte of the numbers that stand side by side is an
# array over the rows, and what they make up is joined with the texts row by row.


Numbers = tuple[NDArray[np.signedinteger] | NDArray[np.bool_], NDArray[np.bool_] | None]
"""The values of a field, and which of them are stated, where it is a union with null, which comes first.

What is not stated is from -64 to 63.
"""


def avro_rows(columns: Sequence[pa.Array | Numbers], schema: str) -> pa.BinaryArray:
    """Rows in Avro's binary encoding.

    Args:
      columns: one for each field of the schema, in that order; texts also as dictionaries, numbers also
        as `avro_numbers` takes them.
      schema: its name.
    """
    fields = list(zip(columns, avro_schema(schema)["fields"], strict=True))
    parts = []
    for is_text, run in itertools.groupby(fields, lambda field: _is_text(field[1])):
        if is_text:
            for column, field in run:
                parts += _texts(column, is_nullable(field))
        else:
            parts.append(avro_numbers([_numbers(*field) for field in run]))
    return joined(parts)


def _is_text(field: dict[str, Any]) -> bool:
    return field["type"] in ("string", ["null", "string"])


def joined(parts: Sequence[pa.Array | bytes]) -> pa.BinaryArray:
    """The bytes of columns side by side, end to end in each row."""
    return pc.binary_join_element_wise(*parts, b"")


def _numbers(column: pa.Array | Numbers, field: dict[str, Any]) -> Numbers:
    if isinstance(column, tuple):
        return column
    nullable = is_nullable(field)
    stated = column.is_valid().to_numpy(zero_copy_only=False) if nullable else None
    if symbols := symbols_of(field):
        column = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        places = pc.index_in(column.dictionary, pa.array(symbols))
        return places.take(column.indices).to_numpy(), stated
    if pa.types.is_boolean(column.type):
        return column.fill_null(False).to_numpy(zero_copy_only=False), stated
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return column.fill_null(0).to_numpy(), stated


def avro_numbers(columns: Sequence[Numbers]) -> pa.BinaryArray:
    """Numbers side by side: zigzag varints, booleans as a byte."""
    numbers = [(_zigzag(values), stated) for values, stated in columns]
    widths = [max(1, -(-int(values.max(initial=0)).bit_length() // 7)) for values, _ in numbers]
    places = sum(widths) + sum(stated is not None for _, stated in numbers)
    count = len(numbers[0][0])
    # By place in the row, a byte of each row, and whether the row has it. They are read across, so each
    # array begins in another set of the cache than the last.
    stride = -(-count // _LINE) * _LINE + _LINE
    data = np.empty((places, stride), np.uint8)[:, :count]
    used = np.empty((places, stride), bool)[:, :count]
    goes_on = np.zeros((places, 1), np.uint8)  # in the next place, if that is used
    place = 0
    for (values, stated), width in zip(numbers, widths, strict=True):
        used[place] = True
        if stated is not None:
            data[place] = stated.view(np.uint8) << 1
            place += 1
            used[place] = stated
        rest: NDArray[Any] = values
        data[place] = rest
        for _ in range(width - 1):
            goes_on[place] = 0x80
            place += 1
            np.greater(rest, 0x7F, out=used[place])
            rest = rest >> 7
            data[place] = rest
        place += 1
    data &= 0x7F
    data[:-1] |= used[1:].view(np.uint8) * goes_on[:-1]
    ends = np.cumsum(used.view(np.uint8).sum(axis=0, dtype=np.uint16), dtype=np.int32)
    offsets = np.concatenate([np.zeros(1, np.int32), ends])
    return pa.BinaryArray.from_buffers(
        pa.binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(data.T[used.T])]
    )


def _zigzag(values: NDArray[Any]) -> NDArray[np.unsignedinteger]:
    if values.dtype == bool:
        return values.view(np.uint8)
    sign = 8 * values.itemsize - 1
    return ((values << 1) ^ (values >> sign)).view(f"u{values.itemsize}")


def avro_texts(column: pa.Array) -> list[pa.BinaryArray]:
    """Lengths, and UTF-8 bytes."""
    return [avro_numbers([(texts.lengths_of(column), None)]), column.cast(pa.binary())]


def _texts(column: pa.Array, nullable: bool) -> list[pa.BinaryArray]:
    if pa.types.is_dictionary(column.type):
        values = joined(_texts(column.dictionary, nullable))
        if column.null_count:
            values = pa.concat_arrays([values, pa.array([varint(0)], values.type)])
        return [values.take(column.indices.fill_null(len(values) - 1))]
    if not nullable:
        return avro_texts(column)
    stated = joined([varint(1), *avro_texts(column.fill_null(""))])
    return [pc.if_else(column.is_valid(), stated, varint(0))]


def varint(number: int) -> bytes:
    """One integer."""
    return avro_numbers([(np.array([number]), None)])[0].as_py()
