"""What is around the values of a line of JSON."""

import json

import pytest
from hypothesis import given

from tests.support.json_rows import OBJECTS
from transforms.reading.formats.json_layout import layout_of


@pytest.mark.parametrize(
    ("line", "pieces", "are_texts"),
    [
        (b'{"a":"x"}\n', [b'{"a":"', b'"}\n'], [True]),
        (b'{"a":"x"}\r\n', [b'{"a":"', b'"}\r\n'], [True]),
        (b'{ "a" : "x" , "b" : 7 }\n', [b'{ "a" : "', b'" , "b" : ', b" }\n"], [True, False]),
        (rb'{"a":"\"}:\\"}' + b"\n", [b'{"a":"', b'"}\n'], [True]),
        (b'{"a":{"b":"x"},"c":null}\n', [b'{"a":{"b":"', b'"},"c":', b"}\n"], [True, False]),
        (b'{"a":-1.5e+7}\n', [b'{"a":', b"}\n"], [False]),
        # Where the 1 ends is told by no quote and no line end.
        (b'{"a":[1,true],"b":""}\n', [b'{"a":[1,', b'],"b":"', b'"}\n'], [False, True]),
        (b'{"a":[1,{},[2]],"b":""}\n', [b'{"a":[1,{},[', b']],"b":"', b'"}\n'], [False, True]),
        (b"{}\n", [b"{}\n"], []),
    ],
)
def test_pieces(line, pieces, are_texts):
    layout = layout_of(line, [])
    assert (layout.pieces, layout.are_texts) == (pieces, are_texts)
    marks = [[i for i, byte in enumerate(piece) if byte == 34 or byte < 32] for piece in pieces]
    assert layout.first_marks == [found[0] for found in marks]
    assert layout.num_marks == [*map(len, marks)]


def keys_in(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [
        *(value if isinstance(value, dict) else ()),
        *(key for one in inner for key in keys_in(one)),
    ]


@given(OBJECTS)
def test_pieces_and_values_are_the_line(row):
    line = json.dumps(row).encode() + b"\n"
    layout = layout_of(line, [])
    if layout is None:
        assert any("\\" in json.dumps(key) for key in keys_in(row))
        return
    first, *others = layout.pieces
    assert line.startswith(first)
    rest = line.removeprefix(first).decode()
    for is_text, piece in zip(layout.are_texts, others, strict=True):
        quoted = f'"{rest}' if is_text else rest
        _, end = json.JSONDecoder().raw_decode(quoted)
        rest = quoted[end - is_text :]
        assert rest.startswith(piece.decode())
        rest = rest.removeprefix(piece.decode())
    assert rest == ""


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ('{"Id":"m","Seq":1}', {"Id": 0, "Seq": 1}),
        ('{"Seq":1,"x":{"Id":"n"},"Id":"m"}', {"Seq": 0, "Id": 2}),
        ('{"Id":"m","Id":"n"}', {"Id": 0}),
        ('{"sender":{"role":"Agent"}}', {"sender.role": 0}),
        ('{"sender.role":"Agent"}', {"sender.role": 0}),
        ('{"sender":null,"Id":"m"}', {"Id": 1}),
        ('{"sender":{},"Id":"m"}', {"Id": 0}),
        ('{"sender":[],"Id":"m"}', {"Id": 0}),
        ('{"other":{"Id":[]}}', {}),
        ("{}", {}),
    ],
)
def test_places_of_wanted_values(line, wanted):
    assert layout_of(line.encode() + b"\n", ["Id", "Seq", "sender.role"]).wanted == wanted


@pytest.mark.parametrize(
    "line",
    [
        "",
        "  ",
        "hello",
        '{"Id":"m"',
        '{"Id":"m"}{"Id":"n"}',
        '{"Id":"m",}',
        '{"Id":01}',
        '{"Id":"\\x"}',
        '{"Id":"\t"}',
        '{"Id":}',
        '["Id"]',
        '"Id"',
        "null",
        "[" * 100_000,
        # The key may be Id.
        '{"\\u0049d":"m"}',
        '{"Id":["m"]}',
        '{"Id":{"x":"m"}}',
        # A text may be JSON, and have the role.
        '{"sender":"{}"}',
        '{"sender":"x","sender.role":"Agent"}',
        '{"sender":{"role":"Agent"},"sender.role":"Bot"}',
        # Pages of rows.
        '{"conversationEntries":[]}',
        '{"records":[],"done":true}',
        '{"status":0,"result":{"records":[],"totalSize":0}}',
    ],
)
def test_lines_without_a_layout(line):
    assert layout_of(line.encode() + b"\n", ["Id", "sender.role"]) is None


@pytest.mark.parametrize(("values", "has_layout"), [(256, True), (257, False)])
def test_the_most_values(values, has_layout):
    row = {f"key{i}": i for i in range(values)}
    assert (layout_of(json.dumps(row).encode() + b"\n", []) is not None) == has_layout


def test_a_long_line_whose_quote_is_never_closed():
    """Which would take hours if the end of the text were sought from each of its quotes."""
    assert layout_of(b'{"Id":"' + b'\\"' * 1_000_000 + b"\n", ["Id"]) is None
