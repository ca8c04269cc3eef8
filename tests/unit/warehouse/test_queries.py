"""The conditions that queries share."""

from __future__ import annotations

from anabranch.warehouse.embedded import open_embedded
from anabranch.warehouse.queries import PRIVATE, is_public


def test_addresses_are_private_up_to_the_ends_of_the_ranges() -> None:
    """IPv4 within IPv6 as in replies, and fd00::/8; and not what lies beside."""
    ranges = [tuple(int(end, 16) for end in ends) for ends in PRIVATE]
    beside = {end + by for ends in ranges for end in ends for by in (-1, 0, 1)}
    expected = {
        f"{'0' * 20}ffff{number:08x}": not any(
            first <= number <= last for first, last in ranges
        )
        for number in beside
        if 0 <= number < 1 << 32
    }
    for start, public in (("fc", True), ("fd", False), ("fe", True)):
        expected |= dict.fromkeys((start + "00" * 15, start + "ff" * 15), public)
    # No IPv4, whatever its end looks like.
    expected |= {f"20010db8{'0' * 16}0a000001": True, f"{'0' * 24}0a000001": True}
    rows = " UNION ALL ".join(
        f"SELECT toFixedString(unhex('{each}'), 16) AS addr" for each in expected
    )
    query = f"SELECT lower(hex(addr)) AS name, {is_public('addr')} AS ok FROM ({rows})"
    found = open_embedded().read(query).to_pylist()
    assert {row["name"]: bool(row["ok"]) for row in found} == expected
