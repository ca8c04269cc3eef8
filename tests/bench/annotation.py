"""How long it takes to say what is known about addresses, beside a loop in Python.

A million prefixes of both families in prefix2as, about as long as those that networks
announce; and one in ten of them in an MMDB, since to write more takes minutes. The loop
reads the MMDB. Times are of the processor: both use one thread.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import maxminddb
import numpy as np
import pyarrow as pa
from anabranch_engine import Annotations
from mmdb_writer import MMDBWriter
from netaddr import IPNetwork, IPSet

from annotationfiles import MAXMIND_ASN, MAXMIND_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIXES_V4 = 800_000
PREFIXES_V6 = 200_000
ASES = 80_000
ADDRESSES = 10_000_000
IN_DATABASE = 10
"""One prefix in so many is in the MMDB."""
OF_THEM_LOOPED = 200_000
"""A loop in Python is not worth waiting for."""
LENGTHS_V4 = {24: 60, 23: 10, 22: 12, 21: 5, 20: 5, 19: 3, 18: 2, 17: 1, 16: 2}
LENGTHS_V6 = {48: 50, 44: 10, 40: 10, 36: 5, 32: 20, 29: 5}
"""Prefix lengths, and how many of a hundred prefixes have them."""


def draw_prefixes(chance: random.Random) -> Iterator[str]:
    """Distinct prefixes, of IPv4 in 0.0.0.0/1, of IPv6 in 2000::/12."""
    seen: set[tuple[int, int]] = set()
    while len(seen) < PREFIXES_V4:
        (length,) = chance.choices(list(LENGTHS_V4), list(LENGTHS_V4.values()))
        first = chance.getrandbits(31) >> (32 - length) << (32 - length)
        if (first, length) not in seen:
            seen.add((first, length))
            yield f"{IPv4Address(first)}/{length}"
    seen.clear()
    while len(seen) < PREFIXES_V6:
        (length,) = chance.choices(list(LENGTHS_V6), list(LENGTHS_V6.values()))
        first = (0x200 << 116) | chance.getrandbits(length - 12) << (128 - length)
        if (first, length) not in seen:
            seen.add((first, length))
            yield f"{IPv6Address(first)}/{length}"


def write_files(folder: Path) -> tuple[Path, Path]:
    """An MMDB and a prefix2as file of the same prefixes."""
    chance = random.Random(1)  # noqa: S311 (no secret)
    prefixes = sorted(draw_prefixes(chance), key=lambda text: int(text.split("/")[1]))
    writer = MMDBWriter(6, "Bench-ASN", ipv4_compatible=True, int_type="u32")
    lines = []
    for number, prefix in enumerate(prefixes):
        asn = chance.randrange(1, ASES)
        lines.append(prefix.replace("/", "\t") + f"\t{asn}\n")
        if number % IN_DATABASE == 0:
            record = {MAXMIND_ASN: asn, MAXMIND_NAME: f"Network {asn}"}
            # A longer prefix replaces the part of a shorter one that it holds.
            writer.insert_network(IPSet([IPNetwork(prefix)]), record)
    database, table = folder / "bench.mmdb", folder / "bench.pfx2as"
    writer.to_db_file(str(database))
    table.write_text("".join(lines))
    return database, table


def draw_addresses() -> pa.Array[Any]:
    """Addresses of both families, in no order, as 16 bytes."""
    chance = np.random.default_rng(1)
    octets = chance.integers(0, 256, (ADDRESSES, 16), np.uint8)
    octets[::2, :10] = 0
    octets[::2, 10:12] = 255
    octets[::2, 12] &= 127
    octets[1::2, 0] = 0x20
    octets[1::2, 1] &= 15
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), ADDRESSES, [None, pa.py_buffer(octets.tobytes())]
    )


def loop(database: Path, addresses: pa.Array[Any]) -> tuple[float, list[int | None]]:
    """How many addresses a second a loop over maxminddb annotates, and by which AS."""
    mapped = [IPv6Address(packed) for packed in addresses.to_pylist()]
    parsed = [address.ipv4_mapped or address for address in mapped]
    with maxminddb.open_database(database) as reader:
        found = []
        start = time.process_time()
        for address in parsed:
            record = reader.get(address)
            found.append(record[MAXMIND_ASN] if isinstance(record, dict) else None)
        rate = len(found) / (time.process_time() - start)
    return rate, [asn for asn in found if asn is None or isinstance(asn, int)]


def annotate(known: Annotations, addresses: pa.Array[Any]) -> pa.Table:
    """What is known about addresses, by row."""
    return pa.table(known.annotate(pa.table({"addr": addresses}), "addr"))


def main() -> None:
    """Prints how long files take to read, and how many rows a second are annotated."""
    with tempfile.TemporaryDirectory() as name:
        database, table = write_files(Path(name))
        addresses = draw_addresses()
        looped, expected = loop(database, addresses[:OF_THEM_LOOPED])
        for says, file in (("MMDB", database), ("prefix2as", table)):
            start = time.process_time()
            known = Annotations([file])
            read = time.process_time() - start
            few = annotate(known, addresses[:OF_THEM_LOOPED])
            if file == database and few.column("asn").to_pylist() != expected:
                raise RuntimeError("these are not the ASes of the loop")
            start = time.process_time()
            annotate(known, addresses)
            took = time.process_time() - start
            rate = ADDRESSES / took
            print(
                f"{says}: read in {read:.1f} s; {ADDRESSES:,} addresses in {took:.1f} "
                f"s, {rate / 1e6:.1f} M/s, {rate / looped:.0f} times the loop's "
                f"{looped / 1e3:.0f} k/s",
                flush=True,
            )


if __name__ == "__main__":
    main()
