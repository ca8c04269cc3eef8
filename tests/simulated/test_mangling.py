"""What real networks do to replies: the right result of each habit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from anabranch.cli.score import read_links
from onesurvey import judge, rehearse, write_table
from parts import find_replies, predict_replies, read_parts
from proberruns import FLOWS, TTLS, lines, probe
from probing import command, write_plan
from surveying import survey, write_manifests
from world import World

if TYPE_CHECKING:
    from pathlib import Path

WHOLE_QUOTES = {"short-quotes": 0.0}
TARGETS = ["240.0.0.0/19,udp,1,32,6", "3fff::/60,udp,1,32,6"]
"""32 /24s and 16 /64s."""
PORTS, CHECKSUM, IDENTIFICATION = 2, 4, 8


def run_prober(world: World, folder: Path) -> list[dict[str, int]]:
    """Probes 50 /24s and 50 /64s; all replies that come are as predicted."""
    targets = lines(50) + lines(50, "icmp") + lines(50, "icmp6")
    plan = write_plan(folder / "plan.parquet", targets)
    words = command(plan, folder / "parts", rate=5_000)
    (statistics,) = probe(world, words)
    assert statistics["sent"] == 150 * TTLS * FLOWS
    assert statistics["forged"] == 0
    assert find_replies(folder / "parts") == predict_replies(world.simulation, plan)
    return read_parts(folder / "parts")


@pytest.mark.parametrize(
    "habit", ["cut-quotes", "padded-quotes", "quote-leftovers", "quoted-ttls"]
)
def test_probes_are_known_however_they_are_quoted(habit: str, tmp_path: Path) -> None:
    """Cut, padded, behind a VLAN tag or a label, or with another TTL than 1."""
    world = World(50, 50, switches=WHOLE_QUOTES | {habit: 1.0})
    rows = run_prober(world, tmp_path)
    assert {row["rewritten"] for row in rows} == {0}
    if habit == "quoted-ttls":
        errors = [row for row in rows if row["reply_icmp_type"] in {3, 11}]
        assert not [row for row in errors if row["quoted_ttl"] <= 1]


@pytest.mark.parametrize(
    ("habit", "field"),
    [
        ("rewritten-ports", PORTS | CHECKSUM),
        ("rewritten-checksums", CHECKSUM),
        ("rewritten-ids", IDENTIFICATION),
    ],
)
def test_what_is_rewritten_is_told_and_hides_nothing(
    habit: str, field: int, tmp_path: Path
) -> None:
    """From the last routers before a prefix on; IPv6 has no identification."""
    world = World(50, 50, switches=WHOLE_QUOTES | {habit: 1.0})
    rows = run_prober(world, tmp_path)
    assert {row["rewritten"] for row in rows} == {0, field}
    told: dict[int, dict[bool, set[int]]] = {}
    for row in rows:
        if row["reply_icmp_type"] in {3, 11} and row["probe_protocol"] != 58:
            ttls = told.setdefault(row["prefix_index"], {True: set(), False: set()})
            ttls[bool(row["rewritten"])].add(row["probe_ttl"])
    # Paths of a prefix may differ in length, by a hop or two.
    assert all(min(ttls[True]) + 2 > max(ttls[False]) for ttls in told.values())


def test_a_survey_says_who_rewrites_what_from_which_ttl_on(tmp_path: Path) -> None:
    """And finds the links behind them."""
    world = World(32, 16, switches=WHOLE_QUOTES | {"rewritten-ports": 0.5})
    manifests = write_manifests(tmp_path, TARGETS)
    survey(world, manifests, tmp_path / "data")
    file = tmp_path / "rewrites.parquet"
    write_table(tmp_path / "data", "rewrites", "parquet", file)
    rows = pq.read_table(file).to_pylist()
    assert {row["fields"] for row in rows} == {"ports, checksum"}
    assert 0 < sum(row["prefixes"] for row in rows) < 48
    assert min(row["first_ttl"] for row in rows) > 4
    its = judge(world, manifests)
    found = read_links(tmp_path / "data", its.assignments)
    assert found == rehearse(world, manifests, tmp_path)


@pytest.mark.parametrize("habit", ["zero-ttl", "masquerades"])
def test_a_link_has_two_ends_and_is_there(habit: str, tmp_path: Path) -> None:
    """Where a router shows at two TTLs, or a destination answers for its routers."""
    world = World(32, 16, switches={habit: 0.3})
    manifests = write_manifests(tmp_path, TARGETS)
    survey(world, manifests, tmp_path / "data")
    its = judge(world, manifests)
    found = read_links(tmp_path / "data", its.assignments)
    score = its.judge(found)
    assert not [near for near, far in found if near == far]
    assert score.precision == 1
    # Of 135 links, the stopping rule may miss a few.
    assert score.recall > 0.97
