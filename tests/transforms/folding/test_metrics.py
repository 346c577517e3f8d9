"""From folded messages to values."""

import numpy as np
import pytest

from schemas import metric_types
from transforms.folding.metrics import METRICS, to_seconds


@pytest.mark.parametrize(
    ("total_us", "count", "half_up", "floor", "ceil"),
    [
        (0, 0, 0, 0, 0),
        (1, 1, 0, 0, 1),
        (499_999, 1, 0, 0, 1),
        (500_000, 1, 1, 0, 1),
        (1_000_000, 1, 1, 1, 1),
        (1_499_999, 3, 0, 0, 1),
        (1_500_000, 3, 1, 0, 1),
        (2**62, 3, 1537228672809, 1537228672809, 1537228672810),
    ],
)
def test_to_seconds(total_us, count, half_up, floor, ceil):
    arrays = np.array([total_us]), np.array([count])
    assert to_seconds(*arrays, "half_up").tolist() == [half_up]
    assert to_seconds(*arrays, "floor").tolist() == [floor]
    assert to_seconds(*arrays, "ceil").tolist() == [ceil]


def test_every_type_has_a_metric_in_the_same_order():
    assert tuple(METRICS) == metric_types()
