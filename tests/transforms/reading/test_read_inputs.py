"""Which rows an input begins with, and that it is not read on where all of them are rejects."""

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline as Pipeline
from apache_beam.testing.util import assert_that, equal_to

from transforms.errors import find_job_error
from transforms.plumbing.counters import add_counts
from transforms.reading import beginnings
from transforms.reading.formats import parts
from transforms.reading.inputs import Input
from transforms.reading.names import ColumnNames
from transforms.reading.read_inputs import ReadInputs

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
