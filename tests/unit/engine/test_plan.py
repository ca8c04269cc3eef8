"""Plans: what they draw, and that flows are diamond-miner's."""

from __future__ import annotations

import io
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow.parquet as pq
import pytest
from anabranch_engine import Plan, PrefixSet, TargetList, TraceParameters
from diamond_miner.mappers import (
    IntervalFlowMapper,
    RandomFlowMapper,
    ReverseByteFlowMapper,
    SequentialFlowMapper,
)

from anabranch.rounds.planning import ask_one_flow
from probing import DPORT, SPORT, write_plan

if TYPE_CHECKING:
    from pathlib import Path


class Mapper(Protocol):
    """What diamond-miner's mappers have in common."""

    def offset(self, flow_id: int, prefix: int) -> tuple[int, int]:
        """How far a flow's address and port are from the first ones."""


V4, V6 = 2**8, 2**64
FLOWS = 700


@pytest.mark.parametrize(
    ("options", "v4", "v6"),
    [
        (
            {"flow_mapper": "SequentialFlowMapper", "seed": None},
            SequentialFlowMapper(V4),
            SequentialFlowMapper(V6),
        ),
        (
            {"flow_mapper": "IntervalFlowMapper", "seed": None, "step": 32},
            IntervalFlowMapper(V4, 32),
            IntervalFlowMapper(V6, 32),
        ),
        (
            {"flow_mapper": "ReverseByteFlowMapper", "seed": None},
            ReverseByteFlowMapper(),
            SequentialFlowMapper(V6),
        ),
        ({"seed": 42}, RandomFlowMapper(42, V4), RandomFlowMapper(42, V6)),
        ({"seed": 0}, RandomFlowMapper(0, V4), RandomFlowMapper(0, V6)),
        ({"seed": 2**40}, RandomFlowMapper(2**40, V4), RandomFlowMapper(2**40, V6)),
    ],
)
def test_flows_are_those_of_diamond_miner(
    options: dict[str, Any], v4: Mapper, v6: Mapper, tmp_path: Path
) -> None:
    """Address and port of each flow, beyond the last address too."""
    prefixes = [f"240.0.{i}.0/24" for i in range(9)] + ["3fff::/64", "3fff:0:0:5::/64"]
    lines = [f"{prefix},udp,1,1,{FLOWS}" for prefix in prefixes]
    plan = write_plan(tmp_path / "plan.parquet", lines, **options)
    drawn = {
        (int(destination), port)
        for _, destination, _, port, _, _, _ in plan.draw(0, order="")
    }
    expected = set()
    for prefix in map(ip_network, prefixes):
        first = int(prefix.network_address)
        mapper = v4 if prefix.version == 4 else v6
        for flow in range(FLOWS):
            address, port = mapper.offset(flow, first)
            expected.add((first + address, SPORT + port))
    assert drawn == expected


def test_probes_are_drawn_from_where_one_stopped(tmp_path: Path) -> None:
    """A slot is all that it takes; another sender has another order."""
    lines = ["240.0.0.0/20,udp,2,9,3", "240.1.0.0/24,icmp,1,30,1"]
    plan = write_plan(tmp_path / "plan.parquet", lines)
    all_of_it = plan.draw(0, order="paris/1")
    assert len(all_of_it) == 16 * 8 * 3 + 30
    some = plan.draw(0, order="paris/1", count=100)
    rest = plan.draw(0, order="paris/1", start=some[-1][0] + 1)
    assert some + rest == all_of_it
    assert plan.draw(0, order="tokyo/1") != all_of_it
    ports = {(protocol, port) for _, _, protocol, _, port, _, _ in all_of_it}
    assert ports == {(17, DPORT), (1, 0)}
    assert all_of_it[0][1] in {ip_address(a) for _, a, *_ in all_of_it}


def test_a_plan_that_is_none_is_refused(tmp_path: Path) -> None:
    """With its file; so is one that can't be written."""
    file = tmp_path / "plan.parquet"
    with pytest.raises(OSError, match=f"{file}: No such file"):
        Plan(file)
    file.write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=f"{file}: it is no plan"):
        Plan(file)
    with pytest.raises(OSError, match="No such file"):
        Plan.write(
            tmp_path / "nosuch" / "plan.parquet",
            TargetList.read(io.BytesIO(b"240.0.0.0/6,udp,1,1,1\n")).split(24, 64),
            initial_source_port=SPORT,
            destination_port=DPORT,
            flow_mapper="SequentialFlowMapper",
            order_seed=1,
        )


@pytest.mark.parametrize(
    "options",
    [
        {"flow_mapper": "RandomFlowMapper", "seed": None},
        {"flow_mapper": "IntervalFlowMapper", "seed": None, "step": 0},
        {"flow_mapper": "SequentialFlowMapper"},
        {"flow_mapper": "Sequential", "seed": None},
    ],
)
def test_a_mapper_that_there_is_not_is_refused(
    options: dict[str, Any], tmp_path: Path
) -> None:
    """The refusal says which there are."""
    with pytest.raises(ValueError, match="must be SequentialFlowMapper, ReverseByte"):
        write_plan(tmp_path / "plan.parquet", ["240.0.0.0/24,udp,1,1,1"], **options)


def test_a_block_that_there_is_not_is_refused(tmp_path: Path) -> None:
    """With the number of those that there are."""
    plan = write_plan(tmp_path / "plan.parquet", ["240.0.0.0/24,udp,1,2,1"], blocks=3)
    with pytest.raises(ValueError, match="no block 3; it has 3, from 0 on"):
        plan.draw(3, order="")


def test_what_can_not_be_probed_is_refused_by_its_prefix(tmp_path: Path) -> None:
    """Before anything is drawn."""
    plan = write_plan(
        tmp_path / "plan.parquet",
        ["240.0.0.0/24,udp,1,1,300"],
        initial_source_port=65500,
    )
    with pytest.raises(ValueError, match=r"240.0.0.0/24: .*a source port above 65535"):
        plan.draw(0, order="")
    step = {"flow_mapper": "IntervalFlowMapper", "seed": None, "step": 3}
    plan = write_plan(tmp_path / "plan.parquet", ["240.0.0.0/24,udp,1,1,1"], **step)
    with pytest.raises(ValueError, match="powers of 2 never do"):
        plan.draw(0, order="")


def test_a_plan_has_a_block_for_each_million_targets(tmp_path: Path) -> None:
    """A prefix is in one of them, and its number is that of its target."""
    list_of_all = TargetList.read(io.BytesIO(b"240.0.0.0/6,udp,1,1,1\n"))
    targets = list_of_all.split(27, 64)
    plan = Plan.write(
        tmp_path / "plan.parquet",
        targets,
        initial_source_port=SPORT,
        destination_port=DPORT,
        flow_mapper="SequentialFlowMapper",
        order_seed=1,
    )
    assert (len(targets), plan.blocks) == (2**21, 2)
    counts = [len(plan.draw(block, order="")) for block in range(2)]
    assert sum(counts) == 2**21
    assert abs(counts[0] - counts[1]) < 2**13


def test_a_seed_draws_the_destinations_that_are_traced(tmp_path: Path) -> None:
    """Others by another seed; none that is forbidden, where a target has another."""
    lines = [f"240.0.{i}.0/24,icmp,1,32,1" for i in range(50)]
    lines.append("3fff::/64,icmp6,1,32,1")
    tracing = TraceParameters(algorithm="singlePath", failure_probability=0.05)

    def draw(seed: int | None, forbidden: PrefixSet | None = None) -> list[Any]:
        path = tmp_path / "plan.parquet"
        plan = write_plan(path, lines, tracing=tracing, destination_seed=seed)
        asked = plan.ask(
            tmp_path / "asked.parquet", [ask_one_flow(pq.read_table(path), 1, 32)]
        )
        drawn = asked.draw(0, order="", forbidden=forbidden)
        return sorted(destination.packed for _, destination, *_ in drawn)

    one = draw(1)
    assert len(one) == len(lines)
    assert one == draw(1)
    assert not {*one} & {*draw(2)}
    assert not {*one} & {*draw(None)}
    hosts = [address[3] for address in one if len(address) == 4]
    assert len(hosts) == len(lines) - 1
    assert not {*hosts} & {0, 255}
    lower = PrefixSet(f"240.0.{i}.0/25" for i in range(50))
    kept = draw(1, lower)
    assert {address for address in one if address[-1] > 127} <= {*kept}
    assert min(address[3] for address in kept if len(address) == 4) > 127
    everything = PrefixSet(["240.0.0.0/8"])
    assert draw(1, everything) == one
