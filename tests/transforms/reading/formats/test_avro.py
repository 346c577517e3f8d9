"""Avro to raw columns, whole and in parts."""

import bz2
import io
import lzma
import re
import uuid
import zlib

import fastavro
import polars
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.files_of_rows import (
    EXPECTED,
    FLAT,
    FLAT_FIELDS,
    MILLIS,
    NAMES,
    ROLE,
    SAME,
    SECRET,
    avro,
    fields,
    flat_avro,
    normalized,
    read_all,
    relabelled,
    scan,
    timed,
    with_sizes,
)
from transforms.errors import InputError
from transforms.reading import formats, timestamps, values
from transforms.reading.formats import avro as avro_format
from transforms.reading.formats import parts

NEEDED = {"relatedRecords", "identifier", "serverReceivedTimestamp", "sender", "entryType", "Seq"}


def test_only_the_needed_columns_of_avro_are_decoded(monkeypatch):
    asked = []
    original = polars.read_avro

    def read_avro(file, columns):
        asked.append(set(columns))
        return original(file, columns=columns)

    monkeypatch.setattr(polars, "read_avro", read_avro)
    scan("f.avro", SAME["nested.avro"])
    assert asked == [NEEDED]


def test_only_the_needed_columns_of_avro_are_decoded_by_row_too(monkeypatch):
    asked = []
    original = fastavro.reader

    def reader(file, reader_schema):
        asked.append({field["name"] for field in reader_schema["fields"]})
        return original(file, reader_schema=reader_schema)

    monkeypatch.setattr(fastavro, "reader", reader)
    monkeypatch.setattr(avro_format, "_is_plain", lambda kind: False)
    scan("f.avro", SAME["nested.avro"])
    assert asked == [NEEDED]


AVRO_TYPES = {
    "string": st.text(max_size=5),
    "bytes": st.binary(max_size=3),
    "long": st.integers(-(2**63), 2**63 - 1),
    "int": st.integers(-(2**31), 2**31 - 1),
    "double": st.floats(),
    "boolean": st.booleans(),
}


@given(st.data(), st.sampled_from(["null", "deflate"]))
def test_avro_is_the_same_by_column_and_by_row(data, codec):
    kinds = data.draw(st.lists(st.sampled_from(list(AVRO_TYPES)), min_size=1, max_size=4))
    null = data.draw(st.sampled_from([None, 0, 1]))
    of = {None: lambda k: k, 0: lambda k: ["null", k], 1: lambda k: [k, "null"]}[null]
    inner = [{"name": f"f{i}", "type": of(kind)} for i, kind in enumerate(kinds)]
    record = {"type": "record", "name": "Inner", "fields": inner}
    fields = [{"name": "sender", "type": of(record)}, *inner, {"name": "n", "type": "string"}]
    values_of = [
        AVRO_TYPES[kind] if null is None else st.none() | AVRO_TYPES[kind] for kind in kinds
    ]
    inside = st.fixed_dictionaries({f"f{i}": v for i, v in enumerate(values_of)})
    row = st.fixed_dictionaries(
        {f"f{i}": v for i, v in enumerate(values_of)}
        | {"sender": inside if null is None else st.none() | inside, "n": st.just("n")}
    )
    rows = data.draw(st.lists(row, min_size=1, max_size=8))
    file = io.BytesIO()
    schema = {"type": "record", "name": "Row", "fields": fields}
    fastavro.writer(file, schema, rows, codec=codec)
    content = file.getvalue()
    names = [f["name"] for f in inner] + [f"sender.{f['name']}" for f in inner]
    parsed, _, _ = avro_format._header(io.BytesIO(content))
    fast = avro_format._fast(content, parsed, names)
    slow = avro_format._slowly(content, parsed, names)
    assert fast is not None
    for name in names:
        texts = [values.to_text(columns[name]).to_pylist() for columns in (fast, slow)]
        assert texts[0] == texts[1]
        instants = [timestamps.to_instants(columns[name]).to_pylist() for columns in (fast, slow)]
        assert instants[0] == instants[1]


@pytest.mark.parametrize(
    "kind",
    [
        {"type": "map", "values": "string"},
        ["null", "string", "long"],
        {"type": "enum", "name": "E", "symbols": ["X"]},
        ["null", {"type": "fixed", "name": "F", "size": 2}],
        "null",
        "float",
        {"type": "string", "logicalType": "uuid"},
    ],
)
def test_avro_of_other_types_is_read_by_row(kind):
    value = {"map": {}, "enum": "X"}.get(kind["type"] if isinstance(kind, dict) else "")
    if kind == "float":
        value = 0.5
    if isinstance(kind, dict) and "logicalType" in kind:
        value = uuid.UUID(int=1)
    fields = [{"name": "message_id", "type": "string"}, {"name": "other", "type": kind}]
    file = io.BytesIO()
    row = {"message_id": "m", "other": value}
    fastavro.writer(file, {"type": "record", "name": "R", "fields": fields}, [row])
    parsed, _, _ = avro_format._header(io.BytesIO(file.getvalue()))
    assert avro_format._fast(file.getvalue(), parsed, NAMES) is None
    assert scan("f.avro", file.getvalue()) == ([(1, {"message_id": "m"})], [])


@pytest.mark.parametrize(("codec", "nothing"), [("null", b""), ("deflate", b"\x03\x00")])
def test_a_block_without_rows_is_not_the_end(codec, nothing):
    """Polars takes it for the end."""
    data = flat_avro(options={"codec": codec})
    header = avro_format._header(io.BytesIO(data))[1]
    empty = b"\x00" + bytes([len(nothing) * 2]) + nothing + header[-16:]
    assert scan("f.avro", header + empty + data[len(header) :]) == scan("f.avro", data)


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_avro_blocks_that_claim_the_impossible_are_told(codec):
    data = flat_avro(options={"codec": codec})
    header = len(avro_format._header(io.BytesIO(data))[1])
    for claim in (b"\x00", b"\x01", b"\xfe\xff\xff\xff\x0f"):  # none; -1 rows; two billion
        broken = data[:header] + claim + data[header + 1 :]
        with pytest.raises(InputError, match=r"impossible size|not complete"):
            read_all("f.avro", broken)


@pytest.mark.parametrize(
    ("logical", "factor"), [("timestamp-millis", 1), ("local-timestamp-micros", 1000)]
)
def test_an_instant_of_avro_out_of_range_is_one_reject(logical, factor):
    rows = timed(factor)
    rows[4]["ServerReceivedTimestamp"] = 1 << 61
    found, rejects = normalized("f.avro", relabelled(rows, logical))
    assert [(r.row, r.reason, r.message_id) for r in rejects] == [(5, "sent_at_invalid", "m4")]
    assert found == [row for row in EXPECTED if row["message_id"] != "m4"]


def test_named_types_of_avro():
    """A needed field names a type that another defines, which is not needed."""
    rows = [{"secret": "EndUser", **row} for row in FLAT]
    all_fields = [
        {"name": "secret", "type": ROLE},
        *[dict(f, type="Role") if f["name"] == "ActorType" else f for f in FLAT_FIELDS],
    ]
    assert normalized("f.avro", avro(all_fields, rows)) == (EXPECTED, [])


def test_unions_of_avro():
    mixed = [
        {**row, "ServerReceivedTimestamp": ms if i % 2 else row["ServerReceivedTimestamp"]}
        for i, (row, ms) in enumerate(zip(FLAT, MILLIS, strict=True))
    ]
    data = flat_avro(mixed, ServerReceivedTimestamp=["null", "string", "long"])
    assert normalized("f.avro", data) == (EXPECTED, [])


def test_an_avro_file_of_no_records():
    out = io.BytesIO()
    fastavro.writer(out, "string", ["a"])
    with pytest.raises(ValueError, match=r"^its rows are no records$"):
        formats.format_of("f.avro").names(io.BytesIO(out.getvalue()))


@given(
    st.lists(st.sampled_from([None, "NULL", "\\N"]) | st.text(max_size=30), max_size=30),
    st.integers(1, 200),
    st.integers(1, 400),
    st.integers(1, 5),
    st.sampled_from(["null", "deflate"]),
)
def test_avro_is_the_same_however_it_is_cut(texts, sync_interval, part, batch, codec):
    data = avro(
        fields(message_id=["null", "string"], text="string"),
        [{"message_id": text, "text": SECRET} for text in texts],
        sync_interval=sync_interval,
        codec=codec,
    )
    found = with_sizes(part, 1 << 20, batch, lambda: scan("f.avro", data))
    nothing = (None, "", "NULL", "\\N")
    expected = [(i, {} if t in nothing else {"message_id": t}) for i, t in enumerate(texts, 1)]
    assert found == (expected, [])


def test_a_block_that_is_longer_than_the_file_is_told():
    data = flat_avro()
    start = len(avro_format._header(io.BytesIO(data))[1])
    file = io.BytesIO(data)
    file.seek(start)
    ((rows, begin, end),) = avro_format._blocks(file, len(data), None)
    count, size = avro_format._varint(rows), avro_format._varint(end - begin)
    assert data[start:begin] == count + size
    longer = data[:start] + count + avro_format._varint(end - begin + 9) + data[begin:]
    with pytest.raises(InputError, match=r"^f\.avro: can't be read: \S"):
        read_all("f.avro", longer)
    cut = packed(data, "snappy")[:-17] + data[-16:]
    with pytest.raises(InputError, match=r"^f\.avro: can't be read: \S"):
        read_all("f.avro", cut)


# Codecs.

PACKERS = {
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstandard": lambda rows: pa.compress(rows, codec="zstd", asbytes=True),
    "snappy": lambda rows: (
        pa.compress(rows, codec="snappy", asbytes=True) + zlib.crc32(rows).to_bytes(4, "big")
    ),
}


def packed(data, codec, pack=None):
    """A file without a codec, as one with a codec."""
    header = avro_format._header(io.BytesIO(data))[1]
    pack, name = pack or PACKERS[codec], codec.encode()
    body, at, file = b"", len(header), io.BytesIO(data)
    file.seek(at)
    for block in avro_format._blocks(file, len(data), None):
        rows = pack(data[block.start : block.end])
        count, size = avro_format._varint(block.num_rows), avro_format._varint(len(rows))
        body += count + size + rows + header[-16:]
    size = avro_format._varint(len(name))
    written = data[: len(header)].replace(b"\x08null", size + name)
    assert written != data[: len(header)]
    return written + body


@pytest.mark.parametrize("codec", PACKERS)
@pytest.mark.parametrize(
    "name", ["flat.avro", "blocks.avro", "null.avro", "enum.avro", "micros.avro", "nested.avro"]
)
def test_each_codec_of_avro(codec, name, monkeypatch):
    data = packed(SAME[name], codec)
    for part in (1 << 20, 100):
        monkeypatch.setattr(parts, "PART_BYTES", part)
        monkeypatch.setattr(parts, "BATCH_ROWS", 3)
        assert normalized(name, data) == (EXPECTED, [])
        assert scan(name, data) == scan(name, SAME[name])
    with monkeypatch.context() as patch:
        patch.setattr(avro_format, "_fast", lambda *_: None)
        assert normalized(name, data) == (EXPECTED, [])


def test_codecs_of_other_writers_are_read():
    for codec in ("bzip2", "xz", "deflate", "null"):
        assert normalized("f.avro", flat_avro(options={"codec": codec})) == (EXPECTED, [])
    many = [{"message_id": "m"}] * 30_000
    data = avro(fields(message_id="string"), many, codec="bzip2", sync_interval=1 << 20)
    assert len(data) < len(many) / 50
    assert len(scan("f.avro", data)[0]) == len(many)
    # So densely that a byte has more rows than one of deflate may have.
    dense = packed(avro(fields(a=["null", "string"]), [{"a": None}] * 10**6), "zstandard")
    assert len(read_all("f.avro", dense)[0]) == 10**6


@pytest.mark.parametrize("codec", PACKERS)
def test_a_broken_block_of_a_codec_is_told(codec):
    data = packed(SAME["flat.avro"], codec)
    for position in range(len(avro_format._header(io.BytesIO(data))[1]), len(data), 7):
        broken = bytearray(data)
        broken[position] ^= 0x55
        try:
            found = read_all("f.avro", bytes(broken))
        except InputError as error:
            assert re.fullmatch(r"f\.avro: can't be read: [^\n]+", str(error))
            assert SECRET not in str(error)
        else:
            assert len(found[0]) == 20
    with pytest.raises(InputError, match=r"^f\.avro: can't be read: \S"):
        read_all("f.avro", data[:-20])


def test_a_codec_that_is_none_of_avro():
    data = packed(SAME["flat.avro"], "lz4", pack=bytes)
    with pytest.raises(InputError) as caught:
        read_all("f.avro", data)
    assert str(caught.value) == (
        "f.avro: can't be read: its codec 'lz4' is none of those that Avro has: null, deflate, bzip2, "
        "xz, snappy, zstandard"
    )


class Stingy(io.BytesIO):
    """Gives fewer bytes than it is asked for, as a remote file may."""

    def read(self, size=-1):
        return super().read(min(size, 5) if size and size > 0 else size)


def test_the_marker_is_found_in_short_reads():
    data = b"a" * 33 + b"0123456789abcdef" + b"b" * 40
    assert avro_format._find(Stingy(data), b"0123456789abcdef", 0) == 33
    assert avro_format._find(Stingy(data), b"0123456789abcdef", 33) == 33
    assert avro_format._find(Stingy(data), b"0123456789abcdef", 34) == -1
