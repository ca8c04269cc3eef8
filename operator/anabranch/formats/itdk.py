"""CAIDA's Internet Topology Data Kit: nodes, links and interfaces, as text.

A node is a router, with the interfaces that alias resolution has found to be of it.
Each interface without known aliases is a node of its own. A link of the kit joins all
nodes that are next to one another on a medium. Probes show the interface by which they
enter a router, and not that by which they leave one. So there is a link for each
interface that is a far end, and with it the nodes that are its near ends.

If results are annotated, a node is of the AS that is the origin of more of its
interfaces than any other AS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch.warehouse.annotation import has_one_origin
from anabranch.warehouse.pieces import PIECE_ROWS, cut
from anabranch.warehouse.routers import name_addresses
from anabranch.warehouse.traces import find_gaps

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.warehouse.annotation import Annotator
    from anabranch.warehouse.results import Results

_HEADS = {
    "nodes": "# node <node_id>: <interface> ...\n",
    "links": "# link <link_id>: <node_id>[:<interface>] ...\n",
    "ifaces": "# <interface> <node_id> [<link_id>] T\n",
    "nodes.as": "# node.AS <node_id> <AS> <method>\n",
}
_VERSIONS = {4: "is_v4", 6: "NOT is_v4"}


def write_itdk(results: Results, folder: Path, scratch: Path) -> None:
    """Write ``ipv4.nodes``, ``.links``, ``.ifaces`` and those of IPv6 to a new folder.

    If results are annotated, ``ipv4.nodes.as`` has the nodes whose AS is known, by
    CAIDA's method ``origins``.

    In traces, a silent router between two that replied becomes a node, with an address
    of 224.0.0.0/3 or ff00::/8 that stands for its own. Batch tools do not know of such
    routers.

    Raises:
        NothingYetError: If there are no links yet.
        OSError: If a file can't be written.
        QueryError: If ClickHouse fails.
    """
    kit = _Kit(results, scratch)
    kit.prepare()
    folder.mkdir()
    for version in _VERSIONS:
        kit.write(version, folder)


@dataclass(frozen=True)
class _Kit:
    """The tables that become the kit's files, in scratch files of their own.

    Addresses are 16 bytes there.
    """

    results: Results
    scratch: Path

    def prepare(self) -> None:
        """Number nodes and links."""
        (self.scratch / "hops").mkdir()
        links = f"({self.results.find_plain('links')})"
        interfaces = f"({self.results.find_plain('interfaces')})"
        self._put(
            "hops/links",
            f"SELECT DISTINCT {_pack('near_addr')} AS near, {_pack('far_addr')} AS far "
            f"FROM {links} WHERE NOT is_suspect",
        )
        is_silent = "0"
        if self._put_gaps():
            is_silent = f"addr IN (SELECT place FROM {self._read('places')})"
        hops = self._read("hops/*")
        known = f"SELECT {_pack('addr')} AS addr FROM {interfaces}"
        ends = (
            f"SELECT near AS addr FROM {hops} UNION ALL SELECT far AS addr FROM {hops}"
        )
        there = f"SELECT DISTINCT addr FROM ({known} UNION ALL {ends})"
        routers = self.results.find_routers()
        named = (
            name_addresses(f"({there})", routers)
            if routers
            else f"SELECT addr, addr AS router FROM ({there})"
        )
        self._put(
            "nodes",
            f"SELECT addr, {_IS_V4} AS is_v4, {is_silent} AS is_silent, dense_rank() "
            f"OVER (PARTITION BY is_v4 ORDER BY router) AS node FROM ({named})",
        )
        nodes = self._read("nodes")
        joined = (
            f"SELECT far, node FROM {hops} AS hops "
            f"INNER JOIN {nodes} AS nodes ON hops.near = nodes.addr"
        )
        self._put(
            "links",
            "SELECT addr, is_v4, node, near, row_number() OVER "
            "(PARTITION BY is_v4 ORDER BY addr) AS link "
            "FROM (SELECT far, arraySort(groupUniqArray(node)) AS near "
            f"FROM ({joined}) GROUP BY far) AS joined "
            f"INNER JOIN {nodes} AS nodes ON joined.far = nodes.addr",
        )
        if self.results.annotator:
            self._put_owners(self.results.annotator)

    def write(self, version: int, folder: Path) -> None:
        """Write the files of an IP version, unless it has no nodes."""
        nodes, links = self._read("nodes"), self._read("links")
        of_version = _VERSIONS[version]
        count = f"SELECT count() AS nodes FROM {nodes} WHERE {of_version}"
        if not self.results.engine.read(count).to_pylist()[0]["nodes"]:
            return
        lines = {
            "nodes": "SELECT format('node N{}:  {}', toString(node), "
            f"arrayStringConcat(arrayMap(addr -> {_TEXT}, "
            "arraySort(groupArray(addr))), ' ')) "
            f"FROM {nodes} WHERE {of_version} GROUP BY node ORDER BY node",
            "links": f"SELECT format('link L{{}}:  N{{}}:{{}} {{}}', toString(link), "
            f"toString(node), {_TEXT}, arrayStringConcat(arrayMap(each -> "
            "concat('N', toString(each)), near), ' ')) "
            f"FROM {links} WHERE {of_version} ORDER BY link",
            "ifaces": f"SELECT concat({_TEXT}, ' N', toString(node), "
            "if(link > 0, concat(' L', toString(link)), ''), ' T') "
            f"FROM {nodes} AS nodes "
            f"LEFT JOIN (SELECT addr, link FROM {links}) AS links "
            f"USING (addr) WHERE {of_version} AND NOT is_silent ORDER BY node, addr",
        }
        if self.results.annotator:
            lines["nodes.as"] = (
                "SELECT format('node.AS N{} {} origins', toString(node), "
                f"toString(asn)) FROM {self._read('owners')} "
                f"WHERE {of_version} ORDER BY node"
            )
        for name, query in lines.items():
            with (folder / f"ipv{version}.{name}").open("xb") as out:
                out.write(_HEADS[name].encode())
                out.writelines(self.results.engine.stream(query, "TSVRaw"))

    def _put_gaps(self) -> bool:
        """Put the hops to and from silent routers, each between two of its own.

        Return whether the tool tells of them.
        """
        traced = [
            agent
            for agent in self.results.surveyed
            if "replies" in agent.kinds and agent.has_paths
        ]
        if not traced:
            return False
        (self.scratch / "gaps").mkdir()
        for number, agent in enumerate(traced):
            drop_private = agent.record.drop_private
            for piece in cut(self.results.engine, agent.rows, PIECE_ROWS):
                gaps = find_gaps(agent.rows, piece, drop_private=drop_private)
                self._put(f"gaps/{number}-{piece.number}", gaps)
        place = (
            "if(startsWith(near, unhex('00000000000000000000ffff')), "
            "concat(unhex('00000000000000000000ffff'), "
            "unhex(leftPad(hex(0xe0000000 + number), 8, '0'))), "
            "concat(unhex('ff00000000000000'), unhex(leftPad(hex(number), 16, '0'))))"
        )
        numbered = (
            f"SELECT near, far, toFixedString({place}, 16) AS place FROM (SELECT near, "
            "far, row_number() OVER (ORDER BY near, far) AS number FROM (SELECT "
            f"DISTINCT near, far FROM {self._read('gaps/*')}))"
        )
        self._put("places", numbered)
        places = self._read("places")
        self._put("hops/near", f"SELECT near, place AS far FROM {places}")
        self._put("hops/far", f"SELECT place AS near, far FROM {places}")
        return True

    def _put_owners(self, annotator: Annotator) -> None:
        """Put the AS of each node for which one has the most addresses."""
        real = (
            f"SELECT node, is_v4, {_TEXT} AS addr FROM {self._read('nodes')} "
            "WHERE NOT is_silent"
        )
        known = annotator.annotate("routers", real, self.results.engine)
        votes = (
            f"SELECT node, is_v4, asn, count() AS addresses FROM ({known}) "
            f"WHERE {has_one_origin()} GROUP BY node, is_v4, asn"
        )
        ranked = (
            "SELECT node, is_v4, arrayReverseSort(groupArray((addresses, asn))) "
            f"AS votes FROM ({votes}) GROUP BY node, is_v4"
        )
        # Behind the last vote, ClickHouse reads one of 0 addresses.
        self._put(
            "owners",
            f"SELECT node, is_v4, votes[1].2 AS asn FROM ({ranked}) "
            "WHERE votes[1].1 > votes[2].1",
        )

    def _put(self, name: str, query: str) -> None:
        self.results.engine.write(query, self.scratch / f"{name}.parquet")

    def _read(self, name: str) -> str:
        return f"file('{self.scratch}/{name}.parquet', 'Parquet')"


_IS_V4 = "startsWith(addr, unhex('00000000000000000000ffff'))"
_TEXT = "replaceRegexpOne(IPv6NumToString(toFixedString(addr, 16)), '^::ffff:', '')"


def _pack(column: str) -> str:
    """Return the SQL for the 16 bytes of an address that is text."""
    return f"toFixedString(IPv6StringToNum({column}), 16)"
