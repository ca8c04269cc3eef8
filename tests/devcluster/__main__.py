"""`python -m devcluster`: a cluster for development, from the command line."""

from __future__ import annotations

import argparse
import sys
import time

from devcluster.cluster import Cluster, remove_cluster
from devcluster.images import ImageStore
from devcluster.layout import Layout
from devcluster.project import build_images


def main() -> int:
    """Gives the exit code."""
    parser = argparse.ArgumentParser(prog="devcluster", description=__doc__)
    parser.add_argument("--number", type=int, default=0, help="which cluster; 0")
    commands = parser.add_subparsers(required=True)
    start = commands.add_parser("start", help="start what does not run of a cluster")
    start.add_argument("--nodes", type=int, default=2, help="how many; 2")
    start.set_defaults(act=_start)
    images = commands.add_parser(
        "images", help="build the project's images, and give them to a cluster's nodes"
    )
    images.set_defaults(act=_build_images)
    stop = commands.add_parser("stop", help="end and remove a cluster")
    stop.set_defaults(act=_stop)
    chosen = parser.parse_args()
    try:
        chosen.act(chosen)
    except (OSError, RuntimeError, ValueError) as error:
        notes = getattr(error, "__notes__", [])
        print("devcluster:", error, *notes, sep=" ", file=sys.stderr)
        return 1
    return 0


def _start(chosen: argparse.Namespace) -> None:
    begin = time.monotonic()
    cluster = Cluster(Layout(chosen.number, chosen.nodes))
    cluster.start(lambda what: print(f"{time.monotonic() - begin:5.1f} s  {what}"))
    print(f"export KUBECONFIG={cluster.layout.kubeconfig}")


def _build_images(chosen: argparse.Namespace) -> None:
    store = ImageStore()
    build_images(store)
    if cluster := Cluster.find(chosen.number):
        cluster.load_images()
    with store.archive.lock(to_change=False):
        print(*store.archive.list_images(), sep="\n")


def _stop(chosen: argparse.Namespace) -> None:
    Layout(chosen.number)
    remove_cluster(chosen.number)


if __name__ == "__main__":
    sys.exit(main())
