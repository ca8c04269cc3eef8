"""How long a table of routes takes to become a target list, and how much memory.

The table has the shape of a full one: about a million IPv4 prefixes of the lengths that
networks route, many of them within others, some 200,000 IPv6 ones, and a route of each
of 20 peers to all of them, with attributes of usual size. Each case runs in a process
of its own, whose peak memory the kernel reports: all of it counts, the interpreter too.
Times are of the processor, since one thread does it all.
"""

from __future__ import annotations

import bz2
import gzip
import random
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

import pyarrow as pa
from anabranch_engine import PrefixSet

from anabranch.api.targetlist import TargetListSpec
from anabranch.rounds.targets import read_content
from annotationfiles import make_rib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 60.0
MEGABYTES = 1000.0
PEERS = 20
HOLDERS = {8: 16, 10: 25, 11: 60, 12: 200, 13: 400, 14: 800, 15: 1_200, 16: 12_000} | {
    18: 8_000, 19: 15_000, 20: 25_000, 21: 30_000, 22: 70_000, 23: 60_000, 24: 230_000
}  # fmt: skip
"""How many IPv4 prefixes of each length there are that no other one holds."""
WITHIN = {20: 20_000, 21: 20_000, 22: 40_000, 23: 40_000, 24: 430_000}
"""How many are drawn within those of up to 20 bits."""
LENGTHS_V6 = {29: 4_000, 32: 30_000, 36: 10_000, 40: 25_000, 44: 25_000, 48: 106_000}
LEAST_24S = 10_000_000
TRANSITS = [174, 701, 1299, 2914, 3257, 3320, 3356, 3491, 5511, 6453, 6461, 6762]
TRANSITS += range(6939, 9000, 7)
"""ASes by which peers reach origins; the first twelve are behind all peers."""
Network = tuple[int, int, int]
"""A family, a first address and a length."""


def draw_networks(chance: random.Random) -> Iterator[Network]:
    """Distinct prefixes: of IPv4 from 1.0.0.0 on, of IPv6 in 2600::/8."""
    networks: set[Network] = set()
    # The shortest ones first, so that each begins where one of its length can.
    first = 1 << 24
    for length, count in HOLDERS.items():
        for _ in range(count):
            networks.add((4, first, length))
            first += 1 << (32 - length)
    holders = [each for each in networks if each[2] <= 20]
    for length, count in WITHIN.items():
        for _ in range(count):
            _, first, outer = chance.choice(holders)
            inner = chance.getrandbits(length - outer) << (32 - length)
            networks.add((4, first | inner, length))
    for length, count in LENGTHS_V6.items():
        for _ in range(count):
            first = (0x26 << 120) | chance.getrandbits(length - 8) << (128 - length)
            networks.add((6, first, length))
    return iter(sorted(networks))


def write_rib(out: gzip.GzipFile | bz2.BZ2File) -> None:
    """A RIB dump: ORIGIN, AS_PATH, NEXT_HOP and MULTI_EXIT_DISC of each route."""
    chance = random.Random(1)  # noqa: S311 (no secret)
    routes = [draw_routes(chance) for _ in range(4096)]
    out.write(make_rib({}, PEERS))
    for number, (family, first, length) in enumerate(draw_networks(chance)):
        packed = first.to_bytes(4 if family == 4 else 16)
        body = struct.pack("!IB", number, length)
        body += packed[: -(-length // 8)] + chance.choice(routes)
        kind = 2 if family == 4 else 4
        out.write(struct.pack("!IHHI", 1_700_000_000, 13, kind, len(body)) + body)


def draw_routes(chance: random.Random) -> bytes:
    """The routes of all peers to a prefix: many share their way to its origin."""
    origin, provider = chance.randrange(1, 400_000), chance.choice(TRANSITS)
    entries = struct.pack("!H", PEERS)
    for peer in range(PEERS):
        path = [64496 + peer, chance.choice(TRANSITS[:12]), provider, origin]
        path = path[:1] + path[chance.randrange(1, 3) :]
        segment = struct.pack(f"!BB{len(path)}I", 2, len(path), *path)
        attributes = b"\x40\x01\x01\x00\x40\x02" + bytes((len(segment),)) + segment
        attributes += b"\x40\x03\x04\xc0\x00\x02\x01\x80\x04\x04\x00\x00\x00\x00"
        entries += struct.pack("!HIH", peer, 1_700_000_000, len(attributes))
        entries += attributes
    return entries


def write_gzip(file: Path) -> None:
    """A RIB dump like those of RIS."""
    with gzip.open(file, "wb", compresslevel=1) as out:
        write_rib(out)


def write_bzip2(file: Path) -> None:
    """A RIB dump like those of RouteViews."""
    with bz2.open(file, "wb", compresslevel=9) as out:
        write_rib(out)


def write_prefix2as(file: Path) -> None:
    """The same prefixes as CAIDA's text, plain."""
    chance = random.Random(1)  # noqa: S311 (no secret)
    with file.open("w") as out:
        for family, first, length in draw_networks(chance):
            out.write(f"{write_address(family, first)}\t{length}\t64500\n")


def write_address(family: int, number: int) -> str:
    """An address, faster than ipaddress writes it."""
    octets = number.to_bytes(4 if family == 4 else 16)
    if family == 4:
        return ".".join(map(str, octets))
    return octets.hex(":", 2)


CASES: dict[str, Callable[[Path], None]] = {
    "a RIB dump, gzip": write_gzip,
    "prefix2as, plain": write_prefix2as,
    "a RIB dump, bzip2": write_bzip2,
}


def measure(file: Path) -> None:
    """Reads, hashes, splits and draws a table; prints seconds, MB and counts."""
    spec = TargetListSpec.read({"routes": {"file": file.name}})
    start = time.process_time()
    with file.open("rb") as content:
        listed = read_content(spec, content)
    read = time.process_time() - start
    listed.digest()
    targets = listed.split(24, 48, forbidden=[PrefixSet.reserved()])
    drawn = sum(b.num_rows for b in pa.RecordBatchReader.from_stream(targets))
    seconds = time.process_time() - start
    print(seconds, read, read_peak_megabytes(), listed.lines, len(listed), drawn)


def read_peak_megabytes() -> float:
    """The most memory that this process had; getrusage would count its parent's too."""
    status = Path("/proc/self/status").read_text()
    (peak,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024 / 1e6


def main() -> None:
    """Prints a line a case, and says which is over its limit."""
    if sys.argv[1:2] == ["measure"]:
        measure(Path(sys.argv[2]))
        return
    head = f"{'table of routes':<32}{'routes':>11}{'entries':>10}{'targets':>12}"
    print(f"{head}{'file MB':>9}{'read s':>8}{'all s':>8}{'MB':>6}")
    for says, write in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "table")
            write(file)
            size = file.stat().st_size / 1e6
            command = [sys.executable, __file__, "measure", str(file)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        seconds, read, megabytes, *counts = map(float, done.stdout.split())
        lines, entries, drawn = map(int, counts)
        if drawn < LEAST_24S:
            raise ValueError(f"{says}: only {drawn} targets")
        is_over = seconds > SECONDS or megabytes > MEGABYTES
        print(
            f"{says:<32}{lines:>11,}{entries:>10,}{drawn:>12,}"
            f"{size:>9.0f}{read:>8.1f}{seconds:>8.1f}{megabytes:>6.0f}"
            f"{'  over its limit' if is_over else ''}",
            flush=True,
        )


if __name__ == "__main__":
    main()
