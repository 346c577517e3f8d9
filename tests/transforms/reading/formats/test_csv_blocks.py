"""Blocks of CSV, read at once and record by record."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.files_of_rows import NAMES, SAME, rows_of
from transforms.reading.formats import csv as csv_format
from transforms.reading.formats import csv_blocks
from transforms.reading.formats.csv_blocks import Header, whole_records

WHOLE_RECORDS = st.sampled_from(
    [b"a,b\n", b"1,2,3\n", b"6\n", b'"x\ny",2\n', b'"x\ny"\n', b",,,\n", b" \n", "é,\n".encode()]
)


@given(
    st.lists(st.binary(max_size=6) | st.text('ab,"\r\n', max_size=8).map(str.encode))
    | st.lists(WHOLE_RECORDS)
)
def test_the_fast_way_of_csv_says_what_the_slow_one_says(pieces):
    block = b"".join([*pieces, b"\n"])
    header = Header(["a", "b"], ",", 0)
    records = whole_records(block, ",", last=True)
    if not records.are_orderly:
        return
    fast = csv_blocks.fast(records, lambda: 1, header, ["a", "b"])
    if fast is None:
        return
    slow, used = csv_blocks.slowly(block, 1, header, ["a", "b"], True)
    assert used == len(block)
    assert list(fast.malformed) == slow.malformed
    assert rows_of(fast.columns, ["a", "b"]) == rows_of(slow.columns, ["a", "b"])
    assert fast.rows().tolist() == slow.rows().tolist()


def test_records_of_too_many_or_too_few_fields_are_read_the_fast_way():
    block = b'a,b\n"x\ny",2\n1,2,3\n4,"5"\n6\n,,,,\n7,8\n9,9,'
    header = Header(["a", "b"], ",", 0)
    fast = csv_blocks.fast(whole_records(block, ",", True), lambda: 10, header, ["a", "b"])
    assert fast.malformed == [
        (13, "3 fields, the header has 2"),
        (15, "1 fields, the header has 2"),
        (16, "5 fields, the header has 2"),
        (18, "3 fields, the header has 2"),
    ]
    assert rows_of(fast.columns, ["b"]) == {"b": ["b", "2", "5", "8"]}
    assert fast.rows().tolist() == [10, 11, 14, 17]
    # A record of several lines is one malformed row.
    block += b'\n"x\ny",2,3\n5,"6"'
    fast = csv_blocks.fast(whole_records(block, ",", True), lambda: 10, header, ["a", "b"])
    assert fast.malformed[-1] == (19, "3 fields, the header has 2")
    assert fast.rows().tolist() == [10, 11, 14, 17, 21]


def test_a_blank_line_is_no_record():
    """The fast way leaves it to the slow one, which passes over it."""
    header = Header(["a", "b"], ",", 0)
    records = whole_records(b"1,2\n \n1,2,3\n", ",", last=True)
    assert csv_blocks.fast(records, lambda: 1, header, ["a"]) is None
    raw, _ = csv_blocks.slowly(records.block, 1, header, ["a"], True)
    assert (raw.rows().tolist(), raw.malformed) == ([1], [(3, "3 fields, the header has 2")])


@pytest.mark.parametrize("name", ["minimal.csv", "crlf.csv", "one_line.csv"])
def test_a_plain_block_of_csv_is_read_the_fast_way(name):
    header, block = SAME[name].split(b"\n", 1)
    found = csv_format._header(io.BytesIO(header))
    records = whole_records(block, ",", last=False)
    assert records.are_orderly
    assert csv_blocks.fast(records, lambda: 1, found, NAMES) is not None
