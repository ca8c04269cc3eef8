"""The next round of 100,000 /24s from all replies to the first, beside diamond-miner.

Both run on the same engine (chdb) with all cores: from reply parts to links and the
next plan here, from a filled table to the next round's probes there. Both must plan the
same. The replies come from a simulated Internet, without packets. Diamonds are found
among the links besides.
"""

from __future__ import annotations

import io
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from anabranch_engine import Plan, Simulation, TargetList

sys.path.insert(0, str(Path(__file__).parents[1]))

from anabranch.api.tool import DiamondMiner
from anabranch.rounds.outcome import Rules
from anabranch.rounds.steps import Step
from anabranch.store.directory import DirectoryStore
from anabranch.store.keys import RunKeys
from anabranch.warehouse.agentdiamonds import put_diamonds
from anabranch.warehouse.agentresults import AgentResults
from anabranch.warehouse.embedded import open_embedded
from anabranch.warehouse.job import RoundJob
from diamondminer import DiamondMiner as Peer
from parts import make_head

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PREFIXES, TTLS, FLOWS = 100_000, 32, 6
PART_ROWS = 524_288
EPSILON = 0.05
KEYS = RunKeys("bench", "1", "agent")
STEP = Step(1, 25)
"""The last window, so that the second round is next."""


def make_targets(file: Path, prefixes: int = PREFIXES) -> Plan:
    """So many /24s, with six flows at each TTL."""
    lines = "".join(
        f"240.{n >> 8}.{n & 255}.0/24,udp,1,{TTLS},{FLOWS}\n"
        if n < 1 << 16
        else f"241.{(n >> 8) - 256}.{n & 255}.0/24,udp,1,{TTLS},{FLOWS}\n"
        for n in range(prefixes)
    )
    targets = TargetList.read(io.BytesIO(lines.encode())).split(24, 64)
    file.parent.mkdir(parents=True)
    return Plan.write(
        file,
        targets,
        initial_source_port=24000,
        destination_port=33434,
        flow_mapper="RandomFlowMapper",
        order_seed=1,
        seed=42,
    )


def make_parts(folder: Path, targets: Plan, prefixes: int = PREFIXES) -> int:
    """Reply parts to all of it, in a folder; how many replies."""
    simulation = Simulation(
        prefixes_v4=prefixes, prefixes_v6=0, vantage_points=1, seed=1, switches={}
    )
    heard = pa.table(simulation.time_exceeded(0, targets))
    # Flows come in the order of their addresses, which looks like chance.
    place = pa.array(heard.column("flow").to_numpy() * 5 % FLOWS)
    heard = heard.append_column("place", place).sort_by(
        [("prefix_index", "ascending"), ("place", "ascending"), ("ttl", "ascending")]
    )
    count = heard.num_rows
    addresses = np.zeros((count, 16), dtype=np.uint8)
    addresses[:, 10:12] = 255
    numbers = heard.column("address").to_numpy().astype(">u4")
    addresses[:, 12:] = numbers.view(np.uint8).reshape(-1, 4)

    def same(value: int) -> NDArray[np.uint8]:
        return np.full(count, value, dtype=np.uint8)

    # Probes leave in an order that looks like chance, 100,000 a second.
    sent = np.random.default_rng(1).permutation(count).astype(np.uint64) * 10
    buffers = [None, pa.py_buffer(addresses.tobytes())]
    parts = pa.table(
        {
            "prefix_index": heard.column("prefix_index"),
            "flow": heard.column("flow"),
            "probe_ttl": heard.column("ttl"),
            "reply_src_addr": pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(16), count, buffers
            ),
            "round": same(1),
            "quoted_ttl": same(1),
            "capture_time_us": 1_700_000_000_000_000 + sent,
            "rtt_us": np.zeros(count, dtype=np.uint32),
            "reply_protocol": same(1),
            "reply_icmp_type": same(11),
            "destination_prefix_reply": same(0),
        }
    )
    schema = pa.schema([field.with_nullable(nullable=False) for field in parts.schema])
    parts = parts.cast(schema.with_metadata(make_head(0)))
    folder.mkdir(parents=True)
    for start in range(0, count, PART_ROWS):
        file = folder / f"{start:016}.parquet"
        pq.write_table(parts.slice(start, PART_ROWS), file, compression="zstd")
    return count


def fill(peer: Peer, store: DirectoryStore) -> None:
    """Gives diamond-miner the same replies, and what the first round sent."""
    parts = store.read_sql(f"{KEYS.step(STEP).parts(0)}/*.parquet")
    targets = store.read_sql(KEYS.targets)
    peer.select(
        "INSERT INTO results__ours SELECT now(), 17, toIPv6('::ffff:198.18.0.2'), "
        "toIPv6(concat('::ffff:', IPv4NumToString(toUInt32(reinterpretAsUInt32("
        "reverse(substring(prefix, 13, 4))) + flow)))), 24000, 33434, probe_ttl, 1, "
        "CAST(reply_src_addr AS IPv6), 1, 11, 0, 64, 56, [], 10, 1 "
        f"FROM {parts} AS parts INNER JOIN {targets} AS targets USING (prefix_index)"
    )
    peer.select(
        "INSERT INTO probes__ours SELECT 17, CAST(prefix AS IPv6), number + 1, "
        f"{FLOWS}, 1 FROM {targets} AS targets CROSS JOIN numbers({TTLS}) AS ttls"
    )


def plan_with_peer(peer: Peer) -> int:
    """Diamond-miner's next round; how many probes it has."""
    peer.find_links()
    peer.plan(1, EPSILON)
    return sum(
        total - sent
        for row in peer.read_plan(2)
        for _, total, sent in row["probes_per_ttl"]
        if total > sent
    )


def measure(act: Callable[[], int]) -> tuple[float, int]:
    """How long it took, and what it gave."""
    start = time.perf_counter()
    outcome = act()
    return time.perf_counter() - start, outcome


def main() -> None:
    """Prints both times and their ratio."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = DirectoryStore(folder / "data")
        targets = make_targets(store.path(KEYS.targets))
        replies = make_parts(store.path(KEYS.step(STEP).parts(0)), targets)
        rules = Rules(DiamondMiner(), 10, EPSILON, 1, 255, drop_private=False)
        engine = open_embedded()
        engine.read("SELECT 1")  # what chdb takes to start is not the job's
        job = RoundJob(store, engine, KEYS, rules, folder)

        def conclude() -> int:
            job.conclude(STEP)
            return job.read_plan(Step(2)).units

        ours, planned = measure(conclude)
        results = AgentResults(store, engine, KEYS, store)
        found_links = store.read_sql(f"{KEYS.step(STEP).root}/links/*.parquet")

        def count(rows: str) -> int:
            counted = engine.read(f"SELECT count() AS rows FROM {rows}").to_pylist()
            return int(counted[0]["rows"])

        def find_diamonds() -> int:
            put_diamonds(results, folder, routers=None)
            return count(f"({results.diamonds})")

        finding, diamonds = measure(find_diamonds)
        links = count(found_links)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        peer = Peer(None)
        fill(peer, store)
        theirs, wanted = measure(lambda: plan_with_peer(peer))
    if planned != wanted:
        raise RuntimeError(f"{planned} probes are planned, and not {wanted}")
    print(
        f"{replies:,} replies, {planned:,} probes planned: {ours:.1f} s here, "
        f"{theirs:.1f} s with diamond-miner: {theirs / ours:.1f} times; {peak:,.0f} MB"
    )
    print(f"{links:,} links: {diamonds:,} diamonds in {finding:.1f} s")


if __name__ == "__main__":
    main()
