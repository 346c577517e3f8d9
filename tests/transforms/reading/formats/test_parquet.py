"""Parquet to raw columns, whole and in parts."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.files_of_rows import SAME, parquet, read_all, scan, with_sizes
from transforms.errors import InputError
from transforms.reading.formats import parquet as parquet_format


@pytest.mark.parametrize(("way", "most"), [("read_row_group", 4), ("iter_batches", 0)])
def test_only_the_needed_columns_of_parquet_are_decoded(monkeypatch, way, most):
    asked = []
    original = getattr(pq.ParquetFile, way)

    def read(self, *args, columns, **kwargs):
        asked.append(columns)
        return original(self, *args, columns=columns, **kwargs)

    monkeypatch.setattr(pq.ParquetFile, way, read)
    monkeypatch.setattr(parquet_format, "_MOST_ROWS_AT_ONCE", most)
    scan("f.parquet", SAME["nested.parquet"])
    assert [set(columns) for columns in asked] == [
        {"relatedRecords", "identifier", "serverReceivedTimestamp", "sender.role", "entryType",
         "Seq"}
    ]  # fmt: skip


@given(st.integers(0, 40), st.integers(1, 9), st.integers(1, 500), st.integers(1, 5))
def test_parquet_is_the_same_however_it_is_cut(size, group, part, batch):
    table = pa.table({"message_id": pa.array([f"m{i}" for i in range(size)], pa.string())})
    data = parquet(table, row_group_size=group)
    found = with_sizes(part, 1 << 20, batch, lambda: scan("f.parquet", data))
    assert found == ([(i + 1, {"message_id": f"m{i}"}) for i in range(size)], [])


BROKEN = pa.array([b"m1", b"m\xff"], pa.binary()).view(pa.string())


@pytest.mark.parametrize("most", [4, 0])
@pytest.mark.parametrize("column", [BROKEN, BROKEN.dictionary_encode()])
def test_a_text_that_is_no_utf8_is_told(column, most, monkeypatch):
    """Arrow reads it as it is."""
    monkeypatch.setattr(parquet_format, "_MOST_ROWS_AT_ONCE", most)
    data = parquet(pa.table({"message_id": column}))
    with pytest.raises(InputError, match=r"^f.parquet: can't be read: column message_id: .*UTF8"):
        read_all("f.parquet", data)


def test_a_page_whose_checksum_is_wrong_is_told():
    """A broken instant would be a wrong number."""
    table = pa.table({"message_id": pa.array(["m1", "m2"])})
    options = {"write_page_checksum": True, "use_dictionary": False, "write_statistics": False}
    data = parquet(table, compression="none", **options)
    assert scan("f.parquet", data) == ([(1, {"message_id": "m1"}), (2, {"message_id": "m2"})], [])
    at = data.index(b"m2")
    broken = data[:at] + b"m3" + data[at + 2 :]
    with pytest.raises(InputError, match=r"^f.parquet: can't be read: .*CRC"):
        read_all("f.parquet", broken)
