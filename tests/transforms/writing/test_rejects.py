"""How many rejects are too many."""

import pytest

from transforms.errors import TooManyRejectsError
from transforms.writing.rejects import check_rejects, is_rejects_file


def test_names_of_files_of_rejects():
    assert is_rejects_file("rejects-00001-of-00002.jsonl")
    for name in (
        "rejects-00001-of-00002.json",
        "rejects-1-of-2.jsonl",
        "a/rejects-00000-of-00001.jsonl",
    ):
        assert not is_rejects_file(name)


@pytest.mark.parametrize(
    ("rejected", "read", "ratio", "passes"),
    [
        (1, 100, 0.01, True),
        (2, 100, 0.01, False),
        (29, 100, 0.29, True),  # 0.29 * 100 is less than 29 in binary
        (7, 100, 0.07, True),
        (1, 10**9, 0, False),
        (0, 0, 0, True),
        (5, 5, 1, True),
    ],
)
def test_reject_ratio(rejected, read, ratio, passes):
    counts = {"sessions_read": read, "sessions_rejected_x": rejected, "messages_read": 10**12}
    if passes:
        check_rejects(counts, ratio)
    else:
        with pytest.raises(TooManyRejectsError, match=rf"^{rejected} of {read:,} sessions .*\(x "):
            check_rejects(counts, ratio)


def test_reject_ratio_is_of_each_input():
    counts = {"messages_read": 1000, "sessions_read": 10, "sessions_rejected_platform_unknown": 1}
    with pytest.raises(TooManyRejectsError, match="--assume_platform"):
        check_rejects(counts, 0.05)
