"""Columns of dictionary codes: values looked up once each, batches put together. No Beam."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def numbers_of(
    columns: Sequence[pa.DictionaryArray], number: Callable[[pa.Array], pa.Array]
) -> NDArray[np.int32]:
    """The number of each value of several columns.

        columns        dictionaries      numbers of a, b and c are 1, 2 and 3
        a b a          a b               1 2 1
        c c a          c a               3 3 1

    Args:
      columns: no nulls.
      number: gives the int32 number of each text of an array, no nulls. It is called once, with all
        dictionaries, for it may have to make a table of its own.

    Returns:
      A number per value, in the order of the columns.
    """
    numbers = number(pa.concat_arrays([column.dictionary for column in columns])).to_numpy()
    ends = np.cumsum([len(column.dictionary) for column in columns[:-1]], dtype=np.intp)
    return np.concatenate(
        [
            number_of_code.take(column.indices.to_numpy())
            for number_of_code, column in zip(np.split(numbers, ends), columns, strict=True)
        ]
    )


def merged(batches: Iterable[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """Puts together the batches that have the same schema; a column of codes gets one dictionary.

    Metadata count, for in them `keying.narrowing` keeps an instant from which those of the rows are
    counted.

    Returns:
      A batch for each schema; the rows keep their order.
    """
    of_schema: dict[bytes, list[pa.RecordBatch]] = {}
    for batch in batches:
        of_schema.setdefault(batch.schema.serialize().to_pybytes(), []).append(batch)
    return [one_batch(pa.Table.from_batches(alike)) for alike in of_schema.values()]


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """The rows of a table as one batch; a column of codes gets one dictionary."""
    columns = [one_array(column) for column in table.unify_dictionaries().columns]
    return pa.RecordBatch.from_arrays(columns, schema=table.schema)


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """The chunks as one array; if there is one, the chunk itself, which `combine_chunks` would copy."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def compacted(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with dictionaries that have only the values that its rows use."""
    columns = [
        column.dictionary_decode().dictionary_encode().cast(column.type)
        if pa.types.is_dictionary(column.type)
        else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)
