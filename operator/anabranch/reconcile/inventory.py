"""The objects that reconcilers look at, which watches keep up to date."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from anabranch.api.policy import POLICY_NAME
from anabranch.manifests.agents import name_pod
from anabranch.manifests.labels import CYCLE, MEASUREMENT, SURVEY, TARGET_LIST

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from anabranch.api import (
        Agent,
        Measurement,
        ProbingPolicy,
        Round,
        Survey,
        TargetList,
    )
    from anabranch.reconcile.views import JobView, NodeView, PodView

    Index = Mapping[tuple[str, str], Collection["Value"]]
    """Objects by namespace and name, or by what they belong to."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class Inventory:
    """The objects that watches have seen; each index is a live view."""

    system: str
    """The system namespace."""
    measurements: Index[Measurement]
    surveys: Index[Survey]
    cycles: Index[Measurement]
    """The Measurements of surveys, by ``("", UID)`` of the survey."""
    agents: Index[Agent]
    lists: Index[TargetList]
    policies: Index[ProbingPolicy]
    rounds: Index[Round]
    """The Rounds, by ``("uid", UID)`` of the measurement and by ``("agent", name)``."""
    jobs: Index[JobView]
    """The Jobs, by ``("", UID)`` of the measurement, target list or survey."""
    pods: Index[PodView]
    nodes: Index[NodeView]
    """The nodes, by ``("", name)``."""

    def find_policy(self) -> ProbingPolicy | None:
        """Return the policy that counts, if it exists."""
        return _first(self.policies, (self.system, POLICY_NAME))

    def find_agent(self, name: str) -> Agent | None:
        """Return the Agent of a name that counts, if it exists."""
        return _first(self.agents, (self.system, name))

    def find_agents(self) -> dict[str, Agent]:
        """Return the Agents that count, by name: those of the system namespace."""
        found = {}
        for (namespace, name), agents in self.agents.items():
            if namespace == self.system:
                found[name] = next(iter(agents))
        return found

    def find_lists(self, namespace: str) -> dict[str, TargetList]:
        """Return the target lists of a namespace, by name."""
        return {
            name: next(iter(lists))
            for (place, name), lists in self.lists.items()
            if place == namespace
        }

    def find_subject(self, measurement: Measurement) -> Measurement | None:
        """Return the Measurement that another one compares, if it exists."""
        aliases = measurement.spec.aliases
        if aliases is None:
            return None
        place = (measurement.metadata.namespace, aliases.of)
        return _first(self.measurements, place)

    def find_cycles(self, survey: Survey) -> dict[int, Measurement]:
        """Return the Measurements of a survey's cycles, by number."""
        found = {}
        for each in self.cycles.get(("", survey.metadata.uid), ()):
            number = int(each.metadata.labels[CYCLE])
            if each.metadata.name == survey.name_cycle(number):
                found[number] = each
        return found

    def find_rounds(self, uid: str) -> dict[str, Round]:
        """Return the Rounds of a measurement, by name."""
        rounds = self.rounds.get(("uid", uid), ())
        return {each.metadata.name: each for each in rounds}

    def find_jobs(self, uid: str) -> dict[str, JobView]:
        """Return the Jobs of a measurement, target list or survey, by name."""
        return {each.name: each for each in self.jobs.get(("", uid), ())}

    def find_pod(self, agent: str) -> PodView | None:
        """Return the pod of an agent, if there is one."""
        return _first(self.pods, (self.system, name_pod(agent)))

    def find_agent_rounds(self, agent: str) -> Collection[Round]:
        """Return the Rounds of an agent."""
        return self.rounds.get(("agent", agent), ())

    def find_active(self, agent: str) -> int:
        """Return how many Rounds an agent probes or should probe."""
        return sum(map(is_active, self.find_agent_rounds(agent)))

    def find_standing(self, agent: str) -> list[Round]:
        """Return the Rounds of an agent that have no end."""
        return [each for each in self.find_agent_rounds(agent) if each.spec.standing]

    def find_unfinished(self) -> list[Measurement]:
        """Return the unfinished measurements, to which other objects may matter."""
        return [
            each
            for found in self.measurements.values()
            for each in found
            if not each.is_finished
        ]

    def find_by_uid(self, uid: str) -> Measurement | TargetList | Survey | None:
        """Return the measurement, target list or survey of a UID, if it exists."""
        for index in (self.measurements, self.lists, self.surveys):
            for found in index.values():
                for each in found:
                    if each.metadata.uid == uid:
                        return each
        return None


def find_owner(labels: Mapping[str, str]) -> str:
    """Return the UID of the measurement, target list or survey that a Job works for."""
    owners = (MEASUREMENT, TARGET_LIST, SURVEY)
    return next((labels[each] for each in owners if labels.get(each)), "")


def is_over(found: Round) -> bool:
    """Return whether nothing more is probed for a Round."""
    ends = {"Complete", "Failed"}
    conditions = found.status.conditions
    return any(c.type in ends and c.status == "True" for c in conditions)


def is_active(found: Round) -> bool:
    """Return whether a Round is probed or should be."""
    return not is_over(found) and not found.spec.suspend


def _first(index: Index[Value], key: tuple[str, str]) -> Value | None:
    return next(iter(index.get(key, ())), None)
