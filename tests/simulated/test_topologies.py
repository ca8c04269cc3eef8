"""What is drawn in a file is found, as often as a stopping rule allows."""

from __future__ import annotations

import json
import logging
import subprocess
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from topologies import Layers, prediction_interval
from world import World, ports

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


def write(layers: Layers, copies: int, folder: Path) -> tuple[Path, ...]:
    """A topology file for each copy."""
    files = tuple(folder / f"{copy}.txt" for copy in range(copies))
    for copy, file in enumerate(files):
        file.write_text(layers.file(copy))
    return files


def trace(
    world: World, destinations: list[str], folder: Path
) -> dict[str, set[tuple[str, str]]]:
    """The links that scamper finds to each destination, at 99 %."""
    (folder / "destinations").write_text("\n".join(destinations))
    found: dict[str, set[tuple[str, str]]] = {}
    output = world.run(
        *["scamper", "-p", "5000", "-w", "1000", "-O", "json", "-o-"],
        # The source port is fixed, so that another run sends the same flows.
        *("-c", "tracelb -P udp-dport -s 40000 -c 99 -w 5 -W 15"),
        *("-f", str(folder / "destinations")),
        seconds=1200,
    )
    for line in output.splitlines():
        traced = json.loads(line)
        if traced["type"] == "tracelb":
            found[traced["dst"]] = {
                (node["addr"], link["addr"])
                for node in traced["nodes"]
                for hop in node["links"]
                for link in hop
            }
    return found


# Diamonds begin at the second hop: scamper does not see those of the first as they are.
FEW = [((1, 1, 2, 1), 400), ((1, 1, 4, 2, 1, 1), 100), ((1, 1, 2, 6, 3, 1, 1), 50)]
MANY = [
    ((1, 1, 2, 1), 3_840),
    ((1, 1, 4, 2, 1, 1), 2_000),
    ((1, 1, 28, 1, 1), 500),
    ((1, 1, 2, 19, 5, 5, 4, 2, 1), 100),
    ((1, 1, 8, 48, 24, 4, 2, 4, 1), 50),
]


@pytest.mark.parametrize(
    ("widths", "copies"),
    FEW + [pytest.param(*case, marks=pytest.mark.statistics) for case in MANY],
)
def test_scamper_finds_a_graph_as_often_as_its_rule_allows(
    widths: tuple[int, ...],
    copies: int,
    tmp_path: Path,
) -> None:
    """All interfaces are real; the failures lie in the 99 % prediction interval."""
    layers = Layers(widths)
    world = World(0, 0, topologies=write(layers, copies, tmp_path))
    destinations = [layers.destination(copy) for copy in range(copies)]
    found = trace(world, destinations, tmp_path)
    true = {layers.destination(i): set(layers.links(i)) for i in range(copies)}
    assert found.keys() == true.keys()
    # Where a vertex is missed, its links seem to be its neighbour's.
    ends = {end for links in true.values() for link in links for end in link}
    assert {end for links in found.values() for link in links for end in link} <= ends
    failures = sum(found[destination] != links for destination, links in true.items())
    probability = layers.failure_probability(0.01)
    allowed = prediction_interval(copies, probability, 0.99)
    log.info(
        "%s, %d copies: %d failures, %.1f expected, %d to %d allowed",
        *("-".join(map(str, widths)), copies, failures, probability * copies),
        *(allowed.start, allowed.stop - 1),
    )
    assert failures in allowed


def test_the_truth_is_what_the_file_says(tmp_path: Path) -> None:
    """Interfaces, links and diamonds; and a flow space crosses all of it."""
    layers = Layers((1, 1, 4, 2, 1, 1))
    world = World(0, 0, topologies=write(layers, 1, tmp_path))
    world.simulation.write_truth(tmp_path)

    def read(name: str) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = pq.read_table(tmp_path / name).to_pylist()
        return rows

    links = {tuple(row.values()) for row in read("links.parquet")}
    assert links == set(layers.links(0))
    assert len(read("interfaces.parquet")) == 10
    (diamond,) = read("diamonds.parquet")
    assert tuple(diamond.values()) == ("240.0.1.0", "240.0.4.0", 4, 3)
    crossed = world.links(layers.destination(0), [ports(40000, n) for n in range(200)])
    assert crossed == links


FAKEROUTE = """127.0.0.1 10.0.0.1

10.0.0.1 10.1.2.3
10.0.0.1 10.1.2.4

10.1.2.3 127.1.1.6
10.1.2.4 127.1.1.6"""


def test_a_file_of_fakeroutes_users_leads_to_an_address_that_is_told(
    tmp_path: Path,
) -> None:
    """Their destinations are loopback addresses, which nobody can send to."""
    file = tmp_path / "2-paths"
    file.write_text(FAKEROUTE)
    world = World(0, 0, topologies=(file,))
    script = 'scamper -O json -c "tracelb -P udp-dport -w 1" -i $ANABRANCH_DESTINATIONS'
    done = subprocess.run(
        [*world.command, "sh", "-c", script],
        capture_output=True,
        check=True,
        text=True,
    )
    assert "nothing can be sent to its destination 127.1.1.6; probe 198.19.0.1" in (
        done.stderr
    )
    (traced,) = (
        json.loads(line) for line in done.stdout.splitlines() if "tracelb" in line
    )
    hops = [link for node in traced["nodes"] for hop in node["links"] for link in hop]
    assert traced["dst"] == "198.19.0.1"
    assert {link["addr"] for link in hops} == {"10.1.2.3", "10.1.2.4", traced["dst"]}


def test_traceroute_sees_a_path_to_a_topologys_destination(tmp_path: Path) -> None:
    """Whatever address it has, beside the prefixes."""
    file = tmp_path / "path.txt"
    file.write_text("127.0.0.1 203.0.113.1\n203.0.113.1 203.0.113.2\n")
    world = World(topologies=(file,))
    output = world.run("traceroute", "-n", "-q", "1", "-w", "1", "203.0.113.2")
    assert [line.split()[1] for line in output.splitlines()[1:]] == [
        "203.0.113.1",
        "203.0.113.2",
    ]
    assert "1 received" in world.run("ping", "-c", "1", "240.0.3.1")


@pytest.mark.parametrize("method", ["-T -p 80", "-I", "-U"])
def test_a_destination_answers_to_each_kind_of_probe(
    method: str, tmp_path: Path
) -> None:
    """A reset to TCP, an echo reply to ICMP, a port unreachable to UDP."""
    layers = Layers((1, 1, 1))
    world = World(0, 0, topologies=write(layers, 1, tmp_path))
    destination = layers.destination(0)
    script = f"traceroute {method} -n -q 1 -w 1 {destination}"
    last = world.run("sh", "-c", script).splitlines()[-1].split()
    assert last[:2] == ["3", destination]
