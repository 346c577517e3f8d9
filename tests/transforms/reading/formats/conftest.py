"""Fixtures of the formats' tests."""

import pytest

from transforms.reading.formats import parts


@pytest.fixture
def small(monkeypatch):
    """Files are cut into parts, blocks and batches of a few rows."""
    monkeypatch.setattr(parts, "PART_BYTES", 300)
    monkeypatch.setattr(parts, "BLOCK_BYTES", 200)
    monkeypatch.setattr(parts, "BATCH_ROWS", 3)
