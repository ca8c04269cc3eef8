"""What the cluster has to do meanwhile: measurements of all kinds."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any

TEAM_SPACE = IPv4Network("240.0.16.0/21")
"""What the team alone probes."""
LISTS = {
    "list": [{"target": "240.0.0.0/21"}],
    "team": [{"target": str(TEAM_SPACE)}],
    "few": [{"target": "240.0.0.0/29"}],
    "hosts": [{"target": "240.0.0.0/25", "protocol": "icmp"}],
}
"""The entries of the target lists."""
TEAM = {"team": "tests"}
RATE = 60
"""So slow that a round takes a while, which faults can strike."""


@dataclass(frozen=True)
class Work:
    """A kind of measurement, to be done again and again."""

    name: str
    tool: dict[str, Any]
    target_list: str = "list"
    division: str = ""
    same: tuple[str, ...] = ("agents", "probes", "replies", "nodes", "links")
    """What is the same whenever it is done: the counts of agents, and totals."""
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> dict[str, Any]:
        """The spec of its Measurements."""
        entry: dict[str, Any] = {
            "name": f"soak-{self.name}" if self.division else "all",
            "selector": {"matchLabels": TEAM},
            "targetList": self.target_list,
            "probingRate": RATE,
        }
        if self.division:
            entry["division"] = self.division
        return {**self.tool, "agents": [entry], "minAgents": 2, **self.more}


WORKS = (
    Work("miner", {"diamondMiner": {}}, more={"maxRounds": 3}),
    Work("yarrp", {"yarrp": {}}),
    Work("ping", {"ping": {"repetitions": 10}}, target_list="hosts"),
    # What a trace sends depends on when replies come.
    Work(
        "trace",
        {"trace": {"waitSeconds": 5}},
        target_list="few",
        same=("agents", "nodes", "links"),
    ),
    # What a team finds depends on who probes what; a member may be lost in the end.
    Work(
        "team",
        {"yarrp": {}},
        target_list="team",
        division="shared",
        same=("probes",),
    ),
)
CYCLES = Work("cycles", {"yarrp": {}})
"""What a survey does in each of its cycles."""


def write_object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """An object of ours."""
    return {
        "apiVersion": "anabranch.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }


def write_lists() -> list[dict[str, Any]]:
    """The target lists."""
    return [
        write_object("TargetList", name, {"entries": entries})
        for name, entries in LISTS.items()
    ]


def write_survey() -> dict[str, Any]:
    """A survey whose cycles follow one another."""
    spec = {
        "continuous": True,
        "successfulHistoryLimit": 3,
        "measurementTemplate": {"spec": CYCLES.spec},
    }
    return write_object("Survey", CYCLES.name, spec)
