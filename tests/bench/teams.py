"""Three cycles of a team on real packets, while agents are lost, come back and join.

Five agents of unequal rates share 20,480 simulated /24s. In the first cycle, one of
them is cut off; later the whole run is killed and started again, with that agent back.
In the second cycle, the fastest one is cut off for good. Before the third, another
agent is added. Who sent what is told twice: by the parts, and by tcpdump at each
vantage point. A cycle's ratio is the probes that its agents could have sent while they
were there, divided by those in the parts: its time, divided by the least possible.

`--undisturbed` runs one cycle of other agents, as `examples/survey-ark.yaml` traces.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from surveying import command, write_manifests
from world import World

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

PREFIXES = 20_480
RATES = (500, 750, 1_000, 1_250, 1_500)
"""Of the agents, in probes a second."""
ADDED_RATE = 1_000
UNDISTURBED_RATES = (50, 100, 150, 300, 400)
POINTS = len(RATES) + 1
CUT, LOST, ADDED = 3, 5, 6
"""Which agent is cut off for a while, which one for good, and which one is added."""
PROBES = 25
"""About how many a destination takes."""
TEAM = {"name": "team-1", "selector": {}, "targetList": "list", "division": "shared"}
TRACE = {"preset": "ark", "prefixLenV4": 24, "randomDestination": {}}
_PCAP_HEAD, _SNAP = 24, 42
"""Of a file of tcpdump: the bytes of its head, and those that are kept of a packet.

All that the filter looks at must be kept: at first, libpcap filters what it has kept.
"""


Away = list[tuple[int, float, float]]
"""An agent, and from when to when it can't send."""


def write_survey(folder: Path, rates: Sequence[int], **trace: int) -> Path:
    """A Survey by agents with these rates."""
    lines = [f"240.{n >> 8}.{n & 255}.0/24,icmp,1,32,1" for n in range(PREFIXES)]
    tool = {"trace": TRACE | trace}
    file = write_manifests(folder, lines, len(rates), tool, agents=[TEAM])
    documents = list(yaml.safe_load_all(file.read_text()))
    for document in documents:
        if document["kind"] == "Measurement":
            document["kind"] = "Survey"
            template = {"spec": document["spec"]}
            document["spec"] = {"continuous": True, "measurementTemplate": template}
        if document["kind"] == "Agent":
            number = int(document["metadata"]["name"].removeprefix("agent"))
            document["spec"]["maxProbingRate"] = rates[number - 1]
    file.write_text(yaml.safe_dump_all(documents))
    return file


def ip(point: int, *words: str) -> str:
    """What ``ip`` says of a vantage point's network."""
    done = subprocess.run(
        ["ip", "-n", f"vp{point}", *words], check=True, capture_output=True, text=True
    )
    return done.stdout


def count_sent(point: int) -> int:
    """How many packets a vantage point has sent."""
    (link,) = json.loads(ip(point, "-s", "-j", "link", "show", "eth0"))
    return int(link["stats64"]["tx"]["packets"])


def wait_until_sent(run: subprocess.Popen[bytes], share: float, already: int) -> None:
    """Waits until the agent that is always there has sent a share of its cycle."""
    point = 4
    wanted = share * PREFIXES * PROBES * RATES[point - 1] / sum(RATES)
    while count_sent(point) - already < wanted and run.poll() is None:
        time.sleep(0.2)


def start(manifests: Path, folder: Path) -> subprocess.Popen[bytes]:
    """One cycle, or the rest of one."""
    with (folder / "told").open("ab") as told:
        words = command(manifests, folder / "data")
        return subprocess.Popen(words, stdout=told, stderr=told)


def end(run: subprocess.Popen[bytes]) -> None:
    """Waits for the end of a cycle that must succeed."""
    if run.wait():
        raise RuntimeError(f"anabranch run ended with {run.returncode}")


@contextmanager
def tapping(folder: Path) -> Iterator[None]:
    """What leaves each vantage point is in a file."""
    with ExitStack() as taps:
        for point in range(1, POINTS + 1):
            words = [
                "tcpdump",
                "-i",
                "eth0",
                "-Q",
                "out",
                "-s",
                str(_SNAP),
                "-B",
                "65536",
            ]
            words += ["-U", "-w", str(folder / f"vp{point}.pcap")]
            words += ["icmp[icmptype] == icmp-echo"]
            tap = subprocess.Popen(["ip", "netns", "exec", f"vp{point}", *words])
            taps.callback(tap.wait)
            taps.callback(tap.send_signal, signal.SIGINT)
        time.sleep(2)
        yield


def disturb(folder: Path) -> Away:
    """Does all cycles, inside the simulated Internet; who was away when."""
    five, six = folder / "five/survey.yaml", folder / "six/survey.yaml"
    already = count_sent(4)
    run = start(five, folder)
    wait_until_sent(run, 0.25, already)
    routes = ip(CUT, "-4", "route", "show", "proto", "static").splitlines()
    ip(CUT, "link", "set", "eth0", "down")
    cut = time.time()
    wait_until_sent(run, 0.6, already)
    run.kill()
    run.wait()
    killed = time.time()
    ip(CUT, "link", "set", "eth0", "up")
    for route in routes:
        ip(CUT, "route", "add", *route.split())
    run, again = start(five, folder), time.time()
    end(run)
    already = count_sent(4)
    run = start(five, folder)
    wait_until_sent(run, 0.3, already)
    ip(LOST, "link", "set", "eth0", "down")
    lost = time.time()
    end(run)
    end(start(six, folder))
    all_of_them = range(1, len(RATES) + 1)
    gap = [(agent, killed, again) for agent in all_of_them]
    return [(CUT, cut, killed), *gap, (LOST, lost, time.time())]


def read_wire(folder: Path) -> NDArray[Any]:
    """When each packet was sent, from which vantage point, and to which /24."""
    kind = np.dtype(
        [
            *(("s", "<u4"), ("us", "<u4"), ("kept", "<u4"), ("length", "<u4")),
            *(("before", "V30"), ("to", ">u4"), ("behind", "V8")),
        ]
    )
    found = []
    for point in range(1, POINTS + 1):
        content = (folder / f"vp{point}.pcap").read_bytes()[_PCAP_HEAD:]
        packets = np.frombuffer(content, kind)
        if not (packets["kept"] == _SNAP).all():
            raise RuntimeError("tcpdump keeps other packets than it should")
        rows = np.empty(len(packets), [("at", "f8"), ("point", "u1"), ("to", "u4")])
        rows["at"] = packets["s"] + packets["us"] / 1e6
        rows["point"], rows["to"] = point, packets["to"] >> 8
        found.append(rows)
    return np.concatenate(found)


def count_senders(keys: NDArray[Any], senders: NDArray[Any]) -> Counter[int]:
    """How many keys have so many senders."""
    pairs = np.unique(np.stack([keys, senders]), axis=1)
    _, counts = np.unique(pairs[0], return_counts=True)
    return Counter(counts.tolist())


def count_possible(
    rates: Sequence[int], away: Away, first: float, last: float
) -> float:
    """How many probes agents can send within a time."""
    seconds = dict.fromkeys(range(1, len(rates) + 1), last - first)
    for agent, since, until in away:
        seconds[agent] -= max(min(until, last) - max(since, first), 0)
    return sum(rates[agent - 1] * left for agent, left in seconds.items())


def tell_cycle(
    folder: Path, number: int, wire: NDArray[Any], rates: Sequence[int], away: Away
) -> None:
    """What the parts and the wire say of a cycle."""
    root = folder / f"data/agents/team-1/default.survey-{number:06}/1"
    traced: Counter[int] = Counter()
    senders: Counter[str] = Counter()
    began, ended, probes = [], [], 0
    ends: dict[int, int] = {}
    for file in sorted(root.glob("*/replies/*/*.parquet")):
        part = pq.ParquetFile(file)
        head = json.loads((part.metadata.metadata or {})[b"anabranch.part"])
        if head["start"] != ends.get(head["block"], 0):
            raise RuntimeError(f"{file} does not follow the part before")
        ends[head["block"]] = head["end"]
        names = ["prefix_index", "trace_began_us", "trace_ended_us"]
        rows = part.read(columns=names)
        rows = rows.filter(pc.is_valid(rows["trace_began_us"]))
        traced.update(rows["prefix_index"].to_numpy().tolist())
        senders[head["sender"]] += len(rows)
        began.append(pc.min(rows["trace_began_us"]).as_py() / 1e6)
        ended.append(pc.max(rows["trace_ended_us"]).as_py() / 1e6)
        probes += head["probes"]
    first, last = min(began), max(ended)
    own = wire[(wire["at"] >= first - 1) & (wire["at"] <= last + 1)]
    on_wire = count_senders(own["to"], own["point"])
    shares = ", ".join(f"{name} {count:,}" for name, count in sorted(senders.items()))
    once = sum(count == 1 for count in traced.values())
    by = ", ".join(f"{count:,} /24s by {n}" for n, count in sorted(on_wire.items()))
    print(
        f"cycle {number}, {last - first:.0f} s",
        f"parts: {len(traced):,} destinations, {once:,} of them once; {shares}",
        f"on the wire: {by}",
        f"probes: {probes:,} in parts, {len(own):,} on the wire",
        f"ratio: {count_possible(rates, away, first, last) / probes:.2f}",
        sep="\n  ",
    )


def main() -> None:
    """Runs cycles, and tells who probed what."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--undisturbed", action="store_true")
    parser.add_argument("--inside", type=Path, help="a folder, in a simulation")
    options = parser.parse_args()
    if folder := options.inside:
        away: Away = []
        with tapping(folder):
            if options.undisturbed:
                end(start(folder / "five/survey.yaml", folder))
            else:
                away = disturb(folder)
        (folder / "away.json").write_text(json.dumps(away))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.undisturbed:
            cycles: list[Sequence[int]] = [UNDISTURBED_RATES]
            write_survey(folder / "five", UNDISTURBED_RATES)
        else:
            cycles = [RATES, RATES, (*RATES, ADDED_RATE)]
            write_survey(folder / "five", RATES, waitSeconds=1)
            write_survey(folder / "six", cycles[-1], waitSeconds=1)
        world = World(PREFIXES, 0, POINTS)
        words = [*world.command, sys.executable, *sys.argv, "--inside", name]
        subprocess.run(words, check=True)
        wire = read_wire(folder)
        away = json.loads((folder / "away.json").read_text())
        for number, rates in enumerate(cycles, 1):
            tell_cycle(folder, number, wire, rates, away)
        told = (folder / "told").read_text().splitlines()
        print(*(line for line in told if "others did" in line), sep="\n")


if __name__ == "__main__":
    main()
