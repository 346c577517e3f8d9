"""Runs of equal values."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.plumbing.runs import run_edges


@pytest.mark.parametrize(
    ("values", "edges"),
    [([], [0]), ([7], [0, 1]), ([7, 7], [0, 2]), ([7, 5, 5, 7], [0, 1, 3, 4])],
)
def test_edges(values, edges):
    assert run_edges(np.array(values, np.int64)).tolist() == edges


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2))))
def test_a_run_is_alike_in_every_column(rows):
    sizes = [len(list(run)) for _, run in itertools.groupby(rows)]
    columns = np.array(rows, np.int64).reshape(-1, 2).T
    assert run_edges(*columns).tolist() == [0, *itertools.accumulate(sizes)]
