"""Alias resolution of the hops of 200 traces, beside scamper's ways.

All look at the same pairs of addresses in one simulation whose routers are known, and
number their packets as the simulated Internet does by default. Anabranch probes in the
traces, by errors and by echo requests. Of IPv4, scamper's ally probes each pair by
itself, many at once; mercator probes each address. Of IPv6, sc_speedtrap gets all
addresses.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
from anabranch_engine import PrefixSet, Trace, Tracing

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIXES, DESTINATIONS = 1_600, 200
RATE = 10_000
"""Probes a second: the most that scamper allows."""
ROUNDS = 10
ALLY = {
    "ally, echo requests": "-O inseq -m ally -W 10 -w 1 -q 3 -p '-P icmp-echo'",
    "ally, UDP": "-O inseq -m ally -W 10 -w 1 -q 3 -p '-P udp'",
}
"""Ally with the shortest waits that it takes. It sends up to five probes to each
address; in order alone counts."""
MERCATOR = "-m mercator -w 1 -q 3"
COMMANDS_AT_ONCE = 500

Pair = tuple[str, str]


@dataclass(frozen=True)
class Found:
    """What a program has found, how, and with what effort."""

    name: str
    accepted: set[Pair]
    probes: int
    seconds: float

    def tell(self, pairs: set[Pair], aliases: set[Pair]) -> None:
        """Print a row of docs/benchmarks.md."""
        right = len(self.accepted & aliases)
        print(
            f"{self.name}: {right} of {len(self.accepted)} accepted pairs are aliases, "
            f"of {len(aliases)} ({right / len(aliases):.3f}); {self.probes:,} probes, "
            f"{self.probes / len(pairs):.2f} a pair; {self.seconds:.1f} s",
            flush=True,
        )


def resolve(first: str, size: int) -> tuple[Found, set[Pair]]:
    """With Anabranch's engine, from an address on; return all pairs, too.

    ``size`` is the number of bits of an address inside its prefix.
    """
    step = PREFIXES // DESTINATIONS << size
    start = int(ip_address(first))
    tracing = Tracing(
        [ip_address(start + number * step) for number in range(DESTINATIONS)],
        algorithm="mdaLite",
        failure_probability=0.05,
        alias_rounds=ROUNDS,
        rate=RATE,
        max_rate_per_destination=RATE,
        forbidden=PrefixSet(),
    )
    began = time.monotonic()
    pairs, accepted, probes = set(), set(), 0
    for event in tracing:
        if isinstance(event, Trace) and event.aliases is not None:
            probes += event.alias_probes
            for each in event.aliases:
                pair = (str(each.first), str(each.second))
                pairs.add(pair)
                if each.verdict == "accept":
                    accepted.add(pair)
    seconds = time.monotonic() - began
    return Found("Anabranch, with the traces' time", accepted, probes, seconds), pairs


def run_scamper(commands: list[str]) -> Iterator[dict[str, Any]]:
    """What scamper's dealias tells, many commands at once."""
    words = ["scamper", "-O", "json", "-p", str(RATE), "-w", "1000", "-I"]
    for first in range(0, len(commands), COMMANDS_AT_ONCE):
        some = commands[first : first + COMMANDS_AT_ONCE]
        done = subprocess.run(
            [*words, *some], check=True, capture_output=True, text=True
        )
        for line in done.stdout.splitlines():
            told = json.loads(line)
            if told["type"] == "dealias":
                yield told


def ask_ally(name: str, options: str, pairs: set[Pair]) -> Found:
    """With scamper's ally, for each pair."""
    accepted, probes = set(), 0
    began = time.monotonic()
    asked = [f"dealias {options} {one} {other}" for one, other in sorted(pairs)]
    for told in run_scamper(asked):
        probes += len(told["probes"])
        if told["result"] == "aliases":
            one, other = (each["dst"] for each in told["probedefs"][:2])
            accepted.add((one, other))
    return Found(name, accepted, probes, time.monotonic() - began)


def ask_mercator(pairs: set[Pair]) -> Found:
    """With scamper's mercator: aliases are addresses that one address answers for."""
    source_of, probes = {}, 0
    began = time.monotonic()
    addresses = sorted({address for pair in pairs for address in pair})
    for told in run_scamper([f"dealias {MERCATOR} {each}" for each in addresses]):
        probes += len(told["probes"])
        asked = told["probedefs"][0]["dst"]
        for probe in told["probes"]:
            for reply in probe["replies"]:
                source_of[asked] = reply["src"]
    accepted = {
        (one, other)
        for one, other in pairs
        if source_of.get(one, one) == source_of.get(other, other)
    }
    return Found("scamper, mercator", accepted, probes, time.monotonic() - began)


def count_sent() -> int:
    """The packets that have left this network namespace."""
    lines = Path("/proc/net/dev").read_text().splitlines()
    line = next(line for line in lines if "eth0:" in line)
    return int(line.partition(":")[2].split()[9])


def run_speedtrap(pairs: set[Pair]) -> Found:
    """With scamper's speedtrap, which looks at all addresses together."""
    addresses = sorted({address for pair in pairs for address in pair})
    began, sent = time.monotonic(), count_sent()
    with tempfile.TemporaryDirectory() as folder:
        asked, warts = Path(folder, "addresses"), Path(folder, "warts")
        asked.write_text("".join(f"{address}\n" for address in addresses))
        door = Path(folder, "scamper")
        scamper = subprocess.Popen(["scamper", "-U", door, "-p", str(RATE)])
        try:
            while not door.exists():
                time.sleep(0.1)
            files = ["-U", str(door), "-a", str(asked), "-o", str(warts)]
            subprocess.run(["sc_speedtrap", *files], check=True)
        finally:
            scamper.terminate()
            scamper.wait()
        words = ["sc_speedtrap", "-d", "1", str(warts)]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
    found = set()
    for line in done.stdout.splitlines():
        router = sorted(map(ip_address, line.split()), key=int)
        found |= set(combinations(map(str, router), 2))
    seconds = time.monotonic() - began
    return Found("scamper, speedtrap", found & pairs, count_sent() - sent, seconds)


def compare(family: str, truth: Path) -> None:
    """Look for aliases in this network namespace, whose routers a file tells."""
    rows = pq.read_table(truth / "interfaces.parquet").to_pylist()
    router_of = {row["address"]: row["router"] for row in rows}
    first, size = {"ipv4": ("240.0.0.1", 8), "ipv6": ("3fff::1", 64)}[family]
    found, pairs = resolve(first, size)
    aliases = {pair for pair in pairs if router_of[pair[0]] == router_of[pair[1]]}
    found.tell(pairs, aliases)
    if family == "ipv6":
        run_speedtrap(pairs).tell(pairs, aliases)
        return
    for name, options in ALLY.items():
        ask_ally(f"scamper, {name}", options, pairs).tell(pairs, aliases)
    ask_mercator(pairs).tell(pairs, aliases)


def main() -> None:
    """Run this file in a simulation of each family."""
    if len(sys.argv) > 1:
        compare(sys.argv[1], Path(sys.argv[2]))
        return
    gateways = {"ipv4": "198.18.0.1", "ipv6": "fe80::1 dev eth0"}
    for family, gateway in gateways.items():
        sizes = [PREFIXES if each == family else 0 for each in gateways]
        with tempfile.TemporaryDirectory() as truth:
            words = [sys.executable, "-m", "anabranch", "simulate", "--truth", truth]
            words += ["--prefixes", str(sizes[0]), "--prefixes-v6", str(sizes[1]), "--"]
            # scamper asks for the route to the Internet: there is none but this.
            script = f'ip route add default via {gateway} && exec "$@"'
            inside = ["sh", "-c", script, "-", sys.executable, __file__, family, truth]
            subprocess.run([*words, *inside], check=True)


if __name__ == "__main__":
    main()
