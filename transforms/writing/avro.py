"""Avro's binary encoding, by array operations. Pure; no Beam.

Each byte of the numbers that stand side by side in a row is an array over the rows. The bytes of the
numbers are then joined with those of the texts, row by row. Measured on two cores: the 3.6 million
records of ten million messages take 1.7 s of processor time so, and 25 to 30 s with fastavro, to which
each record goes as a dict.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas import avro_schema, is_nullable, symbols_of
from transforms.plumbing import texts

Numbers = tuple[NDArray[np.signedinteger] | NDArray[np.bool_], NDArray[np.bool_] | None]
"""The values of a field and, for a union of null and the type, which of them are stated; else None.

A value that is not stated must be from -64 to 63: as long, encoded, as the null that is written for it.
"""


def avro_rows(columns: Sequence[pa.Array | Numbers], schema: str) -> pa.BinaryArray:
    """Encodes rows; one value per row.

    Args:
      columns: one for each field of the schema, in that order: arrays, also dictionaries of texts, or
        `Numbers`.
      schema: the name of the schema.
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
    """Joins the bytes of columns, row by row."""
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
    """Encodes the numbers that stand side by side in each row; one value per row.

    Integers become zigzag varints, booleans a byte; before a field that may be null stands the branch of
    the union, 0 for null and 1 for the value.

    Args:
      columns: one for each field, of the same length.
    """
    # Two rows of a long and an int that may be null: (300, null) and (1, 7).
    #
    # - Zigzag (2n, or -2n - 1 if n is negative): 300 becomes 600, 1 becomes 2, 7 becomes 14.
    # - Varint: seven bits a byte, the lowest first; bit 0x80 says that another byte follows.
    #   600 = 0b100_1011000 takes two bytes, D8 04; 2 takes one, 02.
    # - The longest value of a column decides how many places the column has: two for the long, one for
    #   the int, and one more for the branch of the union before the int (0 is written 00, and 1 02).
    #
    #     place       0     1     2       3
    #     data        D8    04    00      00      row 0
    #     used        yes   yes   yes     no      null is its branch alone
    #     data        02    00    02      0E      row 1
    #     used        yes   no    yes     yes     2 is at most 0x7F, so nothing follows it
    #     goes_on     0x80  0     0       0       if the next place is used, it goes on with this value
    #
    # What is used, row by row, is the result: D8 04 00 and 02 02 0E.
    numbers = [(_zigzag(values), stated) for values, stated in columns]
    widths = [max(1, -(-int(values.max(initial=0)).bit_length() // 7)) for values, _ in numbers]
    places = sum(widths) + sum(stated is not None for _, stated in numbers)
    count = len(numbers[0][0])
    # `data[p]` is byte p of every row; `used[p]` says which rows have it.
    data = np.empty((places, count), np.uint8)
    used = np.empty((places, count), bool)
    goes_on = np.zeros((places, 1), np.uint8)
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
    """0, -1, 1, -2, ... to 0, 1, 2, 3, ...; booleans to 0 and 1."""
    if values.dtype == bool:
        return values.view(np.uint8)
    sign = 8 * values.itemsize - 1
    return ((values << 1) ^ (values >> sign)).view(f"u{values.itemsize}")


def avro_texts(column: pa.Array) -> list[pa.BinaryArray]:
    """Encodes texts, none of them null, as two columns: the length in bytes, and the UTF-8 bytes."""
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
    """Encodes one integer.

    >>> varint(300).hex()
    'd804'
    """
    return avro_numbers([(np.array([number]), None)])[0].as_py()
