"""Runs of equal values in NumPy arrays. Pure; no Beam, no Arrow."""

import numpy as np
from numpy.typing import NDArray


def run_edges(*columns: NDArray[np.generic]) -> NDArray[np.intp]:
    """Cuts rows into runs: neighbours that are equal in every column.

    >>> edges = run_edges(np.array([7, 7, 5, 7]))
    >>> edges
    array([0, 2, 3, 4])
    >>> edges[:-1], edges[1:] - 1  # the first and the last row of each run
    (array([0, 2, 3]), array([1, 2, 3]))

    Args:
      columns: one or more, shape (rows,).

    Returns:
      Where each run begins, ascending, and at last the number of rows: shape (runs + 1,).
    """
    edges = np.ones(len(columns[0]) + 1, bool)
    inner = edges[1:-1]
    np.not_equal(columns[0][1:], columns[0][:-1], out=inner)
    for column in columns[1:]:
        inner |= column[1:] != column[:-1]
    return np.flatnonzero(edges)
