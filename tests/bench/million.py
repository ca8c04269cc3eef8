"""A survey of 983,040 simulated /24s to its end, on one machine.

    make bench-million    # as root

On real packets, by the rule shared. It tells what the survey found, took and stored,
and where the time went.
"""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from surveying import command, write_manifests
from world import World

BLOCKS = ("240.0.0.0/5", "248.0.0.0/6", "252.0.0.0/7", "254.0.0.0/8")
PREFIXES = 983_040
RATE, WAIT_SECONDS = 200_000, 1
STAGE = re.compile(r"agent1: round [\d.]+ (planning|probing|waiting)")


def survey(folder: Path, rule: str) -> dict[str, float]:
    """Run the survey, show its progress, and return the seconds of each stage."""
    agent = {"maxProbingRate": RATE, "waitSeconds": WAIT_SECONDS}
    tool = {"diamondMiner": {"rule": rule}}
    lines = [f"{block},udp,1,32,6" for block in BLOCKS]
    manifests = write_manifests(folder / "m", lines, tool=tool, agent=agent)
    words = [*World(PREFIXES, 0).command, *command(manifests, folder / "data")]
    seconds: defaultdict[str, float] = defaultdict(float)
    stage, since = "start", time.monotonic()
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        for line in running.stdout or ():
            print(line, end="", flush=True)
            now = time.monotonic()
            seconds[stage] += now - since
            since = now
            if told := STAGE.match(line):
                stage = told[1]
    if running.returncode:
        sys.exit(running.returncode)
    return seconds


def main() -> None:
    """Print the figures."""
    rule = sys.argv[1] if len(sys.argv) > 1 else "shared"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds = survey(folder, rule)
        sizes = Counter[str]()
        for file in (folder / "data").rglob("*"):
            if file.is_file():
                kind = file.parent.name
                sizes["replies" if kind.isdecimal() else kind] += file.stat().st_size
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    stages = ", ".join(f"{stage} {took:.0f} s" for stage, took in seconds.items())
    stored = ", ".join(f"{kind} {size:,}" for kind, size in sizes.most_common(6))
    print(
        f"{rule}: {sum(seconds.values()):.0f} s ({stages}); peak memory of a process "
        f"{memory:.0f} MiB; {sizes.total():,} bytes stored ({stored})"
    )


if __name__ == "__main__":
    main()
