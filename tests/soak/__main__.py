"""`python -m soak`: a soak of a cluster of its own, from a seed."""

from __future__ import annotations

import argparse
import secrets
import sys
from dataclasses import replace
from pathlib import Path

from agentpair import install
from devcluster.cluster import Cluster
from devcluster.demo import Demo
from devcluster.evidence import keep_evidence
from devcluster.images import ImageStore
from devcluster.layout import Layout
from devcluster.process import tell
from devcluster.project import build_images
from soak.faults import list_kinds
from soak.schedule import draw_strikes
from soak.soak import Soak
from world import World

KEPT = Path(__file__).parents[2] / "build" / "failed" / "soak"


def main() -> int:
    """Gives the exit code: 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--number", type=int, default=93, help="which cluster; 93")
    parser.add_argument("--seconds", type=float, default=3600, help="an hour")
    parser.add_argument("--seed", type=int, help="of the faults; by default drawn")
    parser.add_argument("--quick", action="store_true", help="faults that end soon")
    chosen = parser.parse_args()
    seed = secrets.randbits(32) if chosen.seed is None else chosen.seed
    tell(f"a soak of {chosen.seconds:g} s from the seed {seed}")
    build_images(ImageStore())
    cluster = Cluster(Layout(chosen.number))
    cluster.stop()
    try:
        cluster.start()
        return run(cluster, seed, chosen.seconds, quick=chosen.quick)
    finally:
        cluster.stop()


def run(cluster: Cluster, seed: int, seconds: float, *, quick: bool) -> int:
    """Soaks a cluster that runs; gives the exit code."""
    cluster.simulate(replace(World(48, 0), vantage_points=cluster.layout.size))
    demo = Demo(cluster)
    install(demo)
    strikes = draw_strikes(seed, seconds, list_kinds(quick=quick), cluster.layout.size)
    with cluster.kubectl.open_namespace() as kubectl:
        soak = Soak(cluster, demo, kubectl)
        try:
            soak.run(strikes, seconds)
            wrong = soak.book.wrong
        except BaseException:
            keep_evidence(cluster, KEPT)
            raise
        if wrong:
            keep_evidence(cluster, KEPT)
    tell(f"{len(soak.struck)} faults; measurements: {soak.done}")
    for each in (*(soak.struck if wrong else ()), *wrong):
        tell(each)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
