"""Other people's tools see through the simulator what the truth says."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from world import ANSWERING, World, ports

if TYPE_CHECKING:
    from pathlib import Path

SPORT, DPORT = 40000, 33434
DESTINATIONS = [f"240.{n // 256}.{n % 256}.7" for n in range(0, 1000, 111)]
DESTINATIONS_V6 = [f"3fff:0:0:{n:x}::7" for n in range(0, 200, 40)]


def read_hops(output: str, length: int) -> list[str]:
    """The second word of each line that begins with a TTL."""
    words = [line.split() for line in output.splitlines()]
    return [line[1] for line in words if line and line[0].isdigit()][:length]


@pytest.mark.parametrize("destination", DESTINATIONS + DESTINATIONS_V6)
def test_traceroute_sees_the_path_of_its_flow(world: World, destination: str) -> None:
    """UDP with constant ports is one flow, hop by hop."""
    expected = world.path(destination, octets=ports(SPORT, DPORT))
    # Linux gives each socket a flow label of its own unless it is told not to.
    script = (
        "echo 0 > /proc/sys/net/ipv6/auto_flowlabels && "
        f"traceroute -n -U -p {DPORT} --sport={SPORT} -q 1 -N 1 -w 0.5 "
        f"-m {len(expected)} {destination}"
    )
    assert read_hops(world.run("sh", "-c", script), len(expected)) == expected


def test_scamper_sees_the_paths_of_its_flows() -> None:
    """Its Paris traceroute over UDP, many destinations at once."""
    # It waits for 5 s for each reply that does not come.
    world = World(switches={"hosts": 1.0})
    commands = [
        f"trace -P udp-paris -s {SPORT} -d {DPORT} -q 1 -g 9 {destination}"
        for destination in DESTINATIONS
    ]
    words = [word for command in commands for word in ("-I", command)]
    output = world.run("scamper", "-p", "500", "-O", "json", "-o-", *words)
    traces = [json.loads(line) for line in output.splitlines()]
    found = {trace["dst"]: trace for trace in traces if trace["type"] == "trace"}
    assert found.keys() == set(DESTINATIONS)
    for destination, trace in found.items():
        expected = world.path(destination, octets=ports(SPORT, DPORT))
        hops = {hop["probe_ttl"]: hop["addr"] for hop in trace.get("hops", [])}
        seen = [hops.get(ttl + 1, "*") for ttl in range(len(expected))]
        assert seen == expected


def test_scamper_finds_load_balancers_that_are_there(tmp_path: Path) -> None:
    """Of its multipath traces every link is true, and diamonds are among them."""
    world = World(prefixes_v6=0, switches=ANSWERING | {"delay": 0.1})
    world.simulation.write_truth(tmp_path)
    table = pq.read_table(tmp_path / "links.parquet")
    links = {tuple(link.values()) for link in table.to_pylist()}
    commands = [f"tracelb -P udp-dport -c 99 -w 1 -W 15 {d}" for d in DESTINATIONS]
    words = [word for command in commands for word in ("-I", command)]
    file = tmp_path / "tracelb.json"
    world.run(
        "scamper", "-p", "1000", "-O", "json", "-o", str(file), *words, seconds=300
    )
    found: set[tuple[str, str]] = set()
    for line in file.read_text().splitlines():
        for node in json.loads(line).get("nodes", []):
            for hop in node["links"]:
                found |= {(node["addr"], link["addr"]) for link in hop}
    # The truth has links of routers.
    found = {link for link in found if link[1] not in DESTINATIONS}
    assert found <= links
    branching = [near for near, _ in found]
    assert len(branching) > len(set(branching))


def test_dublin_traceroute_sees_the_paths_of_its_flows(
    world: World, tmp_path: Path
) -> None:
    """Each of its paths is a destination port."""
    destination = DESTINATIONS[2]
    script = (
        # It looks for the interface of a default route, and for names of what it finds.
        "ip route add default via 198.18.0.1 && mount --bind /dev/null "
        "/etc/resolv.conf && "
        f"cd {tmp_path} && dublin-traceroute -n 4 -s {SPORT} -d {DPORT} -T 20 "
        f"-D 5 {destination}"
    )
    world.run("sh", "-c", script)
    (file,) = tmp_path.glob("*.json")
    flows: dict[str, list[dict[str, Any]]] = json.loads(file.read_text())["flows"]
    assert len(flows) == 4
    for port, hops in flows.items():
        expected = world.path(destination, octets=ports(SPORT, int(port)))
        seen = [
            hop["received"]["ip"]["src"] if hop["received"] else "*"
            for hop in hops[: len(expected)]
        ]
        # On a busy machine it begins to listen after its first replies are there.
        heard = [pair for pair in zip(seen, expected, strict=True) if pair[0] != "*"]
        assert len(heard) > len(expected) / 2
        assert all(found == there for found, there in heard)


@pytest.mark.parametrize("family", ["4", "6"])
def test_ping_is_answered_by_routers_and_hosts(family: str) -> None:
    """Directly, with the initial TTL less the routers on the way back."""
    world = World(switches=ANSWERING)
    destination = DESTINATIONS[3] if family == "4" else DESTINATIONS_V6[3]
    path = world.path(destination, octets=ports(SPORT, DPORT))
    for hops, address in enumerate([*path, destination], 1):
        output = world.run("ping", f"-{family}", "-c", "1", "-W", "2", address)
        (ttl,) = (
            int(word.removeprefix("ttl="))
            for word in output.split()
            if word.startswith("ttl=")
        )
        assert min((i for i in (64, 128, 255) if i >= ttl), default=0) - ttl == hops - 1


def test_packets_are_well_formed(tmp_path: Path) -> None:
    """Nothing is malformed and no checksum wrong, says tshark, labels included."""
    world = World(switches={"hosts": 0.5, "mpls": 0.5, "short-quotes": 0.3})
    file = tmp_path / "capture.pcap"
    traces = " ; ".join(
        f"traceroute {method} -n -q 1 -w 0.3 -m 20 {destination}"
        for destination in DESTINATIONS[:4] + DESTINATIONS_V6[:3]
        for method in ("-U -p 33434", "-I", "-T -p 80")
    )
    script = (
        f"tcpdump -q -U -i eth0 -w {file} 2>/dev/null & sleep 1; {traces}; sleep 1; "
        "kill %1; wait"
    )
    world.run("bash", "-c", script, seconds=300)

    checks = ("ip", "udp", "tcp")

    def count(display_filter: str) -> int:
        options = [w for c in checks for w in ("-o", f"{c}.check_checksum:TRUE")]
        # Some of the ports that traceroute takes are those of protocols.
        options += ["-d", "udp.port==1024-65535,echo"]
        command = ["tshark", "-r", str(file), *options, "-Y", display_filter]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return len(done.stdout.splitlines())

    assert count("icmp.type == 11") > 30
    assert count("icmpv6.type == 3") > 20
    assert count("icmp.mpls.label") > 0
    assert count("tcp.flags.ack == 1") > 0
    assert count("_ws.malformed") == 0
    bad = " or ".join(f"{c}.checksum.status == Bad" for c in (*checks, "icmp"))
    assert count(bad) == 0
    assert count("icmpv6.checksum.status == Bad") == 0
