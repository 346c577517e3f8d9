"""Parts of files."""

import itertools

from tests.support.files_of_rows import with_sizes
from transforms.reading.formats import parts


def test_parts_cover_a_file_once():
    for size in (0, 1, 99, 1000):
        with_parts = with_sizes(100, 100, 1, lambda size=size: parts.byte_ranges(size))
        assert with_parts[0].start == 0
        assert with_parts[-1].end == size
        assert all(left.end == right.start for left, right in itertools.pairwise(with_parts))
