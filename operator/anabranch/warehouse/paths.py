"""The links on the paths to chosen targets, without suspect ones."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from anabranch.warehouse.routers import group_addresses

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    from anabranch.warehouse.agentresults import AgentResults
    from anabranch.warehouse.results import Results

    Node: TypeAlias = tuple[int, str]
    """A TTL, and an address at this hop."""
    Edge: TypeAlias = tuple[str, Node, Node, int]
    """An agent, the near node, the far node, and the flows seen between them."""

_CANDIDATES = 256
"""How many targets are looked at first to find the one with the most links."""


def read_paths(results: Results, target: str) -> tuple[str, list[Edge]]:
    """Return a target, and the links on the paths to it.

    ``largest`` is the target with the most links. A link is a tuple of the agent, near
    TTL and address, far TTL and address, and the number of flows seen to cross it.

    Raises:
        LookupError: If there are no links, or the target is neither a prefix nor
            ``largest``.
    """
    target = choose_target(results, target)
    sums: dict[tuple[str, int, str, str], int] = {}
    for agent in results.surveyed:
        for row in read_links(agent, [target]):
            link = (agent.keys.agent, row["near_ttl"], row["near_addr"])
            key = (*link, row["far_addr"])
            sums[key] = sums.get(key, 0) + row["flows"]
    if not sums:
        raise LookupError(f"no links are known on the way to {target}")
    edges = [
        (agent, (ttl, near), (ttl + 1, far), flows)
        for (agent, ttl, near, far), flows in sorted(sums.items())
    ]
    return target, edges


def merge_routers(edges: list[Edge], router_of: dict[str, str]) -> list[Edge]:
    """Return links between routers, of links between addresses.

    A router of several of these addresses is called by the lowest one, and by how many
    others there are. ``router_of`` has the routers of addresses.
    """
    here = {address for _, *ends, _ in edges for _, address in ends}
    groups = group_addresses(
        {address: router for address, router in router_of.items() if address in here}
    )
    names = {
        address: f"{group[0]} +{len(group) - 1}"
        for group in groups
        for address in group
    }
    sums: Counter[tuple[str, Node, Node]] = Counter()
    for agent, (ttl, near), (far_ttl, far), flows in edges:
        link = (ttl, names.get(near, near)), (far_ttl, names.get(far, far))
        sums[agent, *link] += flows
    return [(*link, flows) for link, flows in sorted(sums.items())]


def choose_target(results: Results, target: str) -> str:
    """Return the prefix that a text means; ``largest`` has the most links.

    Raises:
        LookupError: If there are no links, or it is neither a prefix nor ``largest``.
    """
    if target == "largest":
        return _find_largest(results)
    try:
        return str(ip_network(target))
    except ValueError as error:
        raise LookupError(f"{error}; name a target's prefix, or largest") from error


def read_links(agent: AgentResults, prefixes: Iterable[str]) -> list[dict[str, Any]]:
    """Return the links to some targets that an agent found.

    Their columns are prefix, protocol, near_ttl, near_addr, far_addr and flows.
    """
    paths = agent.approach(prefixes) if "links" in agent.kinds else None
    if paths is None:
        return []
    link = "prefix, protocol, near_ttl, near_addr, far_addr"
    rows: list[dict[str, Any]] = agent.engine.read(
        f"SELECT {link}, sum(flows) AS flows FROM ({paths}) GROUP BY {link} "
        f"ORDER BY {link}"
    ).to_pylist()
    return rows


def _find_largest(results: Results) -> str:
    """Return the target with the most links; of several, the first by its text.

    A target has at most as many links as rows. So only those with the most rows are
    counted exactly, in as much memory as they take.
    """
    paths = results.select("paths")
    candidates = _CANDIDATES
    while True:
        most = results.engine.read(
            f"SELECT prefix, count() AS rows FROM ({paths}) GROUP BY prefix "
            f"ORDER BY rows DESC, prefix LIMIT {candidates + 1}"
        ).to_pylist()
        if not most:
            raise LookupError("no links are known on the way to any target")
        prefixes = [row["prefix"] for row in most[:candidates]]
        chosen = [
            found
            for agent in results.surveyed
            if "links" in agent.kinds and (found := agent.approach(prefixes))
        ]
        (first,) = results.engine.read(
            "SELECT prefix, uniqExact((near_ttl, near_addr, far_addr)) AS links FROM "
            f"({' UNION ALL '.join(chosen)}) GROUP BY prefix "
            "ORDER BY links DESC, prefix LIMIT 1"
        ).to_pylist()
        rest = most[candidates:]
        if not rest or first["links"] > rest[0]["rows"]:
            prefix: str = first["prefix"]
            return prefix
        candidates *= 16
