"""Files of text as they are stored."""

import bz2
import codecs
import gzip
import io

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.files_of_rows import (
    EXPECTED,
    FLAT,
    NAMES,
    NESTED,
    ONE_LINE,
    SAME,
    SIZES,
    lines,
    normalized,
    read_all,
    scan,
    table_csv,
    with_sizes,
)
from transforms.errors import InputError
from transforms.reading import formats
from transforms.reading.formats.encodings import as_stored
from transforms.reading.formats.json_lines import JSON_LINES
from transforms.reading.formats.parts import WHOLE


def zstandard(data):
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as packed:
        packed.write(data)
    return out.getvalue().to_pybytes()


PACK = {".gz": gzip.compress, ".bz2": bz2.compress, ".zst": zstandard}
TEXTS = {
    "f.csv": table_csv(FLAT),
    "f.tsv": table_csv(FLAT, delimiter="\t"),
    "f.jsonl": lines(FLAT),
    "f.ndjson": lines(FLAT),
    "f.json": SAME["page.json"],
}


def parts_of(name, data):
    return formats.format_of(name).parts(io.BytesIO(data), len(data))


@pytest.mark.parametrize("packed", PACK)
@pytest.mark.parametrize("name", TEXTS)
def test_a_compressed_text_is_told_by_its_suffix_and_by_its_bytes(name, packed, small):
    data = PACK[packed](TEXTS[name])
    for stored_as in (name + packed, name):
        assert normalized(stored_as, data) == (EXPECTED, [])
        assert parts_of(stored_as, data) == [WHOLE]
    assert normalized(name + packed, PACK[packed](b"")) == ([], [])
    twice = b"".join(PACK[packed](half) for half in (TEXTS[name][:99], TEXTS[name][99:]))
    assert normalized(name + packed, twice) == (EXPECTED, [])


@pytest.mark.parametrize("packed", PACK)
def test_a_compressed_text_that_is_truncated_or_none(packed):
    data = PACK[packed](TEXTS["f.csv"])
    for broken in (data[:-9], data[:30], b"\0\x01\x02\x03" + data, TEXTS["f.csv"]):
        with pytest.raises(InputError, match=rf"^f\.csv\{packed}: can't be read: [^\n]+$"):
            read_all(f"f.csv{packed}", broken)


def test_how_much_a_file_grows():
    data = TEXTS["f.csv"]

    def ratio(name, stored):
        return formats.format_of(name).bytes_per_byte(io.BytesIO(stored))

    packed = gzip.compress(data)
    assert ratio("f.csv", packed) == ratio("f.csv.gz", packed) == 8 * ratio("f.csv", data)


def test_a_zip_archive_is_told():
    with pytest.raises(InputError) as caught:
        read_all("f.csv", b"PK\x03\x04" + bytes(50))
    assert str(caught.value) == "f.csv: can't be read: it is a zip archive; unpack it first"


ENCODINGS = {
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", TEXTS)
def test_a_text_in_another_encoding(name, encoding, small):
    data = ENCODINGS[encoding] + TEXTS[name].decode().encode(encoding)
    assert normalized(name, data) == (EXPECTED, [])
    assert normalized(f"{name}.gz", gzip.compress(data)) == (EXPECTED, [])


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark(encoding):
    for name, data in TEXTS.items():
        assert normalized(name, data.decode().encode(encoding)) == (EXPECTED, [])


def test_half_a_character_is_one_broken_row():
    names = [name for name in FLAT[0] if name != "MessageText"]
    rows = [dict(row, EntryType="\ud800") if i == 1 else row for i, row in enumerate(FLAT)]
    text = "\n".join([",".join(names), *(",".join(str(row[n]) for n in names) for row in rows)])
    data = codecs.BOM_UTF16_LE + text.encode("utf-16-le", "surrogatepass")
    found, rejects = normalized("f.csv", data)
    assert found == [row for row in EXPECTED if row["message_id"] != "m1"]
    assert [(r.row, r.detail) for r in rejects] == [(3, "not UTF-8")]


def test_a_text_in_another_encoding_that_is_truncated():
    data = codecs.BOM_UTF16_LE + TEXTS["f.csv"].decode().encode("utf-16-le")
    with pytest.raises(InputError, match=r"^f\.csv: can't be read: [^\n]+truncated data$"):
        read_all("f.csv", data[:-1])


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_lines_that_end_in_cr_alone(mark, small):
    for name, data in {
        "f.csv": table_csv(FLAT, newline="\r"),
        "f.tsv": table_csv(ONE_LINE, delimiter="\t", newline="\r"),
        "f.jsonl": lines(NESTED).replace(b"\n", b"\r"),
        "f.json": lines(NESTED).replace(b"\n", b"\r"),
    }.items():
        assert normalized(name, mark + data) == (EXPECTED, [])
        assert normalized(name, gzip.compress(mark + data)) == (EXPECTED, [])
        numbers = [number for number, _ in scan(name, mark + data)[0]]
        assert numbers == sorted(set(numbers)) and len(numbers) == 20


def test_a_cr_that_ends_no_line_stays_as_it_is(small):
    for newline in ("\r\n", "\r\r\n"):
        data = table_csv(ONE_LINE, newline=newline)
        assert normalized("f.csv", data) == (EXPECTED, [])
        assert parts_of("f.csv", data) != [WHOLE]
    header = b"Id,Status,a\n"
    assert parts_of("f.csv", b'"I\rd",' + header * 100) != [WHOLE]
    assert parts_of("f.csv", header * 100 + b"\r") != [WHOLE]


@given(st.text('a"\r\n,é\U0001f600', max_size=40), SIZES, st.sampled_from(["utf-16", "utf-32"]))
def test_a_text_is_the_same_however_it_is_stored(text, size, encoding):
    data = f'session_id,message_id\n"x",y\n{text}'.encode()

    def outcome(stored):
        return with_sizes(size, size, 3, lambda: scan("f.csv", stored))

    expected = with_sizes(1 << 30, size, 3, lambda: scan("f.csv", data))
    for stored in (data.decode().encode(encoding), gzip.compress(data), bz2.compress(data)):
        assert outcome(stored) == expected


def test_a_stream_may_be_read_again():
    for stored in (gzip.compress(b"0123456789"), "0123456789".encode("utf-16")):
        seen = []

        def names(file, seen=seen):
            for at in (0, 7, 3, 3):
                assert file.seek(at) == at
                seen.append((file.tell(), file.read(2)))

        as_stored(JSON_LINES._replace(names=names)).names(io.BytesIO(stored))
        assert seen == [(0, b"01"), (7, b"78"), (3, b"34"), (3, b"34")]


def test_a_file_is_closed_with_its_text():
    opened = []

    def open_file():
        opened.append(io.BytesIO(gzip.compress(TEXTS["f.csv"])))
        return opened[-1]

    known, lent = formats.format_of("f.csv"), open_file()
    known.names(lent)
    known.parts(lent, 9)
    assert not lent.closed
    assert list(known.read(open_file, WHOLE, NAMES))
    assert len(opened) > 1 and all(file.closed for file in opened[1:])


def test_a_file_that_can_not_be_opened_is_closed():
    file = io.BytesIO(b"\x1f\x8b")
    with pytest.raises(EOFError):
        list(formats.format_of("f.csv").read(lambda: file, WHOLE, NAMES))
    assert file.closed
