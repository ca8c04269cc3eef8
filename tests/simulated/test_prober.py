"""What a prober sends and what it makes of the replies, on real packets."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from probing import (
    Probe,
    command,
    find_replies,
    predict,
    read_parts,
    write_plan,
)
from world import World

if TYPE_CHECKING:
    from pathlib import Path

TTLS, FLOWS = 20, 2


def lines(prefixes: int, protocol: str = "udp") -> list[str]:
    """So many /24s, or /64s for icmp6."""
    if protocol == "icmp6":
        names = [f"3fff:0:0:{i:x}::/64" for i in range(prefixes)]
    else:
        names = [
            f"{240 + (i >> 16)}.{i >> 8 & 255}.{i & 255}.0/24" for i in range(prefixes)
        ]
    return [f"{name},{protocol},1,{TTLS},{FLOWS}" for name in names]


def probe(
    world: World, *commands: list[str], seconds: float = 120
) -> list[dict[str, int]]:
    """Runs a prober at each vantage point at once; their statistics."""
    script = " & ".join(
        f"ip netns exec vp{number} {shlex.join(words)}"
        for number, words in enumerate(commands, 1)
    )
    output = world.run("sh", "-c", f"{script} & wait", seconds=seconds)
    return [json.loads(line) for line in output.splitlines()]


def expect(
    world: World,
    rows: list[dict[str, Any]],
    protocols: dict[int, int],
    vantage_point: int,
) -> None:
    """Exactly the replies that the truth predicts to all probes of a plan.

    The plan's flows are taken from the rows: every flow is answered at its first hop.
    """
    found = find_replies(rows)
    flows = {probe[:3] for probe in found}
    counts = {p: sum(1 for flow in flows if flow[0] == p) for p in protocols}
    assert counts == {p: FLOWS * prefixes for p, prefixes in protocols.items()}
    simulation = world.simulation
    expected: dict[Probe, tuple[str, str]] = {}
    for flow in flows:
        for ttl in range(1, TTLS + 1):
            reply = predict(simulation, (*flow, ttl), vantage_point)
            if reply:
                expected[*flow, ttl] = reply
    assert found == expected


@pytest.mark.parametrize(
    ("prefixes", "rate"), [(100, 1_000), (10_000, 100_000)], ids=["few", "many"]
)
def test_replies_are_exactly_those_that_the_truth_predicts(
    prefixes: int, rate: int, tmp_path: Path
) -> None:
    """In IPv4 and IPv6, from two vantage points at once, one behind translation."""
    world = World(prefixes, prefixes, vantage_points=2)
    targets = lines(prefixes) + lines(prefixes, "icmp6")
    plan = write_plan(tmp_path / "plan.parquet", targets)
    folders = [tmp_path / "vp1", tmp_path / "vp2"]
    commands = [
        command(plan, folder, order=folder.name, rate=rate) for folder in folders
    ]
    for statistics in probe(world, *commands):
        assert statistics["sent"] == 2 * prefixes * TTLS * FLOWS
        assert statistics["dropped"] == statistics["unsent"] == 0
        assert statistics["forged"] == statistics["unplanned"] == 0
    for vantage_point, folder in enumerate(folders):
        rows = read_parts(folder)
        expect(world, rows, {17: prefixes, 58: prefixes}, vantage_point)
