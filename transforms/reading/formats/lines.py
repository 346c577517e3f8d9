"""Files of lines: where a part begins and ends, and blocks of whole lines.

A line belongs to the part in which it begins, so each line is in one part, wherever a file is cut.
"""

import concurrent.futures
import io
from collections.abc import Callable, Iterator
from typing import IO

import numpy as np

from transforms.reading.formats import parts
from transforms.reading.formats.parts import Open, Part


def line_start(file: IO[bytes], offset: int, size: int) -> int:
    r"""Where the first line begins that begins at `offset` or later; `size` if there is none.

    >>> file = io.BytesIO(b"one\ntwo\nthree")
    >>> [line_start(file, offset, 13) for offset in (0, 1, 4, 5, 9)]
    [0, 4, 4, 8, 13]
    """
    if offset <= 0:
        return 0
    # A line end at the byte before `offset` makes `offset` itself the place.
    file.seek(offset - 1)
    while block := file.read(1 << 16):
        newline = block.find(b"\n")
        if newline >= 0:
            return min(size, file.tell() - len(block) + newline + 1)
    return size


def read_exactly(file: IO[bytes], count: int | None) -> Iterator[bytes]:
    """The next `count` bytes of a file, or all if None, in blocks."""
    while count is None or count > 0:
        block = file.read(parts.BLOCK_BYTES if count is None else min(parts.BLOCK_BYTES, count))
        if not block:
            break
        if count is not None:
            count -= len(block)
        yield block


def read_ahead(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same blocks, of which the next is read, and maybe decompressed, in a thread meanwhile."""
    block = next(blocks, b"")
    # A small file is not worth a thread.
    if len(block) < parts.BLOCK_BYTES:
        yield from filter(None, [block])
        yield from blocks
        return
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        while block:
            following = thread.submit(next, blocks, b"")
            yield block
            block = following.result()


def line_blocks(blocks: Iterator[bytes]) -> Iterator[bytes]:
    r"""The same bytes in blocks of whole lines; only the last line may lack its line end.

    >>> list(line_blocks(iter([b"one\ntw", b"o\nthr", b"ee"])))
    [b'one\n', b'two\n', b'three']
    """
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
    """The lines that begin in a part, in blocks of bytes, and a function for the first one's number."""
    if part.end is None:
        return read_ahead(read_exactly(file, None)), lambda: 1
    size = file.seek(0, io.SEEK_END)
    start, end = line_start(file, part.start, size), line_start(file, part.end, size)
    file.seek(start)

    def first_line() -> int:
        with open_file() as again:
            return 1 + sum(block.count(b"\n") for block in read_exactly(again, start))

    return read_exactly(file, end - start), first_line
