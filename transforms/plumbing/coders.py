"""How Arrow batches travel between workers: in the stream, or where all are on one machine in a file."""

import contextlib
import os
import struct
import tempfile
import threading
from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa

from transforms.errors import JobError

_IN_STREAM, _IN_FILE = b"\0", b"\1"

_PLACE = struct.Struct("<qqqq")  # process, file descriptor, offset, size

_SPILLED_BYTES = 1 << 14  # less is not worth a file's while

_spills = False


@contextlib.contextmanager
def spilling() -> Iterator[None]:
    """Pipelines run in this context have their batches in a temporary file, on the way to a worker.

    For runners whose workers are all on this machine and not on another: those keep what they shuffle
    in memory, several times over. What travels then is where in the file a batch is. The file has no
    name, so nothing is left of it after a kill; `TMPDIR` says on which disc it is.
    """
    global _spills
    _spills = os.path.isdir("/proc/self/fd")
    try:
        yield
    finally:
        _spills = False
        _SPILL.close()


class RecordBatchCoder(beam.coders.Coder):
    """An Arrow record batch as an IPC stream, or as the place of one in a file on this machine."""

    def __init__(self) -> None:
        self._spills = _spills

    def encode(self, value: pa.RecordBatch) -> bytes:
        """Returns the stream: schema, dictionaries, batch; or its place."""
        counted = pa.MockOutputStream()
        _write_stream(value, counted)
        stream = pa.allocate_buffer(counted.size())  # a sink that grows would copy what it has
        _write_stream(value, pa.FixedSizeBufferWriter(stream))
        if self._spills and stream.size >= _SPILLED_BYTES:
            return _IN_FILE + _PLACE.pack(*_SPILL.write(stream))
        return b"".join([_IN_STREAM, memoryview(stream)])

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        """Returns the one batch of the stream."""
        if encoded[:1] == _IN_FILE:
            stream = _read(*_PLACE.unpack_from(encoded, 1))
        else:
            stream = pa.py_buffer(encoded)[1:]
        return pa.ipc.open_stream(stream).read_next_batch()

    def estimate_size(self, value: pa.RecordBatch) -> int:
        """For the runner's samples; without this it would encode a batch to measure it."""
        return value.nbytes

    def is_deterministic(self) -> bool:
        """The same batch may be at different places."""
        return False

    def to_type_hint(self) -> type:
        """The element type."""
        return pa.RecordBatch


def _write_stream(batch: pa.RecordBatch, sink: pa.NativeFile) -> None:
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)


class _Spill:
    """The temporary file of this process, made when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: int | None = None
        self._end = 0

    def write(self, stream: pa.Buffer) -> tuple[int, int, int, int]:
        """Appends a stream; returns its place."""
        with self._lock:
            try:
                if self._file is None:
                    with tempfile.TemporaryFile() as file:
                        self._file = os.dup(file.fileno())
                start, rest = self._end, memoryview(stream)
                while rest:
                    written = os.pwrite(self._file, rest, self._end)
                    self._end, rest = self._end + written, rest[written:]
            except OSError as error:
                raise JobError(
                    f"{tempfile.gettempdir()}: can't hold the batches that are grouped: "
                    f"{error.strerror}; set TMPDIR to a directory with more space"
                ) from error
            return os.getpid(), self._file, start, stream.size

    def close(self) -> None:
        """Gives the disc's space back."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
            self._file, self._end = None, 0


_SPILL = _Spill()


def _read(process: int, file: int, offset: int, size: int) -> pa.Buffer:
    if process == os.getpid():
        return _read_at(file, offset, size)
    other = os.open(f"/proc/{process}/fd/{file}", os.O_RDONLY)
    try:
        return _read_at(other, offset, size)
    finally:
        os.close(other)


def _read_at(file: int, offset: int, size: int) -> pa.Buffer:
    buffer = pa.allocate_buffer(size)  # of Arrow's pool, which knows memory to use again
    if os.preadv(file, [buffer], offset) != size:
        raise JobError(
            f"{tempfile.gettempdir()}: the batches that are grouped can't be read back whole; "
            "set TMPDIR to another directory"
        )
    return buffer


beam.coders.registry.register_coder(pa.RecordBatch, RecordBatchCoder)
