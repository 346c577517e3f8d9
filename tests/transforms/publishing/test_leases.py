"""Leases: one holder at a time."""

from typing import Any

import pytest

from tests.support.cloud import watch
from transforms.publishing import leases

pytestmark = pytest.mark.service


def test_a_lease_is_renewed(storage, monkeypatch):
    monkeypatch.setattr(leases, "_RENEWED_EACH_S", 0.01)
    lease = leases.Lease(storage.path("lease"))
    seen = set()
    while len(seen) < 5:
        seen.add(storage.list()["lease"]["generation"])
    with pytest.raises(leases.HeldError):
        leases.Lease(storage.path("lease"))
    lease.release()
    assert storage.list() == {}


def test_of_two_that_take_over_a_lease_one_has_it(storage, monkeypatch):
    """The other comes between the look at the lease that has run out and the write."""
    storage.put("lease", b"of a run that was killed")
    monkeypatch.setattr(leases, "LEASE_S", 0)
    waiting = ["the other"]
    taken: list[leases.Lease] = []

    def overtake(request: Any) -> None:
        # The first write is of a lease that does not exist, and has generation 0.
        takes_over = "ifGenerationMatch=" in request.url and not request.url.endswith("=0")
        if takes_over and waiting:
            waiting.pop()
            taken.append(leases.Lease(storage.path("lease")))

    with monkeypatch.context() as patch:
        watch(overtake, patch)
        with pytest.raises(leases.HeldError):
            leases.Lease(storage.path("lease"))
    taken[0].renew()
    taken[0].release()
    assert storage.list() == {}
