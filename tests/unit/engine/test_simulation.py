"""A simulated Internet, as Python sees it."""

from __future__ import annotations

import io
from ipaddress import ip_address
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from anabranch_engine import (
    Plan,
    PrefixSet,
    Simulation,
    TargetList,
    TraceParameters,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def simulate(topologies: Sequence[Path] = ()) -> Simulation:
    return Simulation(
        prefixes_v4=10,
        prefixes_v6=10,
        vantage_points=2,
        seed=1,
        switches={},
        topologies=topologies,
    )


def test_a_path_is_the_same_for_the_same_seed() -> None:
    """And merges with those from elsewhere."""
    to = ip_address("240.0.3.7")
    one, other = (simulate().path(point, to, 17, 5) for point in (0, 1))
    assert one == simulate().path(0, to, 17, 5)
    assert one[:3] != other[:3]
    assert one[-1] == other[-1]


def test_there_is_no_path_to_what_is_not_there() -> None:
    """Nor from a vantage point that is not."""
    assert simulate().path(0, ip_address("240.0.10.1"), 17, 5) == []
    assert simulate().path(0, ip_address("3fff:0:0:a::1"), 17, 5) == []
    with pytest.raises(ValueError, match="there is no vantage point 2"):
        simulate().path(2, ip_address("240.0.3.7"), 17, 5)


def test_a_topology_that_is_none_is_refused_by_file_and_line(tmp_path: Path) -> None:
    """So are two that do not go together, one at home, and one that is not there."""

    def draw(*links: str) -> Simulation:
        files = [tmp_path / f"{number}.txt" for number in range(len(links))]
        for file, text in zip(files, links, strict=True):
            file.write_text(text)
        return simulate(topologies=files)

    with pytest.raises(ValueError, match=r"/0.txt: line 2: write a link as"):
        draw("start 240.1.1.1\n240.1.1.1")
    with pytest.raises(ValueError, match=r"0.txt and .*1.txt: the destination of one"):
        draw("start 240.1.1.1", "start 240.1.1.1")
    with pytest.raises(ValueError, match=r"198.18.1.9 of a topology belongs to a"):
        draw("start 198.18.1.9\n198.18.1.9 240.1.1.1")
    with pytest.raises(OSError, match=r"can't read .*/nosuch: No such file"):
        simulate(topologies=[tmp_path / "nosuch"])


def test_the_links_of_a_flow_space_are_those_of_its_flows() -> None:
    """Each flow adds those of its path, whose ends answer or not."""
    world = simulate()
    to = [ip_address("240.0.3.7"), ip_address("240.0.4.8")]
    links = world.links_of_flows(0, to, 17, range(20))
    paths = [world.path(0, address, 17, n) for address in to for n in range(20)]
    assert len(links) == len(set(links))
    assert {(near, far) for near, far, _ in links} == {
        (near, far) for path in paths for (near, _), (far, _) in pairwise(path)
    }
    with pytest.raises(ValueError, match="there is no vantage point 2"):
        world.links_of_flows(2, to, 17, [0])


def test_only_plans_whose_targets_are_traced_are_traced(tmp_path: Path) -> None:
    """And only from vantage points that there are."""
    targets = TargetList.read(io.BytesIO(b"240.0.3.0/24,udp,1,32,1\n")).split(24, 64)

    def write(tracing: TraceParameters | None) -> Plan:
        return Plan.write(
            tmp_path / "plan.parquet",
            targets,
            initial_source_port=24000,
            destination_port=33434,
            flow_mapper="RandomFlowMapper",
            seed=42,
            order_seed=1,
            tracing=tracing,
        )

    world, nothing = simulate(), PrefixSet()
    with pytest.raises(ValueError, match=r"plan.parquet: its targets are not traced"):
        world.trace_plan(0, write(None), nothing)
    plan = write(TraceParameters(algorithm="mda", failure_probability=0.05))
    with pytest.raises(ValueError, match="there is no vantage point 2"):
        world.trace_plan(2, plan, nothing)
    links, probes = world.trace_plan(0, plan, nothing)
    assert probes > len(links) > 0
