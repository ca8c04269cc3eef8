"""How long target lists take, and how much memory, beside what they may.

Each case runs in a process of its own, whose peak memory the kernel reports: all of it
counts, the interpreter too.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import zstandard
from anabranch_engine import TargetList

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SECONDS = 5.0
MEGABYTES = 1000.0
SLASH_24S = 1 << 24

Case = tuple[bytes, int]
"""A list as a file's content, and the number of its targets."""


def make_everything() -> Case:
    """The whole of IPv4 in a line."""
    return b"0.0.0.0/0,udp,2,32,6\n", SLASH_24S


def make_addresses() -> Case:
    """A million addresses in no order."""
    chance = random.Random(1)  # noqa: S311 (no secret)
    numbers = [chance.randrange(1 << 32) for _ in range(1_000_000)]
    return write_lines(numbers, ""), len({number >> 8 for number in numbers})


def make_compressed() -> Case:
    """The same million addresses, as zstd."""
    content, targets = make_addresses()
    return zstandard.compress(content), targets


def make_all_24s() -> Case:
    """Every /24 in a line of its own, in no order."""
    # A product with an odd number is a permutation modulo a power of two.
    numbers = ((n * 0x9E3779B1 % SLASH_24S) << 8 for n in range(SLASH_24S))
    return zstandard.compress(write_lines(numbers, "/24")), SLASH_24S


def write_lines(numbers: Iterable[int], suffix: str) -> bytes:
    """IPv4 addresses from their numbers, as lines of a list."""
    return "".join(
        f"{n >> 24}.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}{suffix},udp,2,32,6\n"
        for n in numbers
    ).encode()


CASES: dict[str, Callable[[], Case]] = {
    "0.0.0.0/0 in one line": make_everything,
    "a million addresses, plain": make_addresses,
    "a million addresses, zstd": make_compressed,
    "all 2^24 /24s in a line each, zstd": make_all_24s,
}
# The limits are for a million lines, and for one that stands for 2^24 targets; with so
# many more lines the time may grow in proportion, the memory may not.
SECONDS_OF_ALL_24S = SECONDS * SLASH_24S / 1_000_000


def measure() -> None:
    """Reads, hashes, splits and draws a list; prints seconds, MB and targets."""
    start = time.perf_counter()
    listed = TargetList.read(sys.stdin.buffer)
    listed.digest()
    targets = listed.split(24, 64)
    drawn = sum(b.num_rows for b in pa.RecordBatchReader.from_stream(targets))
    seconds = time.perf_counter() - start
    print(seconds, read_peak_megabytes(), drawn)


def read_peak_megabytes() -> float:
    """The most memory that this process had; getrusage would count its parent's too."""
    status = Path("/proc/self/status").read_text()
    (peak,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024 / 1e6


def main() -> int:
    """Prints a line a case, and gives 1 when one is over its limit."""
    if sys.argv[1:] == ["measure"]:
        measure()
        return 0
    print(f"{'target list':<36}{'seconds':>9}{'of limit':>10}{'MB':>8}{'of limit':>10}")
    too_much = False
    for says, make in CASES.items():
        content, expected = make()
        command = [sys.executable, __file__, "measure"]
        done = subprocess.run(
            command, input=content, check=True, stdout=subprocess.PIPE
        )
        seconds, megabytes, drawn = map(float, done.stdout.split())
        if drawn != expected:
            raise ValueError(f"{says}: {drawn:.0f} targets instead of {expected}")
        limit = SECONDS_OF_ALL_24S if make is make_all_24s else SECONDS
        time_ratio, memory_ratio = seconds / limit, megabytes / MEGABYTES
        too_much |= max(time_ratio, memory_ratio) > 1
        print(
            f"{says:<36}{seconds:>9.2f}{time_ratio:>10.2f}"
            f"{megabytes:>8.0f}{memory_ratio:>10.2f}",
            flush=True,
        )
    return int(too_much)


if __name__ == "__main__":
    sys.exit(main())
