"""Reports and response times for tests of the report."""

import re
from collections.abc import Iterable, Sequence

import hypothesis.strategies as st

from transforms.batches import SIDES
from transforms.reporting.histograms import Groups
from transforms.reporting.measures import Report
from transforms.reporting.views import Cell

TIMES_US = st.one_of(
    st.none(),
    st.integers(0, 200),
    st.integers(0, 10**7),
    st.floats(0, 14).map(lambda power: int(10**power)),
)


def plain(report: Report) -> object:
    """A report as values that can be compared."""

    def groups(of: Groups) -> object:
        tallies = [of.counts, *(of.times[side] for side in SIDES)]
        return [(one.keys.tolist(), one.sums.tolist()) for one in tallies]

    return [
        (name, groups(value) if isinstance(value, Groups) else value)
        for name, value in vars(report).items()
    ]


def words(rows: Iterable[Sequence[Cell]]) -> list[list[str]]:
    """The rows of a table as a reader sees them."""
    return [
        [getattr(cell, "words", None) or getattr(cell, "text", cell) for cell in row]
        for row in rows
    ]


def times_us(row: Sequence[Cell]) -> list[int | None]:
    """The durations of a row in whole, None for other cells."""
    found = [re.fullmatch(r"PT(\d+)(?:\.(\d+))?S", getattr(cell, "iso", "")) for cell in row]
    return [one and int(one[1]) * 10**6 + int((one[2] or "0").ljust(6, "0")) for one in found]
