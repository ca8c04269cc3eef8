"""The rate that a prober holds with half a processor and 512 MB of memory.

    make bench-confined    # as root

The prober sends in a control group of its own, at a rate that it is asked for; one in
ten probes is answered. What simulates the Internet is outside of the group.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.prober import (
    PREFIXES,
    PROBES,
    SWITCHES,
    WAIT_SECONDS,
    make_prober,
    open_plan,
)
from devcluster.cgroups import join_group, limit_group, make_group, remove_group

PROCESSORS, MEMORY_BYTES = 0.5, 512 << 20
RATES = (50_000, 100_000)


def send(folder: Path, group: str) -> None:
    """Send all probes from inside of the group at each rate, and note what it took."""
    subprocess.run(["ip", "route", "add", "default", "via", "198.18.0.1"], check=True)
    join_group(group)
    notes = []
    for rate in RATES:
        with tempfile.TemporaryDirectory(dir=folder) as parts:
            prober = make_prober(folder, Path(parts), rate)
            start, used = time.perf_counter(), time.process_time()
            counts = prober.run()
            took = time.perf_counter() - start - WAIT_SECONDS
            used = time.process_time() - used
        notes.append(
            {
                "asked": rate,
                "sent": counts.sent / took,
                "processors": used / (took + WAIT_SECONDS),
                "replies": counts.replies,
                "dropped": counts.dropped,
                "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
            }
        )
    (folder / "notes.json").write_text(json.dumps(notes))


def main() -> None:
    """Print the rates."""
    if len(sys.argv) > 1:
        return send(Path(sys.argv[1]), sys.argv[2])
    group = f"anabranch-bench-{os.getpid()}"
    make_group(group)
    try:
        limit_group(group, processors=PROCESSORS, memory_bytes=MEMORY_BYTES)
        with tempfile.TemporaryDirectory() as name:
            open_plan(Path(name))
            switches = [f"--set={switch}" for switch in SWITCHES]
            simulate = [sys.executable, "-m", "anabranch", "simulate", *switches]
            simulate += ["--prefixes", str(PREFIXES), "--prefixes-v6", "0", "--"]
            inside = [sys.executable, __file__, name, group]
            subprocess.run([*simulate, *inside], check=True)
            notes = json.loads((Path(name) / "notes.json").read_text())
    finally:
        remove_group(group)
    for note in notes:
        print(
            f"asked for {note['asked']:,} probes/s: {note['sent']:,.0f} probes/s "
            f"({note['sent'] / note['asked']:.3f}) of {PROBES:,}, with "
            f"{note['processors']:.2f} processors and {note['memory'] / 1e6:.0f} MB; "
            f"{note['replies']:,} replies, {note['dropped']:,} dropped by the kernel"
        )
    return None


if __name__ == "__main__":
    main()
