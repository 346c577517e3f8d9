"""Lines of JSON that have few layouts, which say as columns what they say one by one."""

import json

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.files_of_rows import NAMES, SAME, lines
from tests.support.json_rows import OBJECTS, SCALARS, assert_says_what_the_lines_say
from transforms.reading.formats import json_by_layout
from transforms.reading.formats.json_by_layout import decode_by_layout, one_of_each_layout
from transforms.reading.formats.json_values import names_of, value_of

TEXT = pa.string()


@given(st.lists(OBJECTS, min_size=1, max_size=5))
def test_columns_say_what_the_lines_say(objects):
    block = lines(objects)
    assert_says_what_the_lines_say(decode_by_layout(block, NAMES), block)


# Rows as a program writes them: what is wanted is of one kind, and the rest is of any.
WRITTEN = {
    "session_id": st.sampled_from(["0Mwbb000007MGoT", "", "a,b:{c}", "é", "NULL"]),
    "Seq": st.integers(0, 10**18 - 1) | st.none(),
    "IsDeleted": st.booleans() | st.none(),
    "sender": st.fixed_dictionaries({"role": st.sampled_from(["Agent", "Bot"]), "x": SCALARS}),
    "Message": st.text('a"\\\n\t,:}é\ud800', max_size=6),
    "other": SCALARS | st.lists(SCALARS, max_size=2),
}


@st.composite
def written(draw):
    """A block of lines of one or two layouts."""
    ways = draw(
        st.lists(st.lists(st.sampled_from([*WRITTEN]), unique=True), min_size=1, max_size=2)
    )
    rows = st.sampled_from(ways).flatmap(
        lambda keys: st.fixed_dictionaries({key: WRITTEN[key] for key in keys})
    )
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " :")]))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    texts = [
        json.dumps(row, separators=separators, ensure_ascii=draw(st.booleans()))
        for row in draw(st.lists(rows, min_size=1, max_size=6))
    ]
    return end.join([*texts, ""] if draw(st.booleans()) else texts).encode(errors="replace")


@given(written())
@example(b'{"Seq":1}\n{"Seq":null}\n{"Seq":"1"}\n')
@example(b'{"other":["a",7,"b"],"Seq":1}\n{"other":["a","b"],"Seq":1}\n')
@example(b'{"Seq":7,"Message":""}\n{"Seq":"x","Message":""}\n')
def test_written_lines(block):
    assert_says_what_the_lines_say(decode_by_layout(block, NAMES), block)


@given(written())
def test_one_line_of_each_layout_has_the_keys_of_all(block):
    lines_of_block = [line for line in block.split(b"\n") if line]
    if (found := one_of_each_layout(block)) is not None:
        assert names_of(map(value_of, found)) == names_of(map(value_of, lines_of_block))


def test_one_line_of_each_layout():
    first, second = b'{"Id":"m","sender":{"role":"Agent"}}\n', b'{"Id":"m","Seq":7}\n'
    block = first + first.replace(b"m", b"n") + second + first + second.replace(b"7", b"8")
    assert one_of_each_layout(block) == [first, second]
    assert one_of_each_layout(first.rstrip()) == [first]
    assert one_of_each_layout(first + b"oops") is None
    assert one_of_each_layout(b"") is None


@given(written(), st.data())
def test_lines_with_a_byte_more_or_less(block, data):
    """Every break of JSON leaves the block to the others, or gives what they give."""
    place = data.draw(st.integers(0, len(block)))
    more = data.draw(
        st.sampled_from([b'"', b"\\", b",", b":", b"{", b"}", b"[", b"]"]) | st.binary(max_size=1)
    )
    block = block[:place] + more + block[place + data.draw(st.integers(0, 1)) :]
    assert_says_what_the_lines_say(decode_by_layout(block, NAMES), block)


@pytest.mark.parametrize("at_once", [1, 2, 1 << 12])
@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        ([["s", 1], ["tt", 22]], {"session_id": (TEXT, ["s", "tt"]), "Seq": (pa.int64(), [1, 22])}),
        (
            [["s", None], ["t", 0]],
            {"session_id": (TEXT, ["s", "t"]), "Seq": (pa.int64(), [None, 0])},
        ),
        (
            [["s", True], ["t", False]],
            {"session_id": (TEXT, ["s", "t"]), "Seq": (pa.bool_(), [True, False])},
        ),
        ([["s", None], ["", None]], {"session_id": (TEXT, ["s", ""])}),
        (
            [["s", None], ["t", "7"], [None, "8"]],
            {"session_id": (TEXT, ["s", "t", None]), "Seq": (TEXT, [None, "7", "8"])},
        ),
        (
            [["s", 10**18 - 1], ["t", 0]],
            {"session_id": (TEXT, ["s", "t"]), "Seq": (pa.int64(), [10**18 - 1, 0])},
        ),
    ],
)
def test_values_and_types(monkeypatch, at_once, rows, columns):
    monkeypatch.setattr(json_by_layout, "_LINES_AT_ONCE", at_once)
    block = lines(
        [{"session_id": session, "Seq": sequence, "x": "\n"} for session, sequence in rows]
    )
    num_lines, found = decode_by_layout(block, NAMES)
    assert num_lines == len(rows)
    assert {name: (array.type, array.to_pylist()) for name, array in found.items()} == columns


@pytest.mark.parametrize("name", ["flat.jsonl", "crlf.jsonl"])
def test_a_plain_block_is_read_as_columns(name):
    assert decode_by_layout(SAME[name], NAMES) is not None


def test_lines_of_several_layouts_keep_their_order():
    rows = [{"Id": f"m{i}", **({"Seq": i} if i % 3 else {})} for i in range(100)]
    num_lines, columns = decode_by_layout(lines(rows), NAMES)
    assert num_lines == 100
    assert columns["Id"].to_pylist() == [row["Id"] for row in rows]
    assert columns["Seq"].to_pylist() == [row.get("Seq") for row in rows]


@pytest.mark.parametrize("at_once", [1, 1 << 12])
def test_lines_that_differ_in_a_bare_value(monkeypatch, at_once):
    """A list has as many marks as a number."""
    monkeypatch.setattr(json_by_layout, "_LINES_AT_ONCE", at_once)
    rows = [{"Id": f"m{i}", "x": [i] if i % 3 == 1 else i} for i in range(7)]
    assert decode_by_layout(lines(rows), NAMES).columns["Id"].to_pylist() == [
        row["Id"] for row in rows
    ]


@pytest.mark.parametrize("layouts", [8, 9])
def test_the_most_layouts(layouts):
    rows = [{"Id": "m", **dict.fromkeys("abcdefgh"[:i])} for i in range(layouts)] * 2
    assert (decode_by_layout(lines(rows), NAMES) is None) == (layouts > 8)


@pytest.mark.parametrize("layouts", [2, 3])
def test_the_most_layouts_with_which_lines_are_compared(layouts):
    """All are compared with the first layout; of two, half with the second; of three, two thirds."""
    rows = [{"Id": "m", f"key{i}": i} for i in range(layouts)] * 2
    assert (decode_by_layout(lines(rows), NAMES) is None) == (layouts > 2)


def test_a_block_that_its_first_lines_leave_to_others(monkeypatch):
    first, second = b'{"Id":"m"}\n', b'{"Id":["m"]}\n'
    decoded = []
    inner = json_by_layout._decode
    monkeypatch.setattr(
        json_by_layout, "_decode", lambda block, names: decoded.append(block) or inner(block, names)
    )
    monkeypatch.setattr(json_by_layout, "_HEAD_BYTES", len(first) + 1)
    assert decode_by_layout(first + second + first * 9, NAMES) is None
    assert decoded == [first + second]
    assert decode_by_layout(first * 9, NAMES).num_lines == 9


@pytest.mark.parametrize(
    "second",
    [
        b"",
        b"oops",
        b'{"Id":"m","Seq":1}}',
        b'{"Id":"m","Seq":1',
        b'{"Id":"m","Seq":}',
        b'{"Id":"m","Seq":01}',
        b'{"Id":"m","Seq":1 2}',
        b'{"Id":"m","Seq":NaN}',
        b'{"Id":"m","Seq":1,}',
        b'x{"Id":"m","Seq":1}',
        b'{"Id":"m","Seq":1}x',
        b'{"Id":"m\x01","Seq":1}',
        b'{"Id":"m\xff","Seq":1}',
        # What a column of whole numbers does not hold.
        b'{"Id":"m","Seq":-1}',
        b'{"Id":"m","Seq":1.5}',
        b'{"Id":"m","Seq":true}',
        b'{"Id":"m","Seq":"1"}',
        b'{"Id":"m","Seq":1000000000000000000}',
        # An escape in a value that is wanted.
        rb'{"Id":"m\n","Seq":1}',
        rb'{"Id":"m\u0041","Seq":1}',
    ],
)
@pytest.mark.parametrize("at_once", [1, 1 << 12])
def test_blocks_that_are_left_to_others(monkeypatch, second, at_once):
    monkeypatch.setattr(json_by_layout, "_LINES_AT_ONCE", at_once)
    first = b'{"Id":"m","Seq":1}'
    assert decode_by_layout(b"\n".join([first, first]), NAMES) is not None
    for block in ([first, second, first], [second, first], [first, first, second, b""]):
        assert decode_by_layout(b"\n".join(block), NAMES) is None


@pytest.mark.parametrize("at_once", [1, 1 << 12])
@pytest.mark.parametrize("more", [b"", b'{"Id":"m"}\n'], ids=["one layout", "two"])
@pytest.mark.parametrize(
    ("value", "is_json"),
    [
        *((value, True) for value in (b"0", b"-1", b"1.5", b"-0.5e-7", b"1E+2", b"true", b"null")),
        *(
            (value, False)
            for value in (b"", b" ", b"-", b"01", b"1 2", b"1.", b"tru", b"NaN", b"[1")
        ),
    ],
)
def test_bare_values_that_nobody_wants(monkeypatch, at_once, more, value, is_json):
    monkeypatch.setattr(json_by_layout, "_LINES_AT_ONCE", at_once)
    first = b'{"Id":"m","x":1}\n'
    block = more + first * 2 + first.replace(b":1", b":" + value)
    assert (decode_by_layout(block, NAMES) is not None) == is_json


def test_escapes_in_other_values():
    block = rb'{"Id":"m","x":"\"\\\u00e9\ud800\n"}' + b"\n" + b'{"Id":"n","x":""}\n'
    assert decode_by_layout(block, NAMES).columns["Id"].to_pylist() == ["m", "n"]
