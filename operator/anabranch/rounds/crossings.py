"""What flows to each prefix crossed, as counted: links, and silence beside interfaces.

*Interfaces* are tables with the columns prefix_index, ttl, near, heard and late: so
many flows to a prefix had a reply from the interface ``near`` at this TTL, of which
``late`` are numbered from `LATE` on. *Links* are tables with the columns prefix_index,
ttl, near, far, link and flows: so many flows crossed a link at this near TTL. ``near``,
``far`` and ``link`` are 64-bit hashes of a link's ends and of both.

Silence counts as a link like others. If no flow from an interface had a reply from the
next hop, it led to silence. If none had one from the hop before, silence led to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from anabranch.rounds.mixing import mix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from anabranch.rounds.sent import Sent

    Numbers = NDArray[np.int64]
    Hashes = NDArray[np.uint64]

ALL = 1 << 20
"""All flows. Shares of them are whole numbers, whose sums do not depend on order."""
LATE = 256
"""The flow from which on flows to a /24 differ by their ports alone."""
_EXPECTED_LATE = 6
"""The late flows that a vertex must lack before it counts as out of their reach."""
_VERTEX = ["prefix_index", "ttl", "near"]
_PLACE = (("prefix_index", pa.uint32()), ("ttl", pa.uint8()), ("near", pa.uint64()))
_HEARD = (("heard", pa.uint32()), ("late", pa.uint32()))
_CROSSED = (("far", pa.uint64()), ("link", pa.uint64()), ("flows", pa.uint32()))
_ROWS = pa.schema([*_PLACE, *_CROSSED, *_HEARD])
NO_INTERFACES = pa.Table.from_batches([], schema=pa.schema([*_PLACE, *_HEARD]))
"""An empty table of interfaces."""
NO_LINKS = pa.Table.from_batches([], schema=pa.schema([*_PLACE, *_CROSSED]))
"""An empty table of links."""


@dataclass(frozen=True)
class Crossings:
    """What flows crossed, row by row, sorted by prefix, TTL, and near and far end."""

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
        table = _add_silence(interfaces.cast(NO_INTERFACES.schema), links)
        prefix, ttl, flows, heard, late = (
            table.column(name).to_numpy().astype(np.int64)
            for name in ("prefix_index", "ttl", "flows", "heard", "late")
        )
        near, far, link = (
            table.column(name).to_numpy() for name in ("near", "far", "link")
        )
        begins = (prefix[1:] != prefix[:-1]) | (ttl[1:] != ttl[:-1])
        begins |= (near[1:] != near[:-1]) | ((near[1:] == 0) & (far[1:] != far[:-1]))
        starts = np.flatnonzero(np.r_[True, begins][: len(prefix)])
        asked = sent.both(prefix, ttl)
        is_silent = (near == 0) | (far == 0)
        flows = np.where(is_silent, np.minimum(flows, asked), flows)
        crossed = np.add.reduceat(flows, starts) if len(starts) else flows
        asked = asked[starts]
        reach = _find_reach(crossed, asked, heard[starts], late[starts])
        return Crossings(prefix, ttl, near, far, link, flows, starts, asked > 0, reach)


def _add_silence(interfaces: pa.Table, links: pa.Table) -> pa.Table:
    """Return rows for links, and for interfaces with silence before or behind them."""
    links = links.cast(NO_LINKS.schema)
    ttl = pa.array(links["ttl"].to_numpy() + np.uint8(1))
    led_to = links.select(["prefix_index", "ttl", "far"]).set_column(1, "ttl", ttl)
    led_to = led_to.rename_columns(_VERTEX)
    last, first = (
        interfaces.join(known, _VERTEX, join_type="left anti")
        for known in (links.select(_VERTEX), led_to)
    )
    first = first.filter(first["ttl"].to_numpy() > 1)
    rows = [
        interfaces.join(links, _VERTEX, join_type="inner"),
        _say_silent(last, is_near=False),
        _say_silent(first, is_near=True),
    ]
    table = pa.concat_tables([each.select(_ROWS.names).cast(_ROWS) for each in rows])
    return table.sort_by([(name, "ascending") for name in (*_VERTEX, "far")])


def _say_silent(interfaces: pa.Table, *, is_near: bool) -> pa.Table:
    end = interfaces["near"].to_numpy()
    nothing = np.zeros_like(end)
    return pa.table(
        {
            "prefix_index": interfaces["prefix_index"],
            "ttl": interfaces["ttl"].to_numpy() - np.uint8(is_near),
            "near": nothing if is_near else end,
            "far": end if is_near else nothing,
            "link": mix(mix(end)) if is_near else mix(end),
            "flows": interfaces["heard"],
            "heard": interfaces["heard"],
            "late": interfaces["late"],
        }
    )


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
