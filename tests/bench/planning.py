"""All 16.7 million /24s of IPv4: from a list of one line to the plan of the first step.

Nothing is sent. The list is split into targets once, and planned by each rule.
"""

from __future__ import annotations

import io
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from anabranch_engine import Plan, TargetList

from anabranch.api.tool import DiamondMiner
from anabranch.rounds.outcome import Rules
from anabranch.store.directory import DirectoryStore
from anabranch.warehouse.embedded import open_embedded
from anabranch.warehouse.job import RoundJob
from bench.rounds import EPSILON, KEYS

LIST = b"0.0.0.0/0,udp,1,32,6\n"
GOAL_SECONDS = 60


def split(file: Path) -> Plan:
    """All /24s, with six flows at each TTL."""
    file.parent.mkdir(parents=True)
    return Plan.write(
        file,
        TargetList.read(io.BytesIO(LIST)).split(24, 64),
        initial_source_port=24000,
        destination_port=33434,
        flow_mapper="RandomFlowMapper",
        order_seed=1,
        seed=42,
    )


def main() -> None:
    """Prints how long each takes, and the most memory so far."""
    engine = open_embedded()
    engine.read("SELECT 1")  # what chdb takes to start is not the job's
    for rule in ("lite", "shared"):
        with tempfile.TemporaryDirectory() as name:
            store = DirectoryStore(Path(name) / "data")
            start = time.perf_counter()
            split(store.path(KEYS.targets))
            splitting = time.perf_counter() - start
            rules = Rules(
                DiamondMiner(rule=rule), 10, EPSILON, 1, 255, drop_private=False
            )
            plan = RoundJob(store, engine, KEYS, rules, Path(name)).begin()
            planning = time.perf_counter() - start - splitting
            size = plan.path.stat().st_size / 1e6
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{rule}: {splitting:.1f} s to split, {planning:.1f} s to plan "
            f"{plan.units:,} probes in {size:.0f} MB (goal: {GOAL_SECONDS} s); "
            f"{peak:,.0f} MB at most"
        )


if __name__ == "__main__":
    main()
