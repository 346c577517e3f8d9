"""Makes a log of messages and its sessions, of any size. The same arguments make the same log.

python -m benchmarks.load --messages N --format parquet|avro|jsonl|csv|jsonl.gz|csv.gz --output DIR
    [--by session|conversation] [--seed N]

DIR/messages-000.parquet, ...   ConversationEntry, in order of time, sessions interleaved
DIR/sessions.parquet            MessagingSession, one for every 16 messages

The messages with the suffix .gz are in 16 files.

By conversation, the same messages name their conversation in place of their session. Each conversation
has five sessions, fewer in a log of less than a million messages, for they do not overlap.

The log is made and written piece by piece: a larger log needs no more memory.
"""

import argparse
import json
import pathlib
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple, Protocol

import fastavro
import numpy as np
import polars as pl
import polars.selectors as cs
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from isal import igzip
from numpy.typing import NDArray

MESSAGES_PER_SESSION = 16
SESSIONS_PER_CONVERSATION = 5
# So many sessions begin in three hours, and no session lasts as long.
MIN_CONVERSATIONS = 12_500
# 100,000 sessions a day; some 500 are open at a time.
SESSION_EVERY_MS = 864
# Also the rows of a row group of Parquet.
BATCH_MESSAGES = 250_000
FILE_MESSAGES = 10 * BATCH_MESSAGES
GZIP_FILES = 16
CHUNK_SESSIONS = 1 << 16
# 2024-10-02T08:00:00Z
START_MS = 1_727_856_000_000

ROLES = ["EndUser", "Agent", "Bot", "System"]
END_USER, AGENT, BOT, SYSTEM = range(4)
ENTRY_TYPES = [
    "Text",
    "ParticipantChanged",
    "RoutingResult",
    "TypingStartedIndicator",
    "DeliveryAcknowledgement",
    "ReadAcknowledgement",
]
STATUSES = ["Ended", "Active", "Waiting"]
FILLER = "the of your order is on its way we have sent it again please wait one moment thanks"

BASE62 = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", np.uint8)
CHECKSUM = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345", np.uint8)
# Has no factor in common with 62, so that different numbers have different ids.
SCATTER = np.uint64(1_161_803_398_875)

Int64s = NDArray[np.int64]
Texts = NDArray[np.uint8]

PENDING = np.dtype(
    [
        # Number of the session in the whole log.
        ("session", np.int64),
        ("sent_at_ms", np.int64),
        ("role", np.int8),
        ("entry_type", np.int8),
    ]
)
"""Fields of a message that waits to be written."""


class Talks(NamedTuple):
    """The messages of some sessions, by session and time, and the start and end of each session.

    `starts_ms` and `ends_ms` have one item per session, the others one per message; `session` counts
    from 0; `role` and `entry_type` index `ROLES` and `ENTRY_TYPES`.
    """

    session: Int64s
    sent_at_ms: Int64s
    role: NDArray[np.int8]
    entry_type: NDArray[np.int8]
    starts_ms: Int64s
    ends_ms: Int64s


def talks(rng: np.random.Generator, num_sessions: int, num_messages: int) -> Talks:
    """Makes `num_sessions` sessions with `num_messages` messages in all; some sessions stay empty."""
    weights = rng.gamma(2.0, size=num_sessions) * (rng.random(num_sessions) >= 0.01)
    # At least one session has messages.
    weights[0] += 0.1
    lengths = rng.multinomial(num_messages, weights / weights.sum())
    session = np.repeat(np.arange(num_sessions), lengths)
    begin = np.repeat(np.cumsum(lengths) - lengths, lengths)
    position = np.arange(num_messages) - begin

    # Half of the waits are shorter than 13 s.
    wait_ms = (rng.lognormal(9.5, 1.2, num_messages)).astype(np.int64)
    # Some messages have the instant of the message before.
    wait_ms[rng.random(num_messages) < 0.005] = 0
    elapsed_ms = np.cumsum(wait_ms)
    elapsed_ms -= elapsed_ms[begin]
    starts = np.arange(num_sessions) + rng.random(num_sessions)
    starts_ms = (starts * SESSION_EVERY_MS).astype(np.int64)
    sent_at_ms = starts_ms[session] + elapsed_ms
    ends_ms = starts_ms.copy()
    last = np.cumsum(lengths)[lengths > 0] - 1
    ends_ms[lengths > 0] = sent_at_ms[last]
    ends_ms += rng.integers(1000, 600_000, num_sessions)

    turns: Int64s = np.cumsum(rng.random(num_messages) < 0.6)
    # The end user sends the first message.
    role = ((turns - turns[begin]) & 1).astype(np.int8)
    has_bot = rng.random(num_sessions) < 0.5
    role[(role == AGENT) & (position < 4) & has_bot[session]] = BOT
    role[rng.random(num_messages) < 0.02] = SYSTEM
    entry_type = rng.integers(1, len(ENTRY_TYPES), num_messages, np.int8)
    entry_type[rng.random(num_messages) < 0.92] = 0
    return Talks(session, sent_at_ms, role, entry_type, starts_ms, ends_ms)


def session_ids(numbers: Int64s) -> pa.Array:
    """An id of 18 characters for each number; different numbers have different ids, in no order."""
    return _record_ids(b"0Mwbb000", numbers)


def _record_ids(prefix: bytes, numbers: Int64s) -> pa.Array:
    text = np.empty((len(numbers), 18), np.uint8)
    text[:, :8] = np.frombuffer(prefix, np.uint8)
    rest = numbers.astype(np.uint64) * SCATTER
    for place in range(14, 7, -1):
        rest, digit = np.divmod(rest, np.uint64(62))
        text[:, place] = BASE62[digit]
    upper = ((text[:, :15] >= ord("A")) & (text[:, :15] <= ord("Z"))).reshape(-1, 3, 5)
    text[:, 15:] = CHECKSUM[(upper << np.arange(5)).sum(axis=2)]
    return _strings(text)


def message_ids(rng: np.random.Generator, count: int) -> pa.Array:
    """Random UUIDs as text."""
    raw = rng.integers(0, 256, (count, 16), np.uint8)
    raw[:, 6] = raw[:, 6] & 0x0F | 0x40
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    text = np.full((count, 36), ord("-"), np.uint8)
    dashes = np.isin(np.arange(36), [8, 13, 18, 23])
    text[:, ~dashes] = digits[np.stack([raw >> 4, raw & 15], axis=2).reshape(count, 32)]
    return _strings(text)


def _strings(text: Texts) -> pa.Array:
    offsets = np.arange(0, text.size + 1, text.shape[1], dtype=np.int32)
    return pa.StringArray.from_buffers(len(text), pa.py_buffer(offsets), pa.py_buffer(text))


def _sayings(rng: np.random.Generator, count: int) -> pa.Array:
    """Texts of 20 to 80 characters, few of them alike."""
    halves = []
    for length in rng.integers(10, 40, 2048):
        words = " ".join(rng.choice(FILLER.split(), 20))
        halves.append(words[:length].strip().ljust(length, "."))
    pool = pa.array(halves)
    first, second = (pool.take(pa.array(rng.integers(0, 2048, count))) for _ in range(2))
    return pc.binary_join_element_wise(first, second, " ")


def _choose(names: list[str], index: NDArray[np.integer]) -> pa.Array:
    return pa.array(names).take(pa.array(index))


def _instants(ms: Int64s, mask: NDArray[np.bool_] | None = None) -> pa.Array:
    return pa.array(ms + START_MS, pa.int64(), mask=mask).cast(pa.timestamp("ms", "UTC"))


def _conversation_ids(sessions: Int64s, num_sessions: int) -> pa.Array:
    """The conversation of each session: every so many sessions the same one, so that none overlap."""
    conversations = max(MIN_CONVERSATIONS, -(-num_sessions // SESSIONS_PER_CONVERSATION))
    return _record_ids(b"0dwbb000", sessions % conversations)


def _messages_table(rng: np.random.Generator, rows: np.ndarray, named: pa.Array) -> pa.Table:
    return pa.table(
        {
            "ConversationId": named,
            "MessageIdentifier": message_ids(rng, len(rows)),
            "ServerReceivedTimestamp": _instants(rows["sent_at_ms"]),
            "ActorType": _choose(ROLES, rows["role"]),
            "EntryType": _choose(ENTRY_TYPES, rows["entry_type"]),
            "Message": _sayings(rng, len(rows)),
        }
    )


def _sessions_table(rng: np.random.Generator, first: int, made: Talks) -> pa.Table:
    count = len(made.starts_ms)
    status = rng.choice(len(STATUSES), count, p=[0.97, 0.02, 0.01])
    start = first * SESSION_EVERY_MS + made.starts_ms
    end = first * SESSION_EVERY_MS + made.ends_ms
    return pa.table(
        {
            "Id": session_ids(np.arange(first, first + count)),
            "Status": _choose(STATUSES, status),
            "ChannelType": _choose(["EmbeddedMessaging"], np.zeros(count, np.int8)),
            "StartTime": _instants(start),
            "EndTime": _instants(end, status > 0),
            "CreatedDate": _instants(start),
            "SystemModstamp": _instants(end),
        }
    )


def generate(num_messages: int, seed: int, by: str) -> Iterator[tuple[str, pa.Table]]:
    """Yields tables of `messages`, each of `BATCH_MESSAGES` rows but the last, and of `sessions`."""
    num_sessions = max(1, num_messages // MESSAGES_PER_SESSION)
    pending = np.empty(0, PENDING)
    for first in range(0, num_sessions, CHUNK_SESSIONS):
        rng = np.random.default_rng([seed, first])
        end = min(first + CHUNK_SESSIONS, num_sessions)
        share = num_messages * end // num_sessions - num_messages * first // num_sessions
        made = talks(rng, end - first, share)
        table = _sessions_table(rng, first, made)
        if by == "conversation":
            ids = _conversation_ids(np.arange(first, end), num_sessions)
            table = table.append_column("ConversationId", ids)
        yield "sessions", table

        added = np.empty(len(made.session), PENDING)
        added["session"] = made.session + first
        added["sent_at_ms"] = made.sent_at_ms + first * SESSION_EVERY_MS
        added["role"], added["entry_type"] = made.role, made.entry_type
        pending = np.concatenate([pending, added])
        pending = pending[np.argsort(pending["sent_at_ms"], kind="stable")]
        # Messages later than the start of the next chunk wait for the messages of that chunk.
        ready = len(pending)
        if end < num_sessions:
            ready = int(np.searchsorted(pending["sent_at_ms"], end * SESSION_EVERY_MS))
            ready -= ready % BATCH_MESSAGES
        for start in range(0, ready, BATCH_MESSAGES):
            rows = pending[start : min(start + BATCH_MESSAGES, ready)]
            named = (
                session_ids(rows["session"])
                if by == "session"
                else _conversation_ids(rows["session"], num_sessions)
            )
            yield "messages", _messages_table(rng, rows, named)
        pending = pending[ready:]


class _Writer(Protocol):
    """A writer of tables to one file."""

    def write(self, table: pa.Table) -> None: ...

    def close(self) -> None: ...


class _Parquet:
    """Parquet, compressed with Zstandard, a row group per table."""

    def __init__(self, file: IO[bytes], schema: pa.Schema):
        self._writer = pq.ParquetWriter(file, schema, compression="zstd")

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=BATCH_MESSAGES)

    def close(self) -> None:
        self._writer.close()


class _Avro:
    """Avro in blocks of 16 kB, all columns nullable; deflate, which every reader knows and Beam uses."""

    def __init__(self, file: IO[bytes], schema: pa.Schema):
        instant = {"type": "long", "logicalType": "timestamp-millis"}
        fields = [
            {
                "name": f.name,
                "type": ["null", instant if pa.types.is_timestamp(f.type) else "string"],
            }
            for f in schema
        ]
        record = {"type": "record", "name": "Row", "fields": fields}
        self._writer = fastavro.write.Writer(file, record, codec="deflate")

    def write(self, table: pa.Table) -> None:
        plain = [c.cast(pa.int64()) if pa.types.is_timestamp(c.type) else c for c in table.columns]
        columns = [c.to_pylist() for c in plain]
        for row in zip(*columns, strict=True):
            self._writer.write(dict(zip(table.column_names, row, strict=True)))

    def close(self) -> None:
        self._writer.flush()


class _JsonLines:
    """JSON Lines, instants as `2024-10-02T12:00:00.000Z`."""

    def __init__(self, file: IO[bytes], schema: pa.Schema):
        self._file = file

    def write(self, table: pa.Table) -> None:
        parts: list[pa.Array | str] = []
        for number, (name, column) in enumerate(
            zip(table.column_names, table.columns, strict=True)
        ):
            if pa.types.is_timestamp(column.type):
                column = pc.strftime(column, "%Y-%m-%dT%H:%M:%SZ")
            # The texts of the log need no escapes.
            quoted = pc.binary_join_element_wise('"', column, '"', "")
            parts += ["{" if number == 0 else ",", json.dumps(name) + ":", quoted.fill_null("null")]
        for line in pc.binary_join_element_wise(*parts, "}\n", "").iterchunks():
            self._file.write("".join(line.to_pylist()).encode())

    def close(self) -> None:
        pass


class _Csv:
    """CSV as Bulk API 2.0 writes it: all values in quotes, instants as `2024-10-02T12:00:00.000Z`.

    Every tenth message has quotes and a line end in its text, as customers' messages have.
    """

    def __init__(self, file: IO[bytes], schema: pa.Schema):
        self._file, self._has_header = file, False

    def write(self, table: pa.Table) -> None:
        rows = pl.DataFrame(table).with_columns(
            cs.temporal().dt.replace_time_zone(None).dt.strftime("%Y-%m-%dT%H:%M:%S.%3fZ")
        )
        if "Message" in rows.columns:
            longer = pl.format('"{}"\nshe wrote', "Message")
            is_tenth = pl.int_range(pl.len()) % 10 == 0
            rows = rows.with_columns(
                pl.when(is_tenth).then(longer).otherwise("Message").alias("Message")
            )
        rows.write_csv(self._file, include_header=not self._has_header, quote_style="always")
        self._has_header = True

    def close(self) -> None:
        pass


WRITERS: dict[str, Callable[[IO[bytes], pa.Schema], _Writer]] = {
    "parquet": _Parquet,
    "avro": _Avro,
    "jsonl": _JsonLines,
    "csv": _Csv,
}


FORMATS = (*WRITERS, "jsonl.gz", "csv.gz")


def write(
    num_messages: int,
    load_format: str,
    output: pathlib.Path,
    seed: int = 1,
    by: str = "session",
) -> None:
    """Writes a log and its sessions to a new or empty directory."""
    output.mkdir(parents=True, exist_ok=True)
    plain_format = load_format.removesuffix(".gz")
    is_gzip = plain_format != load_format
    # The sessions are one file.
    room = {
        "messages": -(-num_messages // GZIP_FILES) if is_gzip else FILE_MESSAGES,
        "sessions": num_messages,
    }
    open_files: dict[str, tuple[IO[bytes], _Writer]] = {}
    rows = dict.fromkeys(room, 0)

    def close(kind: str) -> None:
        file, writer = open_files.pop(kind)
        writer.close()
        file.close()

    for kind, table in generate(num_messages, seed, by):
        while len(table):
            number, filled = divmod(rows[kind], room[kind])
            if kind not in open_files:
                name = f"messages-{number:03d}" if kind == "messages" else kind
                path = output / f"{name}.{load_format}"
                file = igzip.open(path, "wb") if is_gzip else path.open("wb")
                open_files[kind] = file, WRITERS[plain_format](file, table.schema)
            piece = table.slice(0, room[kind] - filled)
            open_files[kind][1].write(piece)
            rows[kind] += len(piece)
            table = table.slice(len(piece))
            if rows[kind] % room[kind] == 0:
                close(kind)
    for kind in list(open_files):
        close(kind)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, required=True)
    parser.add_argument("--format", choices=FORMATS, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--by", choices=["session", "conversation"], default="session")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    write(args.messages, args.format, args.output, args.seed, args.by)


if __name__ == "__main__":
    main()
