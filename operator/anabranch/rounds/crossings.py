"""What flows to each prefix crossed, as counted: links, and silence beside interfaces.

*Interfaces* are tables with the columns prefix_index, ttl, near, heard and late: so
many flows to a prefix had a reply from the interface ``near`` at this TTL, of which
``late`` are numbered from `LATE` on. *Links* are tables with the columns prefix_index,
ttl, near, far, link and flows: so many flows crossed a link at this near TTL. ``near``,
``far`` and ``link`` are 64-bit hashes of a link's ends and of both. Both tables are
sorted by prefix_index, ttl and the ends.

Silence counts as a link like others. If no flow from an interface had a reply from the
next hop, it led to silence. If none had one from the hop before, silence led to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from anabranch.rounds.hashes import find_places
from anabranch.rounds.mixing import mix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from anabranch.rounds.sent import Sent

    Numbers = NDArray[np.int64]
    Hashes = NDArray[np.uint64]
    Columns = dict[str, Numbers]

ALL = 1 << 20
"""All flows. Shares of them are whole numbers, whose sums do not depend on order."""
LATE = 256
"""The flow from which on flows to a /24 differ by their ports alone."""
_EXPECTED_LATE = 6
"""The late flows that a vertex must lack before it counts as out of their reach."""
_TTL_BITS = 8
_PLACE = (("prefix_index", pa.uint32()), ("ttl", pa.uint8()), ("near", pa.uint64()))
_HEARD = (("heard", pa.uint32()), ("late", pa.uint32()))
_CROSSED = (("far", pa.uint64()), ("link", pa.uint64()), ("flows", pa.uint32()))
NO_INTERFACES = pa.Table.from_batches([], schema=pa.schema([*_PLACE, *_HEARD]))
"""An empty table of interfaces."""
NO_LINKS = pa.Table.from_batches([], schema=pa.schema([*_PLACE, *_CROSSED]))
"""An empty table of links."""


@dataclass(frozen=True)
class Crossings:
    """What flows crossed, row by row, sorted by prefix and TTL.

    The rows of a vertex follow one another.
    """

    prefix: Numbers
    ttl: Numbers
    near: Hashes
    """The near end; 0 if it is silent."""
    far: Hashes
    """The far end; 0 if it is silent."""
    link: Hashes
    """Both ends, or the one that is not silent."""
    flows: Numbers
    starts: Numbers
    """The first row of each vertex: of each near end, or of each silent one's far."""
    is_asked: NDArray[np.bool_]
    """Whether flows were sent at each vertex's TTL and at the next one."""
    reach: Numbers
    """How many of `ALL` further flows will go on from each vertex."""

    @staticmethod
    def of(interfaces: pa.Table, links: pa.Table, sent: Sent) -> Crossings:
        """Return what these tables and the flows that were sent say."""
        met = _read(interfaces, ("near", "heard", "late"))
        rows = _add_silence(met, _read(links, ("near", "far", "link", "flows")))
        near, far, link = (
            rows[name].view(np.uint64) for name in ("near", "far", "link")
        )
        place, flows = rows["place"], rows["flows"]
        prefix, ttl = place >> _TTL_BITS, place & (1 << _TTL_BITS) - 1
        begins = (place[1:] != place[:-1]) | (near[1:] != near[:-1])
        begins |= (near[1:] == 0) & (far[1:] != far[:-1])
        starts = np.flatnonzero(np.r_[True, begins][: len(place)])
        asked = sent.both(prefix, ttl)
        is_silent = (near == 0) | (far == 0)
        flows = np.where(is_silent, np.minimum(flows, asked), flows)
        crossed = np.add.reduceat(flows, starts) if len(starts) else flows
        asked, of = asked[starts], rows["interface"][starts]
        reach = _find_reach(crossed, asked, met["heard"][of], met["late"][of])
        return Crossings(prefix, ttl, near, far, link, flows, starts, asked > 0, reach)


def _read(table: pa.Table, names: Sequence[str]) -> Columns:
    """Return columns as signed numbers, and the *place*: both prefix_index and TTL."""
    columns = {name: table.column(name).to_numpy() for name in ("prefix_index", "ttl")}
    prefix, ttl = (column.astype(np.int64) for column in columns.values())
    found = {name: table.column(name).to_numpy() for name in names}
    signed = {
        name: column.view(np.int64)
        if column.dtype == np.uint64
        else column.astype(np.int64)
        for name, column in found.items()
    }
    return {"place": prefix << _TTL_BITS | ttl} | signed


def _add_silence(met: Columns, links: Columns) -> Columns:
    """Return rows for links, and for interfaces with silence before or behind them.

    They have the columns of links, and ``interface``: which of those that were met is
    the vertex.
    """
    keys = _identify(met["place"], met["near"])
    near, far = (
        find_places(keys, _identify(links["place"] + hop, links[end]))
        for hop, end in enumerate(("near", "far"))
    )
    is_met = near >= 0
    known = {name: column[is_met] for name, column in links.items()}
    known["interface"] = near[is_met]
    leads, is_led_to = (np.zeros(len(keys), dtype=bool) for _ in "12")
    leads[known["interface"]] = True
    is_led_to[far[far >= 0]] = True
    is_first = (met["place"] & (1 << _TTL_BITS) - 1) <= 1
    last = np.flatnonzero(~leads)
    first = np.flatnonzero(~(is_led_to | is_first))
    rows = [_say_silent(met, first, hop=1), known, _say_silent(met, last, hop=0)]
    table = {name: np.concatenate([each[name] for each in rows]) for name in known}
    # Each of the three is in order, so this takes no longer than to copy them.
    order = np.argsort(table["place"], kind="stable")
    return {name: column[order] for name, column in table.items()}


def _identify(place: Numbers, near: Numbers) -> Hashes:
    """Return a hash of each vertex."""
    return mix(place.view(np.uint64)) ^ near.view(np.uint64)


def _say_silent(met: Columns, which: Numbers, hop: int) -> Columns:
    """Return rows that say that interfaces led to silence, or from the hop before."""
    end = met["near"][which]
    nothing = np.zeros_like(end)
    hashed = mix(end.view(np.uint64))
    return {
        "place": met["place"][which] - hop,
        "near": nothing if hop else end,
        "far": end if hop else nothing,
        "link": (mix(hashed) if hop else hashed).view(np.int64),
        "flows": met["heard"][which],
        "interface": which,
    }


def _find_reach(
    crossed: Numbers, asked: Numbers, heard: Numbers, late: Numbers
) -> Numbers:
    """Return how many of `ALL` further flows will go on from each vertex.

    Where a router balances load by addresses alone, late flows do not reach all
    vertices. It is 0 where none came, though earlier ones promised some.
    """
    share = ALL * crossed // np.maximum(asked, np.maximum(crossed, 1))
    promised = np.maximum(asked - LATE, 0) * (heard - late) // LATE
    return np.where((late == 0) & (promised >= _EXPECTED_LATE), 0, share)
