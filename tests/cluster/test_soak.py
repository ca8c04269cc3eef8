"""A cluster at work outlives faults that come one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from soak.faults import list_kinds
from soak.schedule import draw_strikes
from soak.soak import Soak
from soak.work import WORKS
from world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl

SEED, SECONDS = 1, 45.0
KINDS = {"yarrp", "team"}


@pytest.mark.survival
def test_all_measurements_end_well(
    cluster: Cluster,
    installed: Demo,
    kubectl: Kubectl,
    simulate: Callable[[World], World],
) -> None:
    """As undisturbed ones, with no child, sender or cycle twice, and nothing left."""
    simulate(World(48, 0))
    works = [work for work in WORKS if work.name in KINDS]
    soak = Soak(cluster, installed, kubectl, works)
    kinds = list_kinds(quick=True)
    soak.run(draw_strikes(SEED, SECONDS, kinds, cluster.layout.size), SECONDS)
    assert not soak.book.wrong, soak.struck
    assert soak.done.keys() >= KINDS
