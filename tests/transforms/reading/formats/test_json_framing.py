"""Documents of JSON as lines, however many blocks they are read in."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.reading.formats import json_framing, parts
from transforms.reading.formats.json_framing import frame
from transforms.reading.formats.json_values import rows_in

SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text('a"\\\\{}[],:\n é', max_size=6)
KEYS = st.sampled_from(["Id", "x", "data", "records", "result", 'q"', "done"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
ROWS = st.dictionaries(KEYS, VALUES, max_size=4)
ARRAYS = st.lists(st.lists(SCALARS, min_size=2, max_size=2) | ROWS, max_size=5)
MANY = st.lists(ROWS, max_size=6)


@st.composite
def pages(draw):
    """Pages of each kind; what makes them pages is before or after their rows."""
    kind = draw(st.sampled_from(["entries", "records", "data", "none"]))
    fields = {
        "entries": {"conversationEntries": draw(MANY), "hasMore": draw(st.booleans())},
        "records": {"records": draw(MANY), "done": draw(st.booleans()), "totalSize": 1},
        "data": {"data": draw(ARRAYS), "metadata": [{"name": "Id"}, {"name": "x"}], "done": True},
        "none": {"records": draw(MANY), "data": draw(ARRAYS), "metadata": 1},
    }[kind]
    page = dict(draw(st.permutations(list(fields.items()))))
    return {"status": 0, "result": page, "warnings": []} if draw(st.booleans()) else page


DOCUMENTS = st.lists(ROWS | pages() | st.lists(ROWS | pages() | SCALARS, max_size=4), max_size=4)


def framed_rows(text):
    """The rows of the values, and the counts of their pages."""
    rows, counts = [], {}
    for lines, are_rows, columns in frame(io.BytesIO(text), counts):
        assert lines.endswith(b"\n")
        values = [json.loads(line) for line in lines.split(b"\n")[:-1]]
        if columns is None:
            rows += values if are_rows else rows_in(values, counts)
        else:
            is_row = [isinstance(v, list) and len(v) == len(columns) for v in values]
            rows += [dict(zip(columns, v)) if r else v for v, r in zip(values, is_row)]  # noqa: B905
    return rows, counts


@given(
    DOCUMENTS,
    st.sampled_from([None, 1]),
    st.sampled_from(["", "\n", " \r\n\ufeff"]),
    st.sampled_from([1, 7, 30, 100, 1000]),
)
def test_the_rows_are_those_of_the_documents(documents, indent, between, block):
    text = between.join(json.dumps(one, indent=indent, ensure_ascii=False) for one in documents)
    counts = {}
    values = [v for one in documents for v in (one if isinstance(one, list) else [one])]
    expected = list(rows_in(values, counts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "BLOCK_BYTES", block)
        assert framed_rows(text.encode()) == (expected, counts)


def test_what_is_read_at_once_is_a_block(monkeypatch):
    """Of an array and of the rows of a page, wherever what makes it a page is."""
    monkeypatch.setattr(parts, "BLOCK_BYTES", 100)
    rows = [{"Id": f"m{number}"} for number in range(100)]
    for document in (
        rows,
        {"conversationEntries": rows},
        {"records": rows, "totalSize": 100, "done": True},
        {"status": 0, "result": {"done": True, "records": rows}},
        {"data": [["m", 1]] * 100, "metadata": {"Id": {}, "x": {}}},
    ):
        found = list(frame(io.BytesIO(json.dumps(document).encode()), {}))
        assert sum(lines.count(b"\n") for lines, *_ in found) == 100
        assert max(len(lines) for lines, *_ in found) < 200


def test_documents_that_are_in_one_block_are_looked_at_once(monkeypatch):
    looked = []
    original = json_framing.structure_of
    monkeypatch.setattr(json_framing, "structure_of", lambda t: looked.append(1) or original(t))
    text = b'[{"Id": 1}, {"Id": [2, 3]}] [] {"Id": 4}\n[5]' * 100
    ((lines, *_),) = frame(io.BytesIO(text), {})
    assert lines == b'{"Id": 1}\n {"Id": [2, 3]}\n{"Id": 4}\n5\n' * 100
    assert len(looked) == 1


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('[{"Id": 1}', "it ends inside of a JSON value"),
        ('{"Id": [1}', "it ends inside of a JSON value"),
        ('{"conversationEntries": [{"Id": 1}', "it ends inside of a JSON value"),
        ('[{"Id": 1}}', "a JSON array is closed by }"),
        ("[1,,2]", "an element is missing between two commas of a JSON array"),
        ("[1, ]", "an element is missing between two commas of a JSON array"),
        ("[ ,1]", "an element is missing between two commas of a JSON array"),
        ("[,]", "an element is missing between two commas of a JSON array"),
        ("{},{}", "a JSON document is neither an object nor an array"),
        ("{}]", "a JSON document is neither an object nor an array"),
        ("12", "a JSON document is neither an object nor an array"),
    ],
)
@pytest.mark.parametrize("block", [1, 1000])
def test_what_is_no_document(text, wrong, block, monkeypatch):
    monkeypatch.setattr(parts, "BLOCK_BYTES", block)
    with pytest.raises(ValueError, match=f"^{wrong}$"):
        list(frame(io.BytesIO(text.encode()), {}))


def test_empty_arrays():
    assert list(frame(io.BytesIO(b" [ ] [[]]"), {})) == [(b"[]\n", False, None)]
