"""What came of echo requests, address by address."""

from __future__ import annotations

from anabranch.warehouse.addresses import as_text


def time_pings(rows: str, pinged: str) -> str:
    """Return the SELECT of replies, loss and round-trip times, a row for each address.

    ``rows`` are those of parts. ``pinged`` has ``prefix_index``, ``prefix``,
    ``protocol`` and ``requests``, which may be null. Times are in microseconds, and
    null where nothing came.
    """
    # A request that was answered twice counts once.
    echoes = (
        "SELECT prefix_index, flow, min(rtt_us) AS rtt FROM "
        f"{rows} WHERE (reply_protocol, reply_icmp_type) IN "
        "((1, 0), (58, 129)) GROUP BY prefix_index, flow"
    )
    heard = (
        "SELECT prefix_index, count() AS replies, arraySort(groupArray(rtt)) AS "
        f"rtts FROM ({echoes}) GROUP BY prefix_index"
    )
    times = {
        "min": "rtts[1]",
        "median": "(rtts[intDiv(replies + 1, 2)] + rtts[intDiv(replies, 2) + 1]) / 2",
        "max": "rtts[replies]",
    }
    known = ", ".join(
        f"if(replies > 0, toNullable(toUInt32({time})), NULL) AS {name}_rtt_us"
        for name, time in times.items()
    )
    return (
        f"SELECT {as_text('asked.prefix')} AS addr, "
        "protocol, requests AS probes, replies, "
        f"(probes - replies) / probes AS loss, {known} FROM {pinged} "
        f"AS asked LEFT JOIN ({heard}) AS heard USING (prefix_index)"
    )
