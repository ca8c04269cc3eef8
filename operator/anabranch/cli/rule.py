"""The arguments of a multipath algorithm, for the commands that run one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.cli.score import read_count

if TYPE_CHECKING:
    import argparse


def add_rule_arguments(parser: argparse.ArgumentParser, algorithm: str) -> None:
    """Add the arguments, with this algorithm as the default."""
    parser.add_argument(
        "--algorithm",
        choices=("mda", "mdaLite", "mdaLocal", "singlePath"),
        default=algorithm,
        help=f"how flows and TTLs are chosen; {algorithm}",
    )
    parser.add_argument(
        "--failure-probability",
        type=float,
        default=0.05,
        metavar="P",
        help="the failure probability of a vertex, or with --max-branching of the "
        "whole topology; 0.05",
    )
    parser.add_argument(
        "--max-branching",
        type=read_count,
        metavar="B",
        help="share the failure probability among at most B branching points",
    )
    parser.add_argument(
        "--phi",
        type=read_count,
        default=2,
        metavar="N",
        help="flows of each vertex in the meshing test of mdaLite and mdaLocal; 2",
    )


def choose_failure_probability(chosen: argparse.Namespace) -> float:
    """Return the failure probability of a vertex."""
    from anabranch_engine import Trial  # noqa: PLC0415 (an extra)

    failure: float = chosen.failure_probability
    if chosen.max_branching and 0 < failure < 1:
        failure = Trial.share_failure(failure, chosen.max_branching)
    return failure
