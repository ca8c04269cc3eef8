"""Graphviz and GraphML: the links of a survey, or those on the paths to a target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch.warehouse.paths import read_paths
from anabranch.warehouse.routers import name_routers

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.warehouse.results import Results


@dataclass(frozen=True)
class _Syntax:
    """The lines of a format. In those of nodes and links, {} stand for columns."""

    head: str
    node: str
    """Address and TTL."""
    link: str
    """Near address, far address, TTL of the near end, flows, and agents."""
    foot: str


FORMATS = {
    "dot": _Syntax(
        head="digraph survey {\n  rankdir=LR;\n",
        node='  "{}" [ttl={}];',
        link='  "{}" -> "{}" [ttl={}, flows={}, agents="{}"];',
        foot="}\n",
    ),
    "graphml": _Syntax(
        head='<?xml version="1.0" encoding="UTF-8"?>\n'
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
        '  <key id="node_ttl" for="node" attr.name="ttl" attr.type="int"/>\n'
        '  <key id="ttl" for="edge" attr.name="ttl" attr.type="int"/>\n'
        '  <key id="flows" for="edge" attr.name="flows" attr.type="long"/>\n'
        '  <key id="agents" for="edge" attr.name="agents" attr.type="string"/>\n'
        '  <graph id="survey" edgedefault="directed">\n',
        node='    <node id="{}"><data key="node_ttl">{}</data></node>',
        link='    <edge source="{}" target="{}"><data key="ttl">{}</data>'
        '<data key="flows">{}</data><data key="agents">{}</data></edge>',
        foot="  </graph>\n</graphml>\n",
    ),
}
"""The formats, by their names."""


def write_graph(
    results: Results,
    file: Path,
    graph_format: str,
    target: str | None,
    *,
    of_routers: bool = False,
) -> None:
    """Write the links that are not suspect to a new file, as a graph.

    A node is an interface, with the lowest TTL at which it is the end of a link. An
    edge is a link, with the lowest TTL of its near end and its flows, all agents
    together. With a target, a prefix or ``largest``, the graph has the paths to it
    alone. With ``of_routers``, a node is a router by its lowest address, and an edge is
    all links between two routers.

    Raises:
        NothingYetError: If there are no links yet.
        LookupError: If no links to the target are known, or nobody looked for aliases.
        OSError: If the file can't be written.
        QueryError: If ClickHouse fails.
    """
    found = results.find_plain("links")
    links = f"(SELECT *, min_near_ttl AS near_ttl FROM ({found}) WHERE NOT is_suspect)"
    if target is not None:
        prefix, _ = read_paths(results, target)
        links = f"(SELECT * FROM ({results.select('paths')}) WHERE prefix = '{prefix}')"
    if of_routers:
        named = name_routers(links, f"({results.find_plain('routers')})")
        links = (
            "(SELECT agent, near_ttl, flows, near_router AS near_addr, "
            f"far_router AS far_addr FROM ({named}) WHERE near_router != far_router)"
        )
    syntax = FORMATS[graph_format]
    edges = (
        "SELECT near_addr, far_addr, min(near_ttl) AS ttl, sum(flows) AS all_flows, "
        "arrayStringConcat(arraySort(groupUniqArray(agent)), ' ') AS agents "
        f"FROM {links} GROUP BY near_addr, far_addr ORDER BY ttl, near_addr, far_addr"
    )
    ends = " UNION ALL ".join(
        f"SELECT {end}_addr AS addr, near_ttl + {beyond} AS ttl FROM {links}"
        for beyond, end in enumerate(("near", "far"))
    )
    nodes = (
        f"SELECT addr, min(ttl) AS lowest FROM ({ends}) GROUP BY addr "
        "ORDER BY lowest, addr"
    )
    queries = (
        _format(syntax.node, ("addr", "lowest"), nodes),
        _format(
            syntax.link, ("near_addr", "far_addr", "ttl", "all_flows", "agents"), edges
        ),
    )
    with file.open("xb") as out:
        out.write(syntax.head.encode())
        for query in queries:
            out.writelines(results.engine.stream(query, "TSVRaw"))
        out.write(syntax.foot.encode())


def _format(line: str, columns: tuple[str, ...], rows: str) -> str:
    """Return the query for lines of text; rows have no characters to be escaped."""
    words = ", ".join(f"toString({column})" for column in columns)
    return f"SELECT format('{line}', {words}) FROM ({rows})"
