"""Which rows an input begins with, and that it is not read on where all of them are rejects."""

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline as Pipeline
from apache_beam.testing.util import assert_that, equal_to

from transforms.batches import NO_SEQUENCE
from transforms.errors import find_job_error
from transforms.plumbing.counters import add_counts
from transforms.reading import beginnings, inputs
from transforms.reading.formats import parts
from transforms.reading.inputs import FileParts, Input
from transforms.reading.names import ColumnNames
from transforms.reading.read_inputs import ReadInputs
from transforms.rejects import rejects_in

HEADER = "session_id,message_id,sender_role,sent_at\n"


def write(path, *instants):
    rows = (f"s,{number},Agent,{instant}\n" for number, instant in enumerate(instants))
    path.write_text(HEADER + "".join(rows))
    return str(path)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(beginnings, "FEWEST_ROWS", 3)


def messages(*patterns):
    return Input(patterns=patterns, names=ColumnNames.of("messages"))


def test_an_input_that_begins_with_rejects_is_not_read_on(tmp_path):
    (tmp_path / "a.csv").touch()
    bad = write(tmp_path / "b.csv", *["noon"] * 3)
    good = write(tmp_path / "c.csv", *[1_727_870_400] * 1000)
    with pytest.raises(Exception, match="nothing was published") as raised:  # noqa: SIM117
        with Pipeline(runner="FnApiRunner") as pipeline:
            _ = pipeline | ReadInputs([messages(str(tmp_path / "*.csv"), good)], end_early=True)
    assert find_job_error(raised.value) == (
        f"the first 3 messages are all rejected: sent_at_invalid 3 ({bad}, row 2: noon); nothing was "
        "published. Mend the input, or give --max_reject_ratio 1 to read on and see the rejects"
    )


@pytest.mark.parametrize(
    ("first", "end_early"), [(["1", "noon", "noon", "noon"], True), (["noon"] * 3, False)]
)
def test_any_other_is(first, end_early, tmp_path, monkeypatch):
    """Rejects further on, in the same file, in the next or under the next pattern, are rejects."""
    monkeypatch.setattr(parts, "PART_BYTES", 64)
    paths = [write(tmp_path / "a1.csv", *first, *["noon"] * 9)]
    paths += [write(tmp_path / name, *["noon"] * 9) for name in ("a2.csv", "b.csv")]
    patterns = str(tmp_path / "a*"), paths[2]
    with Pipeline(runner="FnApiRunner") as pipeline:
        read = pipeline | ReadInputs([messages(*patterns)], end_early=end_early)
        bad = first.count("noon") + 27
        counts = {"messages_read": len(first) + 27, "messages_rejected_sent_at_invalid": bad}
        if len(first) > bad - 27:
            counts["assigned_by_session_id"] = 1
        total = read.counts | beam.CombineGlobally(add_counts)
        assert_that(total, equal_to([counts]))


def write_rows(path, *rows, header="session_id,message_id,sender_role,sent_at"):
    path.write_text("\n".join([header, *rows, ""]))


def test_small_files_with_the_same_columns_are_read_together(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "_SMALL_BYTES", 250)
    monkeypatch.setattr(inputs, "_MOST_FILES", 3)
    row = "s,1,Agent,1727870400"
    for name in "abfg":
        write_rows(tmp_path / f"{name}.csv", row)
    write_rows(tmp_path / "c.csv", *[row] * 11)
    (tmp_path / "d.csv").touch()
    write_rows(tmp_path / "e.csv", row, header="SessionId,message_id,sender_role,sent_at")
    write_rows(tmp_path / "h.csv", *[row] * 9)
    write_rows(tmp_path / "i.csv", row)
    one = messages(str(tmp_path / "*.csv"))
    found = list(one.parts_of(*one.patterns))
    together = [
        "".join(Path(part.path).stem for part in parts.parts)
        for parts in found
        if isinstance(parts, FileParts)
    ]
    # c is no small one, e has other columns, and h is too much for those before and after it.
    assert together == ["ab", "c", "e", "fg", "h", "i"]
    sizes = [int(0.6 * path.stat().st_size) for path in sorted(tmp_path.iterdir())]
    assert [size for size in found if isinstance(size, int)] == sizes
    for name in "abcdefghi":
        write_rows(tmp_path / f"{name}.csv", row)
    again = [parts for parts in one.parts_of(*one.patterns) if isinstance(parts, FileParts)]
    assert [len(parts.parts) for parts in again] == [3, 3, 3]


GOOD, BAD = "s,{},Agent,2024-10-02T12:00:00Z", "s,{},Agent,noon"


@pytest.mark.parametrize(
    ("rows", "sizes", "rejects"),
    [
        ([GOOD, GOOD], [4], []),
        ([GOOD, BAD], [3], [("b.csv", 3, "noon")]),
        ([GOOD, "s,broken", BAD], [3], [("b.csv", 3, None), ("b.csv", 4, "noon")]),
    ],
)
def test_rows_of_small_files_are_one_batch_and_rejects_know_their_file(
    rows, sizes, rejects, tmp_path
):
    for name, lines in (("a", [GOOD]), ("b", rows), ("c", [GOOD])):
        write_rows(tmp_path / f"{name}.csv", *(line.format(name) for line in lines))
    with Pipeline(runner="FnApiRunner") as pipeline:
        read = pipeline | ReadInputs([messages(str(tmp_path / "*.csv"))])
        assert_that(read.batches | "Sizes" >> beam.Map(len), equal_to(sizes), "CheckSizes")
        places = read.rejects | beam.FlatMap(places_of)
        assert_that(places, equal_to(rejects), "CheckRejects")
        total = read.counts | beam.CombineGlobally(add_counts)
        read_rows = total | beam.Map(lambda counts: counts["messages_read"])
        assert_that(read_rows, equal_to([2 + len(rows)]), "CheckCounts")


def places_of(batch):
    for reject in rejects_in(batch):
        value = reject.detail if reject.reason == "sent_at_invalid" else None
        yield Path(reject.source).name, reject.row, value


def test_small_files_of_which_the_values_have_other_types(tmp_path):
    """Of JSON a column may be a number in one file, and a text in the next."""
    for name, pair in (("a", '"sequence": 1'), ("b", '"sequence": "2"'), ("c", '"Text": "x"')):
        (tmp_path / f"{name}.jsonl").write_text(
            f'{{"session_id": "s", "message_id": "{name}", "sender_role": "Agent", '
            f'"sent_at": 1727870400, {pair}}}\n'
        )
    with Pipeline(runner="FnApiRunner") as pipeline:
        read = pipeline | ReadInputs([messages(str(tmp_path / "*.jsonl"))])
        rows = read.batches | beam.FlatMap(lambda batch: batch.to_pylist())
        found = rows | beam.Map(lambda row: (row["message_id"], row["sequence"]))
        assert_that(found, equal_to([("a", 1), ("b", 2), ("c", NO_SEQUENCE)]))
