"""CSV to raw columns, whole and in parts."""

import csv
import gzip
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.files_of_rows import (
    SIZES,
    normalized,
    outcome,
    scan,
    table_csv,
    with_sizes,
)
from transforms.batches import AGENT, END_USER
from transforms.errors import InputError
from transforms.reading import formats
from transforms.reading.formats import csv_blocks, parts

HEADER = b"session_id,message_id,sent_at,sender_role,MessageText"
GOOD_RECORDS = [
    b"s,m,1727870400000,Agent,hi",
    b'"s","m","1727870400000","Agent","two\nlines, and ""quotes"""',
    b's,m,1727870400000,Agent,"\n\n"',
    b's,m,1727870400000,Agent,""',
    b"s,m,1727870400000,Agent,",
    b's,m,1727870400000,Agent,"a\rb"',
    b"s,m,1727870400000,Agent,not\xffneeded",
]
ONE_LINE_RECORDS = [record for record in GOOD_RECORDS if b"\n" not in record]
BROKEN_RECORDS = {
    b"s,m,1727870400000,Agent": "4 fields, the header has 5",
    b"hello": "1 fields, the header has 5",
    b"s,m,1727870400000,Agent,a,b": "6 fields, the header has 5",
    b"s,\xff,1727870400000,Agent,a": "not UTF-8",
    b's,m,1727870400000,Agent,"a"b': "a quote inside a field",
    b"s,m,1727870400000,Agent,a\rb": "a line end inside a field",
}
BAD_RECORDS = {
    b",m,1727870400000,Agent,a": "session_id_missing",
    b's,"",1727870400000,Agent,a': "message_id_missing",
    b"s,m,noon,Agent,a": "sent_at_invalid",
    b"s,m,1727870400000,Ghost,a": "sender_role_unknown",
}
OPEN_RECORD = b's,m,1727870400000,Agent,"never closed'
RECORD_OPTIONS = [*GOOD_RECORDS, *GOOD_RECORDS, b"", *BROKEN_RECORDS, *BAD_RECORDS]


def expected_of_records(chosen):
    good, line, rejects = 0, 2, []
    for record in chosen:
        good += record in GOOD_RECORDS
        if record in BROKEN_RECORDS:
            rejects.append((line, "malformed_row", BROKEN_RECORDS[record]))
        elif record in BAD_RECORDS:
            rejects.append((line, BAD_RECORDS[record], None))
        line += record.count(b"\n") + 1
    return good, rejects


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize(
    "record", [*GOOD_RECORDS, *BROKEN_RECORDS, *BAD_RECORDS], ids=lambda r: repr(r[-30:])
)
def test_a_broken_record(record, end):
    chosen = [*GOOD_RECORDS[:3], record, *GOOD_RECORDS, record]
    for last in (end, b""):
        data = end.join([HEADER, *chosen]) + last
        assert outcome("f.csv", data) == expected_of_records(chosen)


def test_all_kinds_of_broken_records_in_small_parts(small):
    chosen = RECORD_OPTIONS * 2
    data = b"\n".join([HEADER, *chosen])
    assert outcome("f.csv", data) == expected_of_records(chosen)
    assert outcome("f.csv.gz", gzip.compress(data)) == expected_of_records(chosen)


@given(
    st.lists(st.sampled_from(RECORD_OPTIONS), max_size=15)
    | st.lists(st.sampled_from([*ONE_LINE_RECORDS, *BROKEN_RECORDS]), max_size=15),
    SIZES,
    SIZES,
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
)
def test_records_are_the_same_however_they_are_cut(chosen, part, block, end, ended):
    data = end.join([HEADER, *chosen]) + (end if ended else b"")
    found = with_sizes(part, block, 3, lambda: outcome("f.csv", data))
    assert found == expected_of_records(chosen)


def test_a_file_without_line_ends_in_its_records_is_cut(small):
    data = b"\n".join([HEADER, *ONE_LINE_RECORDS * 20])
    assert len(formats.format_of("f.csv").parts(io.BytesIO(data), len(data))) > 3
    assert outcome("f.csv", data) == (100, [])
    with_line_end = data + b"\n" + GOOD_RECORDS[1]
    found = formats.format_of("f.csv").parts(io.BytesIO(with_line_end), len(with_line_end))
    assert found == [parts.WHOLE]


@pytest.mark.parametrize("block", [50, 333, 1 << 20])
@pytest.mark.parametrize("quoted", [False, True])
def test_a_quote_that_is_never_closed_costs_its_line_alone(block, quoted):
    good = b'"s","m","1727870400000","Agent","two\nlines"' if quoted else GOOD_RECORDS[0]
    chosen = [good] * 5 + [OPEN_RECORD] + [good] * 20 + [OPEN_RECORD] + [good] * 5
    data = b"\n".join([HEADER, *chosen]) + b"\n"
    height = good.count(b"\n") + 1
    lines_of = [2 + 5 * height, 2 + 25 * height + 1]
    good_rows, rejects = with_sizes(1 << 20, block, 3, lambda: outcome("f.csv", data))
    assert good_rows == 30
    assert [(row, reason) for row, reason, _ in rejects] == [
        (line, "malformed_row") for line in lines_of
    ]


@given(
    st.lists(
        st.sampled_from([*RECORD_OPTIONS, OPEN_RECORD, b'a"b,c"d', b'"', b'""", x', b'x"\ny"']),
        max_size=12,
    ),
    SIZES,
)
def test_any_records_are_the_same_however_they_are_cut(chosen, block):
    data = b"\n".join([HEADER, *chosen])
    whole = with_sizes(1 << 30, 1 << 30, 3, lambda: scan("f.csv", data))
    assert with_sizes(1 << 30, block, 3, lambda: scan("f.csv", data)) == whole


def test_a_record_that_is_too_long_is_a_quote_never_closed(monkeypatch):
    monkeypatch.setattr(csv_blocks, "LONGEST_RECORD_BYTES", 100)
    text = b"\n".join([b"x" * 30] * 10)
    long = b's,m,1727870400000,Agent,"' + text + b'"'
    data = b"\n".join([HEADER, GOOD_RECORDS[0], long, GOOD_RECORDS[0], b""])
    for block in (40, 500, 1 << 20):
        good, rejects = with_sizes(1 << 30, block, 3, lambda: outcome("f.csv", data))
        assert good == 2
        assert [row for row, _, _ in rejects] == list(range(3, 13))
        assert rejects[0] == (3, "malformed_row", "a quote is never closed")


def test_a_long_text_is_no_error():
    """Of either way: 200 KB is more than the csv module takes by default."""
    text = b"x" * 200_000
    data = b"\n".join([HEADER, b"s,m,1,Agent," + text, b's,m,1,Agent,"' + text + b'"'])
    assert outcome("f.csv", data) == (2, [])
    assert outcome("f.csv", data + b"\nhello")[0] == 2


@given(
    st.lists(
        st.lists(st.text(st.sampled_from('ab,"\n\r é'), max_size=4), min_size=3, max_size=3),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(",;\t"),
)
def test_csv_against_the_writer_of_the_standard_library(rows, quoting, newline, delimiter):
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=quoting, lineterminator=newline, delimiter=delimiter)
    writer.writerow(["a", "b", "c"])
    if quoting == csv.QUOTE_MINIMAL:  # the writer leaves a lone \r without quotes
        rows = [[field.replace("\r", "") for field in row] for row in rows]
    # a record that is all blank is a blank line, which is no record
    rows = [["x" if not a.strip() else a, b, c] for a, b, c in rows]
    writer.writerows(rows)
    found, malformed = scan("f.csv", out.getvalue().encode(), ["a", "b", "c"])
    assert malformed == []
    assert [[row.get(key, "") for key in "abc"] for _, row in found] == rows


def test_columns_of_json():
    rows = [
        {
            "Id": f"m{i}",
            "EntryTime": "2024-10-02T12:00:00Z",
            "Related Records": json.dumps(["500x", "0Mwbb000007MGoT"]),
            "sender": json.dumps({"role": role, "subject": 'a ",\n" b'}),
            "entryPayload": json.dumps({"entryType": "Message", "abstractMessage": {}}),
        }
        for i, role in enumerate(["EndUser", "Agent"])
    ]
    plain = table_csv(rows)
    assert plain.count(b'""role"": ') == 2
    for data in (plain, table_csv(rows, delimiter=";"), plain + b"broken\n"):
        found, rejects = normalized("f.csv", data)
        assert [(r["session_id"], r["message_id"], r["sender"]) for r in found] == [
            ("0Mwbb000007MGoTCAW", "m0", END_USER),
            ("0Mwbb000007MGoTCAW", "m1", AGENT),
        ]
        assert [reject.reason for reject in rejects] == ["malformed_row"] * data.endswith(b"n\n")
    rows[1]["entryPayload"] = json.dumps({"entryType": "Typing"})
    rows[0]["sender"] = "EndUser"
    found, rejects = normalized("f.csv", table_csv(rows))
    assert (found, [r.reason for r in rejects]) == ([], ["sender_role_missing"])


def test_a_csv_file_without_rows():
    for data in (HEADER, HEADER + b"\n", HEADER + b"\r\n\r\n"):
        assert normalized("f.csv", data) == ([], [])
        assert normalized("f.csv.gz", gzip.compress(data)) == ([], [])


NOTHING = [
    b"",
    b"\n",
    b'""',
    b'\xef\xbb\xbf""\r\n',
    b"Records not found for this query",
    b'"Records not found for this query"\n',
]


@pytest.mark.parametrize("data", NOTHING)
def test_what_stands_for_no_rows_in_csv(data):
    for name, stored in (("f.csv", data), ("f.csv.gz", gzip.compress(data))):
        assert formats.format_of(name).names(io.BytesIO(stored)) is None
        assert normalized(name, stored) == ([], [])


def test_what_stands_for_no_rows_stands_alone():
    data = b"Records not found for this query\n" + HEADER + b"\n"
    assert formats.format_of("f.csv").names(io.BytesIO(data)) == [
        "Records not found for this query"
    ]
    with pytest.raises(InputError, match=r"^f\.csv: no column for session_id"):
        normalized("f.csv", data)


@pytest.mark.parametrize("blank", [b"", b"\n"])
def test_a_lone_carriage_return_ends_no_line(blank):
    """Nor where blank lines make up for the number of those that it would end."""
    broken = b"s,m,1727870400000,Agent,a\rs,n,1727870400000,Agent,b\n" + blank
    rows, malformed = scan("f.csv", HEADER + b"\n" + broken)
    assert (rows, malformed) == ([], [(2, "a line end inside a field")])
    rows, malformed = scan("f.csv", HEADER + b"\n\rs,m,1727870400000,Agent,a\n" + blank)
    assert (rows, malformed) == ([], [(2, "a line end inside a field")])
