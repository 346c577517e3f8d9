"""Files of lines: where a part begins and ends, and blocks of whole lines."""

import io
from collections.abc import Callable, Iterator
from typing import IO

import numpy as np

from transforms.reading.formats import parts
from transforms.reading.formats.parts import Open, Part


def line_start(file: IO[bytes], offset: int, size: int) -> int:
    """Where the first line begins that begins at `offset` or later."""
    if offset <= 0:
        return 0
    file.seek(offset - 1)
    while block := file.read(1 << 16):
        newline = block.find(b"\n")
        if newline >= 0:
            return min(size, file.tell() - len(block) + newline + 1)
    return size


def read_exactly(file: IO[bytes], count: int | None) -> Iterator[bytes]:
    """The next `count` bytes (None: all) in blocks."""
    while count is None or count > 0:
        block = file.read(parts.BLOCK_BYTES if count is None else min(parts.BLOCK_BYTES, count))
        if not block:
            break
        if count is not None:
            count -= len(block)
        yield block


def line_blocks(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, each block whole lines."""
    rest: list[bytes] = []
    for block in blocks:
        newline = block.rfind(b"\n") + 1
        if not newline:
            rest.append(block)
            continue
        yield b"".join([*rest, memoryview(block)[:newline]])
        rest = [block[newline:]]
    if last := b"".join(rest):
        yield last


def count_lines(block: bytes) -> int:
    """The number of lines in a block; the last may lack its line end."""
    newlines = int(np.count_nonzero(np.frombuffer(block, np.uint8) == ord("\n")))
    return newlines + (not block.endswith(b"\n"))


def line_part(
    open_file: Open, file: IO[bytes], part: Part
) -> tuple[Iterator[bytes], Callable[[], int]]:
    """The bytes of the lines that begin in a part, and a function for the first one's number."""
    if part.end is None:
        return read_exactly(file, None), lambda: 1
    size = file.seek(0, io.SEEK_END)
    start, end = line_start(file, part.start, size), line_start(file, part.end, size)
    file.seek(start)

    def first_line() -> int:
        with open_file() as again:
            return 1 + sum(block.count(b"\n") for block in read_exactly(again, start))

    return read_exactly(file, end - start), first_line
