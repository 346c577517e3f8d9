"""An input whose first rows are all rejects."""

import itertools

import pytest

from tests.support.batches import rejects
from transforms.errors import TooManyRejectsError
from transforms.reading import beginnings
from transforms.reading.beginnings import Beginning
from transforms.rejects import Reject


def some(first, number):
    return rejects(
        "messages",
        *(
            Reject("a.csv", row, "sent_at_invalid", "noon", "s", "m")
            for row in range(first, first + number)
        ),
    )


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(beginnings, "FEWEST_ROWS", 6)


BAD = [(3, some(1, 3)), (2, some(4, 2)), (4, some(6, 4)), (1, some(10, 0))]


@pytest.mark.parametrize("order", itertools.permutations(range(4)))
def test_all_first_rows_are_rejects(order):
    """Whichever piece is read first."""
    beginning = Beginning("messages")
    told = []
    for place in order:
        try:
            beginning.add(place, *BAD[place])
        except TooManyRejectsError as error:
            told.append(str(error))
    assert told == [
        "the first 9 messages are all rejected: sent_at_invalid 9 (a.csv, row 1: noon); nothing was "
        "published. Mend the input, or give --max_reject_ratio 1 to read on and see the rejects"
    ]


@pytest.mark.parametrize(
    "pieces",
    [
        [(3, some(1, 3)), (3, some(4, 2)), (9, some(7, 9))],  # a good row among the first
        [(9, some(1, 8))],
        [(5, some(1, 5))],  # too few rows
        [(3, some(1, 3)), (0, some(4, 0)), (2, some(4, 2))],
    ],
)
def test_others_are_read_on(pieces):
    for order in itertools.permutations(range(len(pieces))):
        beginning = Beginning("messages")
        for place in order:
            beginning.add(place, *pieces[place])
