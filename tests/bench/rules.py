"""How many links each rule of Diamond-Miner finds, for how many probes.

Surveys of simulated Internets, in process and without packets. Recall is the share of
the links that flows 0 to 255 of each prefix cross and whose two ends answer.

    python tests/bench/rules.py [--prefixes N] [--v6] [--seeds K] [--rule RULE …]
                                [--set NAME=VALUE …]
"""

from __future__ import annotations

import argparse
import io
import random
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from math import nan
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from anabranch_engine import Plan, Simulation, TargetList

from anabranch.api.tool import DiamondMiner, Yarrp
from anabranch.local.rehearsal import rehearse
from anabranch.local.score import tell
from anabranch.rounds.outcome import Rules
from anabranch.rounds.planning import ask_flow_space

sys.path.insert(0, str(Path(__file__).parents[1]))

from peerrules import Answer, fill_as_yarrp, probe_as_flashroute

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from anabranch.api.tool import Tool
    from peerrules import Ask, Hops

FLOWS, MAX_TTL = 256, 32
SURVEYS: Mapping[str, tuple[Tool, float]] = {
    "lite": (DiamondMiner(), 0.05),
    "full": (DiamondMiner(rule="full"), 0.05),
    "shared": (DiamondMiner(rule="shared"), 0.05),
    "shared at 0.2": (DiamondMiner(rule="shared"), 0.2),
    "yarrp": (Yarrp(), 0.05),
}
"""What is compared: tools, and their failure probability."""
PEERS: Mapping[str, Callable[[int, Ask], Hops]] = {
    "yarrp, fill mode": fill_as_yarrp,
    "FlashRoute": probe_as_flashroute,
}
"""Rules of other tools."""
PORTS = 24_000 << 16 | 33_434
UDP, ICMP6 = 17, 58


@dataclass(frozen=True)
class Finding:
    """What a rule finds on an Internet."""

    probes: int
    links: int
    recall: float
    precision: float
    seconds: float
    missing: int
    """The links that are there and were not found."""
    steps: int | None = None
    expected: float | None = None
    """The links that the rule itself expects to have missed."""


@dataclass(frozen=True)
class Ground:
    """An Internet, and what is there to find."""

    prefixes: int
    world: Simulation
    folder: Path
    is_v6: bool
    known: set[tuple[int, int]]
    real: set[tuple[int, int]]

    def survey(self, tool: Tool, failure_probability: float) -> Finding:
        """Survey it by a tool."""
        flows = 1 if isinstance(tool, Yarrp) else 6
        targets = write_targets(self.folder, self.prefixes, flows, is_v6=self.is_v6)
        rules = Rules(tool, 10, failure_probability, 1, MAX_TTL, drop_private=False)
        began = time.monotonic()
        found = rehearse(self.world, 0, targets, rules, self.folder)
        judged = self._judge(found.links, found.probes, began)
        return replace(judged, steps=found.steps, expected=found.missing_links)

    def trace(self, rule: Callable[[int, Ask], Hops]) -> Finding:
        """Survey it by the rule of another tool."""
        asked = 0
        draw = random.Random(1)  # noqa: S311 (a seed)
        hosts = [self._choose_host(prefix, draw) for prefix in range(self.prefixes)]
        protocol = ICMP6 if self.is_v6 else UDP

        def ask(prefix: int, ttl: int) -> Answer | None:
            nonlocal asked
            asked += 1
            to = hosts[prefix]
            reply = self.world.reply(0, to, protocol, PORTS, ttl)
            if reply is None:
                return None
            kind, address = reply
            if kind == "time exceeded":
                return Answer(address, None)
            return Answer(address, len(self.world.path(0, to, protocol, PORTS)) + 1)

        began = time.monotonic()
        hops = rule(self.prefixes, ask)
        links = {
            (tell(near), tell(far))
            for path in hops.values()
            for ttl, near in path.items()
            if (far := path.get(ttl + 1)) and far != near
        }
        return self._judge(links, asked, began)

    def _choose_host(
        self, prefix: int, draw: random.Random
    ) -> IPv4Address | IPv6Address:
        if self.is_v6:
            first = int(IPv6Address("3fff::")) + (prefix << 64)
            return IPv6Address(first + draw.getrandbits(64))
        return IPv4Address((240 << 24) + (prefix << 8) + draw.getrandbits(8))

    def _judge(self, links: set[tuple[int, int]], probes: int, began: float) -> Finding:
        return Finding(
            probes,
            len(links),
            len(links & self.known) / len(self.known),
            len(links & self.real) / len(links),
            time.monotonic() - began,
            len(self.known - links),
        )


def make_ground(
    prefixes: int, seed: int, switches: dict[str, float], folder: Path, *, is_v6: bool
) -> Ground:
    """Draw an Internet of one family."""
    world = Simulation(
        prefixes_v4=0 if is_v6 else prefixes,
        prefixes_v6=prefixes if is_v6 else 0,
        vantage_points=1,
        seed=seed,
        switches=switches,
    )
    targets = write_targets(folder, prefixes, 1, is_v6=is_v6)
    space = ask_flow_space(pq.read_table(targets.path), FLOWS)
    crossed = world.links_of_plan(0, targets.ask(folder / "space.parquet", [space]))
    world.write_truth(folder)
    truth = pq.read_table(folder / "links.parquet")
    ends = (truth.column(name).to_pylist() for name in truth.column_names)
    return Ground(
        prefixes,
        world,
        folder,
        is_v6,
        {(tell(near), tell(far)) for near, far, answer in crossed if answer},
        {(tell(near), tell(far)) for near, far in zip(*ends, strict=True)},
    )


def write_targets(folder: Path, prefixes: int, flows: int, *, is_v6: bool) -> Plan:
    """Write the targets of an Internet, with these first flows."""
    lines = (
        f"3fff:0:0:{n:x}::/64,icmp6,1,{MAX_TTL},{flows}\n"
        if is_v6
        else f"{240 + (n >> 16)}.{n >> 8 & 255}.{n & 255}.0/24,udp,1,{MAX_TTL},{flows}"
        "\n"
        for n in range(prefixes)
    )
    listed = TargetList.read(io.BytesIO("".join(lines).encode()))
    return Plan.write(
        folder / "targets.parquet",
        listed.split(24, 64),
        initial_source_port=24_000,
        destination_port=33_434,
        flow_mapper="RandomFlowMapper",
        order_seed=1,
        seed=42,
        blocks=1,
    )


def main() -> None:
    """Survey Internets of several seeds, and print a row for each, and the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prefixes", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--v6", action="store_true")
    parser.add_argument("--rule", action="append", choices=[*SURVEYS, *PEERS])
    parser.add_argument("--set", action="append", default=[], dest="switches")
    chosen = parser.parse_args()
    switches = {
        name: float(value)
        for name, _, value in (each.partition("=") for each in chosen.switches)
    }
    rules = ["lite", *(chosen.rule or ["shared"])]
    rows: dict[str, list[tuple[float, ...]]] = {rule: [] for rule in rules}
    for seed in range(1, chosen.seeds + 1):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            ground = make_ground(
                chosen.prefixes, seed, switches, folder, is_v6=chosen.v6
            )
            lite = None
            for rule in rules:
                found = (
                    ground.trace(PEERS[rule])
                    if rule in PEERS
                    else ground.survey(*SURVEYS[rule])
                )
                lite = lite or found
                row = (
                    found.probes / chosen.prefixes,
                    found.probes / lite.probes,
                    found.links / lite.links,
                    found.recall,
                    found.precision,
                    found.missing,
                    nan if found.expected is None else found.expected,
                    nan if found.steps is None else found.steps,
                    found.seconds,
                )
                rows[rule].append(row)
                print(f"seed {seed}, {rule}: {tell_row(row)}", flush=True)
    for rule, of_rule in rows.items():
        means = tuple(mean(column) for column in zip(*of_rule, strict=True))
        print(f"mean, {rule}: {tell_row(means)}")


def tell_row(row: tuple[float, ...]) -> str:
    """Write what a rule came to."""
    return (
        "{:.1f} probes a prefix, {:.3f} of lite's; {:.4f} of its links; "
        "recall {:.5f}, precision {:.5f}; {:.1f} links missed, {:.1f} expected; "
        "{:.1f} steps; {:.0f} s"
    ).format(*row)


if __name__ == "__main__":
    main()
