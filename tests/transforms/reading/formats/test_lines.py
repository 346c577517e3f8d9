"""Files of lines, cut anywhere."""

import io
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.files_of_rows import SIZES, with_sizes
from transforms.reading.formats import parts
from transforms.reading.formats.lines import (
    count_lines,
    line_part,
    line_start,
    read_ahead,
    read_lines,
)
from transforms.reading.formats.parts import WHOLE, Part, byte_ranges


def test_a_line_begins_after_a_line_end():
    data = b"one\ntwo\nthree"
    found = [line_start(io.BytesIO(data), offset, len(data)) for offset in range(-1, 14)]
    assert found == [0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 13, 13, 13, 13, 13]


def test_a_block_of_lines_ends_with_a_line_end(monkeypatch):
    monkeypatch.setattr(parts, "BLOCK_BYTES", 3)
    file = io.BytesIO(b"a\nbcd\ne\n\nf")
    assert list(read_lines(file, 6)) == [b"a\nbcd\n"]
    assert list(read_lines(file, None)) == [b"e\n\n", b"f"]
    assert list(read_lines(file, None)) == []


def test_blocks_are_read_ahead(monkeypatch):
    monkeypatch.setattr(parts, "BLOCK_BYTES", 2)
    second_is_asked_for = threading.Event()

    def blocks():
        yield b"ab"
        second_is_asked_for.set()
        yield b"cd"
        yield b"e"
        raise OSError("gone")

    reading = read_ahead(blocks())
    assert next(reading) == b"ab"
    assert second_is_asked_for.wait(30)
    assert [next(reading), next(reading)] == [b"cd", b"e"]
    with pytest.raises(OSError, match="gone"):
        next(reading)
    assert list(read_ahead(iter([b"ab", b"c"]))) == [b"ab", b"c"]
    assert list(read_ahead(iter([b"a"]))) == [b"a"]
    assert list(read_ahead(iter([]))) == []


def test_lines_are_counted_with_a_last_one_that_has_no_end():
    blocks = (b"a\n", b"a\nb", b"\n\n", b"a", b"a\n" * (1 << 20) + b"b")
    assert [count_lines(block) for block in blocks] == [1, 2, 2, 1, (1 << 20) + 1]


@pytest.mark.parametrize("reader", [io.BufferedReader, lambda data: data], ids=["local", "other"])
def test_a_file_that_has_become_shorter_meanwhile(monkeypatch, reader):
    monkeypatch.setattr(parts, "BLOCK_BYTES", 2)
    data = io.BytesIO(b"a\nb\nc\nd\n")
    blocks, _ = line_part(lambda: reader(data), reader(data), Part(0, 8))
    assert next(blocks) == b"a\n"
    data.truncate(4)
    assert list(blocks) == [b"b\n"]


@given(st.text("ab\n", max_size=60).map(str.encode), SIZES, SIZES, st.booleans())
def test_each_line_is_in_one_part_with_its_number(data, part_bytes, block_bytes, is_local):
    def open_file():
        # A file of this machine is read by a `BufferedReader`.
        return io.BufferedReader(io.BytesIO(data)) if is_local else io.BytesIO(data)

    def read(part):
        blocks, first_line = line_part(open_file, open_file(), part)
        blocks = [*blocks]
        assert all(block.endswith(b"\n") for block in blocks[:-1])
        assert all(len(block) <= block_bytes + 60 for block in blocks)
        return b"".join(blocks), first_line()

    def check():
        found = [read(part) for part in byte_ranges(len(data))]
        assert b"".join(text for text, _ in found) == data == read(WHOLE)[0]
        lines = data.split(b"\n")
        for text, number in found:
            if text:
                assert text.split(b"\n")[0] == lines[number - 1]

    with_sizes(part_bytes, block_bytes, 1, check)
