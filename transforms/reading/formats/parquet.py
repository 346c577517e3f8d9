"""Parquet: a part is a range of row groups."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.reading.columns import RawBatch
from transforms.reading.formats import parts
from transforms.reading.formats.parts import (
    Decode,
    Format,
    Open,
    Part,
    RowCounter,
    already,
    columns_of,
    columns_to_read,
    counted,
    is_text,
)

# A text column with fewer bytes for each row must have values that repeat.
_REPEATING_BYTES = 8

# A row group of more batches' worth of rows is read batch by batch.
_MOST_ROWS_AT_ONCE = 4


def _names(file: IO[bytes]) -> list[str]:
    """The columns, those inside structs with dots; a list under its own name, without what is in it."""
    schema = pq.ParquetFile(file).schema
    leaves = (schema.column(i).path.split(".list.")[0] for i in range(len(schema)))
    return list(dict.fromkeys(leaves))


def _parts(file: IO[bytes], size: int) -> list[Part]:
    """Ranges of row groups, each some `PART_BYTES` of columns."""
    metadata = pq.ParquetFile(file).metadata
    found, start, num_bytes = [], 0, 0
    for group in range(metadata.num_row_groups):
        num_bytes += metadata.row_group(group).total_byte_size
        if num_bytes >= parts.PART_BYTES:
            found.append(Part(start, group + 1))
            start, num_bytes = group + 1, 0
    if start < metadata.num_row_groups:
        found.append(Part(start, metadata.num_row_groups))
    return found


def _repeats(file: pq.ParquetFile, name: str) -> bool:
    """Whether a text column is so small in the file that its values must be repeating."""
    if name not in file.schema_arrow.names or not file.metadata.num_row_groups:
        return False
    if not pa.types.is_string(file.schema_arrow.field(name).type):
        return False
    group = file.metadata.row_group(0)
    chunks = (group.column(i) for i in range(group.num_columns))
    (size,) = (c.total_uncompressed_size for c in chunks if c.path_in_schema == name)
    return size < _REPEATING_BYTES * group.num_rows


def _read(open_file: Open, part: Part, names: Sequence[str]) -> Iterator[Decode]:
    with open_file() as file:
        parquet = pq.ParquetFile(file)
        leaves = _names(file)
        columns = columns_to_read(names, leaves)
        # Ids of sessions, roles and types repeat; they stay the dictionary codes that the file has.
        texts = [name for name in columns if _repeats(parquet, name)]
        parquet = _file(file, parquet.metadata, texts)
        before = sum(parquet.metadata.row_group(i).num_rows for i in range(part.start))
        counter = RowCounter(lambda: 1 + before)
        for group in range(part.start, part.end or 0):
            num_rows = parquet.metadata.row_group(group).num_rows
            if num_rows <= _MOST_ROWS_AT_ONCE * parts.BATCH_ROWS:
                first = counter.advance(num_rows)
                yield functools.partial(
                    _decode_row_group, open_file, parquet.metadata, texts, group, columns, first
                )
                continue
            for batch in parquet.iter_batches(
                parts.BATCH_ROWS, row_groups=[group], columns=columns
            ):
                rows = counted(counter.advance(len(batch)), len(batch))
                raw = RawBatch(_checked(columns_of(batch, columns)), len(batch), rows)
                yield functools.partial(already, raw)


def _decode_row_group(
    open_file: Open,
    metadata: pq.FileMetaData,
    texts: Sequence[str],
    group: int,
    columns: Sequence[str],
    first: Callable[[], int],
) -> RawBatch:
    with open_file() as file:
        parquet = _file(file, metadata, texts)
        table = parquet.read_row_group(group, columns=list(columns), use_threads=False)
    return RawBatch(_checked(columns_of(table, columns)), len(table), counted(first, len(table)))


def _file(file: IO[bytes], metadata: pq.FileMetaData, texts: Sequence[str]) -> pq.ParquetFile:
    """A file for reading, with the checksums of its pages compared where it has any."""
    return pq.ParquetFile(
        file, metadata=metadata, read_dictionary=texts, page_checksum_verification=True
    )


def _checked(columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """The columns; raises ValueError for one that holds what its type can't, as in a broken file.

    Arrow does not look at what it reads: a text may be any bytes.
    """
    for name, column in columns.items():
        try:
            if not _is_ascii(column):
                column.validate(full=True)
        except pa.ArrowInvalid as error:
            raise ValueError(f"column {name}: {error}") from error
    return columns


def _is_ascii(column: pa.Array) -> bool:
    """Whether all bytes of a column of texts are ASCII, which takes a fifth of a full validation."""
    if not is_text(column.type) or pa.types.is_dictionary(column.type):
        return False
    data = column.buffers()[-1]
    return data is None or not len(data) or int(np.frombuffer(data, np.uint8).max()) < 0x80


PARQUET = Format(lambda file: 3.0, _names, _parts, _read)
