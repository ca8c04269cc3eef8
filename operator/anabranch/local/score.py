"""How much of a simulated Internet a survey finds."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from anabranch.api.tool import FlowMapperKwargs
from anabranch.local.assignment import LOCALHOST, RunError
from anabranch.local.rehearsal import rehearse
from anabranch.rounds.planning import ask_flow_space

if TYPE_CHECKING:
    from anabranch_engine import Plan, Simulation

    from anabranch.runs.assignment import Assignment

Links = set[tuple[int, int]]
"""Links by what tells their near and far address."""


@dataclass(frozen=True)
class Score:
    """What was found, of what there is."""

    found: int
    """Links that were found."""
    real: int
    """Those of them that there are."""
    known: int
    """Links that the flows cross, with both ends answering."""
    known_found: int
    """Those of them that were found."""

    @property
    def precision(self) -> float:
        """The share of real links in those that were found."""
        return self.real / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """The share of found links in those that the flows cross."""
        return self.known_found / self.known if self.known else 1.0


@dataclass(frozen=True)
class Expectation:
    """What runs with the same rule and other flows find in the same network."""

    runs: int
    mean: float
    """The mean recall."""
    low: float
    """99 of 100 runs lie between this and ``high``."""
    high: float
    probes: float
    """The mean number of probes, over all agents together."""


@dataclass(frozen=True)
class Judge:
    """Knows a simulated Internet, and what some agents were to find in it.

    ``flows`` of each prefix, from 0 on, are the space that recall refers to.
    """

    simulation: Simulation
    assignments: list[Assignment]
    flows: int

    def judge(self, found: Links) -> Score:
        """How good links are that were found."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            self.simulation.write_truth(folder)
            every = pq.read_table(folder / "links.parquet")
            columns = (every.column(end).to_pylist() for end in every.column_names)
            real = {(tell(near), tell(far)) for near, far in zip(*columns, strict=True)}
            known: Links = set()
            for assignment in self.assignments:
                known |= self._cross(assignment, folder)
        return Score(len(found), len(found & real), len(known), len(found & known))

    def rehearse(self, seeds: range) -> Expectation:
        """Runs in process, a run for each seed of the flow mapper."""
        recalls, probes = [], []
        for seed in seeds:
            seeded = [_seed(assignment, seed) for assignment in self.assignments]
            found: Links = set()
            known: Links = set()
            sent = 0
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                for assignment in seeded:
                    links, count = self.rehearse_one(assignment, folder)
                    found |= links
                    sent += count
                    known |= self._cross(assignment, folder)
            recalls.append(len(found & known) / len(known) if known else 1.0)
            probes.append(sent)
        low, high = np.quantile(recalls, [0.005, 0.995])
        return Expectation(
            runs=len(recalls),
            mean=float(np.mean(recalls)),
            low=float(low),
            high=float(high),
            probes=float(np.mean(probes)),
        )

    def rehearse_one(self, assignment: Assignment, folder: Path) -> tuple[Links, int]:
        """The links that one agent finds in process, and the probes that it takes."""
        targets = assignment.write_targets(folder / "targets.parquet", blocks=1)
        point = find_vantage_point(assignment)
        rules = assignment.record.run_rules
        return rehearse(self.simulation, point, targets, rules, folder)

    def _cross(self, assignment: Assignment, folder: Path) -> Links:
        """The links that an agent's flows cross, with both ends answering."""
        targets = assignment.write_targets(folder / "targets.parquet", blocks=1)
        plan = ask_space(targets, self.flows, folder / "space.parquet")
        point = find_vantage_point(assignment)
        links = self.simulation.links_of_plan(point, plan)
        return {(tell(near), tell(far)) for near, far, seen in links if seen}


def ask_space(targets: Plan, flows: int, file: Path) -> Plan:
    """A plan of the first flows of all prefixes of a plan of one block."""
    prefixes = pq.read_table(targets.path)
    return targets.ask(file, [ask_flow_space(prefixes, flows)])


def tell(address: str) -> int:
    """What tells an address from others, as ``time_exceeded`` has it."""
    high, low = divmod(int(ip_address(address)), 1 << 64)
    return high * 0x9E3779B97F4A7C15 % (1 << 64) ^ low


def find_vantage_point(assignment: Assignment) -> int:
    """The number of the vantage point that an agent's node is.

    Raises:
        RunError: When it is none.
    """
    agent = assignment.record.agent
    node = agent.spec.node_name
    if node == LOCALHOST:
        return 0
    number = node.removeprefix("vp")
    if number == node or not number.isdecimal() or int(number) < 1:
        raise RunError(
            f"Agent {agent.metadata.name!r} is on node {node!r}, which is "
            "no vantage point of a simulation; they are called vp1, vp2 and so on"
        )
    return int(number) - 1


def _seed(assignment: Assignment, seed: int) -> Assignment:
    kwargs = FlowMapperKwargs(seed=seed)
    changes = {"flow_mapper": "RandomFlowMapper", "flow_mapper_kwargs": kwargs}
    parameters = assignment.parameters.model_copy(update=changes)
    return replace(assignment, parameters=parameters)
