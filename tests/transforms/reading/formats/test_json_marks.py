"""Lines of JSON as places in a block."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.reading.formats import json_marks
from transforms.reading.formats.json_marks import lines_of

ESCAPE = re.compile(rb'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')


@given(st.text('a"\\u0nF\t\r\n', max_size=20), st.integers(1, 30))
def test_marks_and_escapes(text, slice_bytes):
    block = text.encode()
    whole = block if block.endswith(b"\n") else block + b"\n"
    plain, escapes = ESCAPE.sub(lambda found: b"." * len(found[0]), whole), ESCAPE.findall(whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_marks, "_SLICE_BYTES", slice_bytes)
        lines = lines_of(block)
    if b"\\" in plain:
        assert lines is None
        return
    assert lines.block == whole
    assert lines.has_escapes == any(escapes)
    marks = [place for place, byte in enumerate(plain) if byte == 34 or byte < 32]
    assert lines.marks.tolist() == marks
    ends = [number for number, place in enumerate(marks) if plain[place] == 10]
    assert lines.line_ends.tolist() == ends


@pytest.mark.parametrize(
    "block",
    [b'"\xff"\n', b'"\xed\xa0\x80"\n', b'"\xc3', rb'"\x"', rb'"\u12"', rb'"\u123', b"\\", b'"\\\n'],
)
def test_blocks_that_are_no_lines_of_json(block):
    assert lines_of(block) is None


def test_a_block_whose_places_have_more_than_32_bits(monkeypatch):
    monkeypatch.setattr(json_marks, "_MOST_BYTES", 4)
    assert lines_of(b'"a"\n') is not None
    assert lines_of(b'"ab"\n') is None


def test_parts():
    lines = lines_of('"é"\n"" 7\n'.encode())
    edges = np.array([[0, 1, 3, 5], [5, 6, 6, 9]], np.int32)
    assert lines.parts(edges, np.array([1], np.int32)).to_pylist() == ["é", ""]
    numbers = np.array([2, 0], np.int32)
    assert lines.parts(edges, numbers).to_pylist() == ['"\n', '" 7', '"', '"']
    assert lines.parts(edges, numbers, by_line=True).to_pylist() == ['"\n', '"', '" 7', '"']
    assert lines.parts(edges[:0], numbers).to_pylist() == []
    assert lines.parts(edges, numbers[:0]).to_pylist() == []
