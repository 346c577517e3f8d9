"""How Arrow batches travel between workers."""

import apache_beam as beam
import pyarrow as pa

_COMPRESSED = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)


class RecordBatchCoder(beam.coders.Coder):
    """An Arrow record batch as an IPC stream, lightly compressed: a shuffle copies it several times."""

    def encode(self, value: pa.RecordBatch) -> bytes:
        """Returns the stream: schema, dictionaries, batch."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, value.schema, options=_COMPRESSED) as writer:
            writer.write_batch(value)
        return sink.getvalue().to_pybytes()

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        """Returns the one batch of the stream."""
        return pa.ipc.open_stream(encoded).read_next_batch()

    def estimate_size(self, value: pa.RecordBatch) -> int:
        """For the runner's samples; without this it would encode a batch to measure it."""
        return value.nbytes

    def is_deterministic(self) -> bool:
        """The same batch has the same bytes."""
        return True

    def to_type_hint(self) -> type:
        """The element type."""
        return pa.RecordBatch


beam.coders.registry.register_coder(pa.RecordBatch, RecordBatchCoder)
