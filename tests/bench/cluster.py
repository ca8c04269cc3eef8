"""How long a cluster takes to start and to stop, and its memory, beside what it may.

Programs and images are there already; the cluster of two nodes is one of its own.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from devcluster.cluster import Cluster
from devcluster.images import ImageStore
from devcluster.layout import Layout
from devcluster.project import build_images

NUMBER = 92
IDLE_SECONDS = 60.0
START_SECONDS = 30.0
STOP_SECONDS = 15.0
MEGABYTES = 1500.0


def measure_memory(cluster: Cluster) -> dict[str, float]:
    """The proportional set sizes of all its processes in megabytes, by program."""
    memory: dict[str, float] = defaultdict(float)
    for pid in cluster.find_processes():
        process = Path("/proc", str(pid))
        words = (process / "cmdline").read_bytes().decode().split("\0")
        program = words[1] if words[0] == "kube" else Path(words[0]).name
        for line in (process / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                memory[program] += int(line.split()[1]) * 1024 / 1e6
    return memory


def main() -> int:
    """Prints the table, and gives the exit code: 1 if a limit is not met."""
    build_images(ImageStore())
    cluster = Cluster(Layout(NUMBER))
    cluster.stop()
    try:
        begin = time.monotonic()
        cluster.start(lambda what: print(f"{time.monotonic() - begin:5.1f} s  {what}"))
        start = time.monotonic() - begin
        time.sleep(IDLE_SECONDS)
        memory = measure_memory(cluster)
    finally:
        begin = time.monotonic()
        cluster.stop()
        stop = time.monotonic() - begin
    for program, megabytes in sorted(memory.items(), key=lambda each: -each[1]):
        print(f"{megabytes:7.0f} MB  {program}")
    figures = [
        ("start", start, START_SECONDS, "s"),
        ("stop", stop, STOP_SECONDS, "s"),
        ("memory, idle", sum(memory.values()), MEGABYTES, "MB"),
    ]
    for name, measured, limit, unit in figures:
        print(f"{name}: {measured:.1f} {unit}, {measured / limit:.2f} of the limit")
    return int(any(measured > limit for _, measured, limit, _ in figures))


if __name__ == "__main__":
    sys.exit(main())
