"""The numbers of values that stand in dictionaries."""

import pyarrow as pa
import pytest

from transforms.plumbing.dictionaries import (
    compacted,
    merged,
    numbers_of,
    one_array,
    one_batch,
)

NUMBERS = {"a": 1, "b": 2, "c": 3}


def encoded(*texts):
    return pa.array(texts, pa.string()).dictionary_encode()


@pytest.mark.parametrize(
    "columns",
    [
        ["aba", "cca"],
        ["", "b", ""],
        ["abcabc"],
    ],
)
def test_each_value_has_its_number_and_is_looked_up_once(columns):
    asked = []

    def number(texts):
        asked.append(texts.to_pylist())
        return pa.array([NUMBERS[text] for text in texts.to_pylist()], pa.int32())

    found = numbers_of([encoded(*column) for column in columns], number)
    assert found.tolist() == [NUMBERS[text] for text in "".join(columns)]
    assert asked == [[text for column in columns for text in dict.fromkeys(column)]]


def test_a_part_of_a_column_is_taken_by_its_own_codes():
    column = encoded("a", "b", "c", "b")[1:]
    found = numbers_of([column], lambda texts: pa.array([NUMBERS[t.as_py()] for t in texts]))
    assert found.tolist() == [2, 3, 2]


def test_a_table_becomes_one_batch_with_one_dictionary():
    batches = [
        pa.record_batch({"id": encoded(*ids), "n": pa.array(range(len(ids)), pa.int64())})
        for ids in ("ab", "", "cb")
    ]
    batch = one_batch(pa.Table.from_batches(batches))
    assert batch.column("id").to_pylist() == ["a", "b", "c", "b"]
    assert batch.column("id").dictionary.to_pylist() == ["a", "b", "c"]
    assert batch.column("n").to_pylist() == [0, 1, 0, 1]
    assert one_batch(pa.Table.from_batches(batches[:1])).equals(batches[0])


def test_batches_of_one_schema_and_metadata_become_one():
    def batch(*ids, earliest=None):
        metadata = earliest and {b"earliest_us": earliest}
        fields = [pa.field("id", encoded("a").type), pa.field("n", pa.int8(), metadata=metadata)]
        columns = [encoded(*ids), pa.array(range(len(ids)), pa.int8())]
        return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))

    other = pa.record_batch({"n": [1]})
    batches = [
        batch("a", earliest="5"),
        batch("b"),
        other,
        batch("c", earliest="6"),
        batch("b", "d"),
    ]
    found = merged([*batches, batch("e", "a", earliest="5")])
    ids = [one.column("id").to_pylist() if "id" in one.schema.names else None for one in found]
    assert ids == [["a", "e", "a"], ["b", "b", "d"], None, ["c"]]
    assert found[0].column("id").dictionary.to_pylist() == ["a", "e"]
    assert found[0].column("n").to_pylist() == [0, 0, 1]
    for one, before in zip(found, [batches[0], batches[1], other, batches[3]], strict=True):
        assert one.schema.equals(before.schema, check_metadata=True)
    assert merged([]) == []


def test_one_chunk_is_not_copied():
    chunk = pa.array([1, 2])
    assert one_array(pa.chunked_array([chunk])).buffers()[1].address == chunk.buffers()[1].address
    assert one_array(pa.chunked_array([chunk, [3]])).to_pylist() == [1, 2, 3]
    assert one_array(pa.chunked_array([], pa.int64())).to_pylist() == []


def test_a_dictionary_keeps_the_values_that_are_used():
    codes = pa.array([2, None, 0, 2], pa.int8())
    column = pa.DictionaryArray.from_arrays(codes, pa.array(["a", "b", "c"]))
    batch = pa.record_batch({"id": column, "n": pa.array([1, 2, 3, 4])})
    found = compacted(batch)
    assert found.schema.equals(batch.schema)
    assert found.to_pylist() == batch.to_pylist()
    assert found.column("id").dictionary.to_pylist() == ["c", "a"]
