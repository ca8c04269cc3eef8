"""Three cycles of a team on real packets, while agents are lost, come back and join.

Five agents of unequal rates share 20,480 simulated /24s. In the first cycle, one of
them is cut off; later the whole run is killed and started again, with that agent back.
In the second cycle, the fastest one is cut off for good. Before the third, another
agent is added. Who sent what is told twice: by the parts, and by tcpdump at each
vantage point.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
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
    from numpy.typing import NDArray

PREFIXES = 20_480
RATES = (500, 750, 1_000, 1_250, 1_500)
"""Of the agents, in probes a second."""
ADDED_RATE = 1_000
POINTS = len(RATES) + 1
CUT, LOST, ADDED = 3, 5, 6
"""Which agent is cut off for a while, which one for good, and which one is added."""
PROBES = 25
"""About how many a destination takes."""
TEAM = {"name": "team-1", "selector": {}, "targetList": "list", "division": "shared"}
TRACE = {"preset": "ark", "waitSeconds": 1, "prefixLenV4": 24, "randomDestination": {}}
CYCLES = 3
_PCAP_HEAD, _SNAP = 24, 42
"""Of a file of tcpdump: the bytes of its head, and those that are kept of a packet.

All that the filter looks at must be kept: at first, libpcap filters what it has kept.
"""


def write_survey(folder: Path, points: int) -> Path:
    """A Survey by the first so many agents."""
    lines = [f"240.{n >> 8}.{n & 255}.0/24,icmp,1,32,1" for n in range(PREFIXES)]
    file = write_manifests(folder, lines, points, {"trace": TRACE}, agents=[TEAM])
    documents = list(yaml.safe_load_all(file.read_text()))
    for document in documents:
        if document["kind"] == "Measurement":
            document["kind"] = "Survey"
            template = {"spec": document["spec"]}
            document["spec"] = {"continuous": True, "measurementTemplate": template}
        if document["kind"] == "Agent":
            number = int(document["metadata"]["name"].removeprefix("agent"))
            document["spec"]["maxProbingRate"] = (*RATES, ADDED_RATE)[number - 1]
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


def survey(folder: Path) -> None:
    """Does all cycles, inside the simulated Internet."""
    five, six = folder / "five/survey.yaml", folder / "six/survey.yaml"
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
        already = count_sent(4)
        run = start(five, folder)
        wait_until_sent(run, 0.25, already)
        routes = ip(CUT, "-4", "route", "show", "proto", "static").splitlines()
        ip(CUT, "link", "set", "eth0", "down")
        wait_until_sent(run, 0.6, already)
        run.kill()
        run.wait()
        ip(CUT, "link", "set", "eth0", "up")
        for route in routes:
            ip(CUT, "route", "add", *route.split())
        end(start(five, folder))
        already = count_sent(4)
        run = start(five, folder)
        wait_until_sent(run, 0.3, already)
        ip(LOST, "link", "set", "eth0", "down")
        end(run)
        end(start(six, folder))


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


def tell_cycle(folder: Path, number: int, wire: NDArray[Any]) -> None:
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
        sep="\n  ",
    )


def main() -> None:
    """Runs three cycles, and tells who probed what."""
    if len(sys.argv) > 1:
        return survey(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for place, points in (("five", len(RATES)), ("six", POINTS)):
            write_survey(folder / place, points)
        world = World(PREFIXES, 0, POINTS)
        subprocess.run([*world.command, sys.executable, __file__, name], check=True)
        wire = read_wire(folder)
        for number in range(1, CYCLES + 1):
            tell_cycle(folder, number, wire)
        told = (folder / "told").read_text().splitlines()
        print(*(line for line in told if "others did" in line), sep="\n")
    return None


if __name__ == "__main__":
    main()
