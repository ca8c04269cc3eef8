"""The score of a survey: how much of a simulated Internet it finds."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from anabranch.api.tool import FlowMapperKwargs
from anabranch.local.assignment import LOCALHOST, RunError
from anabranch.local.rehearsal import Rehearsal, rehearse, rehearse_traces
from anabranch.rounds.closed import find_forbidden
from anabranch.rounds.planning import ask_flow_space
from anabranch.rounds.tools import Unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from anabranch_engine import Plan, PrefixSet, Simulation

    from anabranch.runs.assignment import Assignment

Links = set[tuple[int, int]]
"""Links, each as the 64-bit hashes of its near and far address (see ``tell``)."""


Link = tuple[str, str, bool]
"""The near and the far address of a link, and whether both ends answer."""
_ECHO = {1: 8, 58: 128}
"""The type of echo requests, by the protocol's number."""
_PORTS = range(1024, 1 << 15)
"""The ports of first flows in rehearsals of traces; those of other flows follow."""
_PORT_STEP = 19_841
"""It has no factor in common with their number, and spreads those of a few seeds."""


@dataclass(frozen=True)
class Score:
    """The links that a survey found, compared with those that exist."""

    found: int
    """The number of links that were found."""
    real: int
    """The number of found links that exist."""
    known: int
    """The number of links that the flows cross and whose two ends answer."""
    known_found: int
    """The number of these links that were found."""

    @property
    def precision(self) -> float:
        """The share of the found links that exist; 1 when none was found."""
        return self.real / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """The share of the known links that were found; 1 when none is known."""
        return self.known_found / self.known if self.known else 1.0


@dataclass(frozen=True)
class Expectation:
    """The results of runs with the same rule and other flows in the same network."""

    runs: int
    mean: float
    """The mean recall."""
    low: float
    """The 0.5 % quantile of recall: 99 of 100 runs lie between it and ``high``."""
    high: float
    """The 99.5 % quantile of recall."""
    probes: float
    """The mean number of probes that all agents together send in a run."""


@dataclass(frozen=True)
class Judge:
    """A judge of links, which knows a simulated Internet and the agents' assignments.

    Recall refers to the links that the first ``flows`` flows of each prefix cross, or
    of each destination that is traced.
    """

    simulation: Simulation
    assignments: list[Assignment]
    flows: int

    def judge(self, found: Links) -> Score:
        """Score the links that were found."""
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
        """Rehearse the survey in process, once for each seed of the flow mapper."""
        recalls, probes = [], []
        for seed in seeds:
            seeded = [_seed(assignment, seed) for assignment in self.assignments]
            found: Links = set()
            known: Links = set()
            sent = 0
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                for assignment in seeded:
                    rehearsal = self.rehearse_one(assignment, folder)
                    found |= rehearsal.links
                    sent += rehearsal.probes
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

    def rehearse_one(self, assignment: Assignment, folder: Path) -> Rehearsal:
        """Return what an agent does and finds in process."""
        targets = assignment.write_targets(folder / "targets.parquet", blocks=1)
        point = find_vantage_point(assignment)
        record = assignment.record
        if assignment.unit is Unit.DESTINATION:
            forbidden = find_forbidden(record.policy, record.agent.spec)
            return rehearse_traces(self.simulation, point, targets, forbidden)
        return rehearse(self.simulation, point, targets, record.run_rules, folder)

    def _cross(self, assignment: Assignment, folder: Path) -> Links:
        """Return the links that an agent's flows cross and whose two ends answer."""
        targets = assignment.write_targets(folder / "targets.parquet", blocks=1)
        point = find_vantage_point(assignment)
        links: Iterable[Link]
        if assignment.unit is Unit.DESTINATION:
            record = assignment.record
            forbidden = find_forbidden(record.policy, record.agent.spec)
            links = self._cross_traces(point, targets, forbidden)
        else:
            plan = ask_space(targets, self.flows, folder / "space.parquet")
            links = self.simulation.links_of_plan(point, plan)
        return {(tell(near), tell(far)) for near, far, seen in links if seen}

    def _cross_traces(
        self, point: int, targets: Plan, forbidden: PrefixSet
    ) -> Iterator[Link]:
        """Yield the links that flows to the destinations of a traced plan cross."""
        destinations = defaultdict(list)
        drawn = targets.draw(0, order="", forbidden=forbidden)
        for _, destination, *head, _, _ in drawn:
            destinations[tuple(head)].append(destination)
        for (protocol, source, port), found in destinations.items():
            # What follows the IP header: ports, or a type, a code and a checksum.
            octets = [
                _ECHO[protocol] << 24 | flow if protocol in _ECHO else flow << 16 | port
                for flow in range(source, source + self.flows)
            ]
            yield from self.simulation.links_of_flows(
                point, found, protocol, octets, labels_flows=True
            )


def ask_space(targets: Plan, flows: int, file: Path) -> Plan:
    """Return a plan of the first ``flows`` flows of each prefix of a one-block plan."""
    prefixes = pq.read_table(targets.path)
    return targets.ask(file, [ask_flow_space(prefixes, flows)])


def tell(address: str) -> int:
    """Return the 64-bit hash of an address, as ``time_exceeded`` gives it."""
    high, low = divmod(int(ip_address(address)), 1 << 64)
    return high * 0x9E3779B97F4A7C15 % (1 << 64) ^ low


def find_vantage_point(assignment: Assignment) -> int:
    """Return the number of the vantage point at an agent's node, counted from 0.

    Raises:
        RunError: When the node is not a vantage point.
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
    """Return an assignment with other flows. Those of traces differ by port alone."""
    kwargs = FlowMapperKwargs(seed=seed)
    changes: dict[str, Any] = {
        "flow_mapper": "RandomFlowMapper",
        "flow_mapper_kwargs": kwargs,
    }
    if assignment.unit is Unit.DESTINATION:
        port = _PORTS[seed * _PORT_STEP % len(_PORTS)]
        changes = {"initial_source_port": port}
    parameters = assignment.parameters.model_copy(update=changes)
    return replace(assignment, parameters=parameters)
