"""An agent probes what a real API server says, into a real store."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from agents import read_heads, run_site
from parts import find_replies, predict_replies
from world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agents import Probed, Site
    from devcluster.apiserver import ApiServer
    from devcluster.namespace import Namespace
    from devcluster.s3 import S3

TTLS, FLOWS = 20, 2
WORLD = World(200, 200)
_numbers = itertools.count()


@pytest.fixture
def site(
    tmp_path: Path, apiserver: ApiServer, namespace: Namespace, s3: S3
) -> Iterator[Site]:
    """A vantage point of its own."""
    number = next(_numbers)
    with run_site(WORLD, tmp_path, number, apiserver, namespace, s3) as site:
        yield site


def lines(prefixes: int, first: int = 0) -> list[str]:
    """So many /24s."""
    numbers = range(first, first + prefixes)
    return [f"240.0.{number}.0/24,udp,1,{TTLS},{FLOWS}" for number in numbers]


def check_parts(site: Site, probed: Probed) -> int:
    """Whether the store has each reply once; how many probes its parts count."""
    folder = site.fetch_parts(probed)
    assert find_replies(folder) == predict_replies(WORLD.simulation, probed.plan)
    ends: dict[int, int] = {}
    heads = read_heads(folder)
    for head in heads:
        assert head.start == ends.get(head.block, 0)
        ends[head.block] = head.end
    return sum(head.probes for head in heads)


def test_a_round_is_probed_until_it_is_complete(site: Site) -> None:
    """All replies that the truth predicts are in the store, and the status says so."""
    v6 = [f"3fff:0:0:{number:x}::/64,icmp6,1,{TTLS},{FLOWS}" for number in range(20)]
    probed = site.create_round([*lines(60), *v6])
    with site.run_agent():
        status = site.wait_complete(probed.name)
    probes = 80 * TTLS * FLOWS
    assert check_parts(site, probed) == probes
    assert status["probesSent"] == probes
    assert status["repliesReceived"] == len(find_replies(site.fetch_parts(probed)))
    assert status["parts"] == len(read_heads(site.fetch_parts(probed))) > 1
    assert status["startTime"] <= status["completionTime"]
    assert status["observedGeneration"] == 1
    assert site.condition(probed.name, "Ready") == ("True", "Complete")
    assert not list((site.folder / "scratch").iterdir())
