"""Files of text as they are stored: compressed, in another encoding, or with line ends of their own.

What a file is, its first bytes say. Those whose bytes are UTF-8 with line ends as ours are read as they
are, in parts; any other is read from its beginning to its end.
"""

import bz2
import codecs
import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import IO, NamedTuple

import pyarrow as pa
from isal import igzip

from transforms.reading.formats.lines import read_exactly
from transforms.reading.formats.parts import WHOLE, Decode, Format, Open, Part

# The canonical columns of a compressed text divided by those of the text itself, roughly.
_UNPACKED_BYTES_PER_BYTE = 8

# So much of a file is looked at; its first line may be longer.
_HEAD_BYTES = 1 << 16

_ZIP = b"PK\x03\x04"

Unpack = Callable[[IO[bytes]], IO[bytes]]

_Pieces = Callable[[IO[bytes]], Iterator[bytes]]


class _Lent(io.RawIOBase):
    """A file that stays open when this is closed, as Arrow does with what it is given."""

    def __init__(self, file: IO[bytes]):
        self._file = file

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)


def _open_gzip(file: IO[bytes]) -> IO[bytes]:
    return igzip.IGzipFile(fileobj=file)  # type: ignore[return-value]


def _open_bzip2(file: IO[bytes]) -> IO[bytes]:
    return bz2.BZ2File(file)


def _open_zstandard(file: IO[bytes]) -> IO[bytes]:
    return pa.CompressedInputStream(pa.PythonFile(_Lent(file), "r"), "zstd")


UNPACKERS: dict[str, Unpack] = {
    ".gz": _open_gzip,
    ".bz2": _open_bzip2,
    ".zst": _open_zstandard,
}
"""What opens a compressed file, by the suffix that such a file has."""

_BEGINNINGS: dict[bytes, Unpack] = {
    rb"\x1f\x8b": _open_gzip,
    rb"BZh[1-9](1AY&SY|\x17rE8P\x90)": _open_bzip2,
    rb"\x28\xb5\x2f\xfd": _open_zstandard,
}

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

# Without a mark: letters of ASCII have a zero byte each, and a text begins with one or with a bracket.
_ZEROS = {rb"[^\0]\0[^\0]\0": "utf-16-le", rb"\0[^\0]\0[^\0]": "utf-16-be"}

# Up to the first line end, of those that are not inside of quotes.
_FIRST_LINE, _FIRST_LINE_WITH_QUOTES = rb"[^\r\n]*", rb'(?:[^\r\n"]+|"[^"]*")*'


class _Stored(NamedTuple):
    """A file of text, opened.

    Attributes:
      text: its text in UTF-8, with line ends as ours.
      as_it_is: whether the file has the very bytes of the text.
      is_empty: whether it has no text.
    """

    text: IO[bytes]
    as_it_is: bool
    is_empty: bool


class _Forward(io.RawIOBase):
    """Bytes that come one piece after the other, from the beginning again wherever one goes back.

    Args:
      file: where the pieces come from.
      pieces: gives them of the file, which is at its beginning.
      owns_file: whether the file is closed with it.
    """

    def __init__(self, file: IO[bytes], pieces: _Pieces, owns_file: bool):
        self._file, self._make, self._owns_file = file, pieces, owns_file
        self._restart()

    def _restart(self) -> None:
        self._file.seek(0)
        self._pieces, self._piece, self._at = self._make(self._file), memoryview(b""), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._piece = memoryview(piece)
        size = min(len(buffer), len(self._piece))
        buffer[:size] = self._piece[:size]
        self._piece = self._piece[size:]
        self._at += size
        return size

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR:
            offset += self._at
        elif whence != io.SEEK_SET:
            raise io.UnsupportedOperation("the end is not known")
        if offset < self._at:
            self._restart()
        while self._at < offset and self.read(min(io.DEFAULT_BUFFER_SIZE, offset - self._at)):
            pass
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        if self._owns_file:
            self._file.close()
        super().close()


def _unpacked(unpack: Unpack) -> _Pieces:
    return lambda file: read_exactly(unpack(file), None)


def _recoded(encoding: str) -> _Pieces:
    """A text as UTF-8. Half a character stays one, and is no UTF-8: it is one broken row."""

    def pieces(file: IO[bytes]) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
        for block in read_exactly(file, None):
            yield decoder.decode(block).encode("utf-8", "surrogatepass")
        yield decoder.decode(b"", True).encode("utf-8", "surrogatepass")

    return pieces


def _with_newlines(file: IO[bytes]) -> Iterator[bytes]:
    """A text with lines that end in CR alone."""
    for block in read_exactly(file, None):
        yield block.replace(b"\r", b"\n")


def _unpack_of(head: bytes, suffix: str) -> Unpack | None:
    """What opens a file that begins so; None for a text."""
    for beginning, unpack in _BEGINNINGS.items():
        if re.match(beginning, head, re.DOTALL):
            return unpack
    if head.startswith(_ZIP):
        raise ValueError("it is a zip archive; unpack it first")
    return UNPACKERS.get(suffix) if head else None


def _encoding_of(head: bytes) -> str | None:
    """The encoding of a text that begins so; None for UTF-8."""
    marked = (encoding for mark, encoding in _MARKS.items() if head.startswith(mark))
    bare = (encoding for zeros, encoding in _ZEROS.items() if re.match(zeros, head, re.DOTALL))
    return next(marked, None) or next(bare, None)


def _ends_in_cr(head: bytes, has_quotes: bool) -> bool:
    """Whether the first line of a text that begins so ends in CR alone, and is not all of it."""
    line = re.match(_FIRST_LINE_WITH_QUOTES if has_quotes else _FIRST_LINE, head)
    after = head[line.end() if line else 0 :]
    return bool(re.match(rb"\r+[^\r\n]", after))


def _open(file: IO[bytes], suffix: str, has_quotes: bool, owns_file: bool = False) -> _Stored:
    text, head = file, b""

    def look() -> None:
        nonlocal head
        text.seek(0)
        head = b"".join(read_exactly(text, _HEAD_BYTES))
        text.seek(0)

    def read_on(pieces: _Pieces) -> None:
        nonlocal text
        text = io.BufferedReader(_Forward(text, pieces, owns_file or text is not file))
        look()

    look()
    unpack = _unpack_of(head, suffix)
    if unpack is _open_gzip:
        # It goes back by itself, and is read faster so.
        text = packed = igzip.IGzipFile(fileobj=file)  # type: ignore[assignment]
        if owns_file:
            # It closes `myfileobj` when it is closed.
            packed.myfileobj = file  # type: ignore[assignment]
        look()
    elif unpack:
        read_on(_unpacked(unpack))
    if encoding := _encoding_of(head):
        read_on(_recoded(encoding))
    if _ends_in_cr(head, has_quotes):
        read_on(_with_newlines)
    return _Stored(text, text is file, not head)


def as_stored(plain: Format, suffix: str = "", has_quotes: bool = False) -> Format:
    """A format of texts, read from files as they are stored. An empty file has no rows.

    Args:
      plain: the format of files that are UTF-8.
      suffix: what the name of the file ends with, if it says that the file is compressed.
      has_quotes: whether there may be line ends inside of quotes.
    """

    def names(file: IO[bytes]) -> list[str] | None:
        stored = _open(file, suffix, has_quotes)
        return None if stored.is_empty else plain.names(stored.text)

    def parts(file: IO[bytes], size: int) -> list[Part]:
        stored = _open(file, suffix, has_quotes)
        if stored.is_empty:
            return []
        return plain.parts(file, size) if stored.as_it_is else [WHOLE]

    def reopened(open_file: Open) -> Open:
        def open_text() -> IO[bytes]:
            file = open_file()
            try:
                return _open(file, suffix, has_quotes, owns_file=True).text
            except BaseException:
                file.close()
                raise

        return open_text

    def read(open_file: Open, part: Part, names: Sequence[str]) -> Iterator[Decode]:
        return plain.read(reopened(open_file), part, names)

    def bytes_per_byte(file: IO[bytes]) -> float:
        file.seek(0)
        packed = _unpack_of(file.read(16), suffix) is not None
        return plain.bytes_per_byte(file) * (_UNPACKED_BYTES_PER_BYTE if packed else 1)

    return Format(bytes_per_byte, names, parts, read, plain.rows_differ)
