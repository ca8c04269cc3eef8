"""What each kind accepts and refuses: one table for the models and the API server."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

Manifest = dict[str, Any]

API_VERSION = "anabranch.dev/v1alpha1"
DIGEST = "sha256:" + "0" * 64
UID = "7c8a1d4e-0f6b-4a57-9b1e-3f5c2d1a0b9c"

MINIMAL: dict[str, Manifest] = {
    "Measurement": {
        "ping": {},
        "agents": [{"name": "paris", "targetList": "routed"}],
    },
    "Agent": {"nodeName": "node-7"},
    "TargetList": {"entries": [{"target": "240.0.0.0/8"}]},
    "ProbingPolicy": {"contact": "https://example.org"},
    "Round": {
        "measurement": {"name": "weekly", "uid": UID},
        "runId": "1",
        "agent": "paris",
        "nodeName": "node-7",
        "round": 1,
        "plan": {"key": "shared/a", "digest": DIGEST, "blocks": 1, "probes": 9},
        "rate": 100,
    },
}
"""The least spec of each kind."""

REMOVED = object()
"""Stands for a field that a change takes away."""


@dataclass(frozen=True)
class Case:
    """A minimal object with a change, and what is to come of it."""

    kind: str
    says: str
    """What the case shows."""
    change: Manifest
    """Merged into the minimal object; lists are replaced."""
    refused: str = ""
    """The path of the refused field; empty when the object is accepted."""
    message: str = ""
    """What the refusal says on both sides, where it is our own rule's."""

    @property
    def manifest(self) -> Manifest:
        """The changed object."""
        return merge(minimal(self.kind), self.change)


@dataclass(frozen=True)
class Step:
    """A change of an object that is there, and what is to come of it."""

    kind: str
    says: str
    after: Manifest
    """Merged into the object."""
    before: Manifest = field(default_factory=dict)
    """Merged into the minimal object first."""
    status: Manifest = field(default_factory=dict)
    """What the operator has written before the change."""
    message: str = ""
    """What the refusal says; empty when the change is accepted."""
    of_status: bool = False
    """Whether it is the status that changes."""


def minimal(kind: str) -> Manifest:
    """The least object of a kind."""
    name = "default" if kind == "ProbingPolicy" else "sample"
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name},
        "spec": copy.deepcopy(MINIMAL[kind]),
    }


def merge(base: Manifest, change: Manifest) -> Manifest:
    """The base with a change: mappings merge, all else is replaced."""
    merged = copy.deepcopy(base)
    for name, value in change.items():
        if value is REMOVED:
            merged.pop(name, None)
        elif isinstance(value, dict) and isinstance(merged.get(name), dict):
            merged[name] = merge(merged[name], value)
        else:
            merged[name] = copy.deepcopy(value)
    return merged


def _spec(**change: Any) -> Manifest:
    return {"spec": change}


def _agents(*agents: Manifest) -> Manifest:
    return {"agents": [{"targetList": "routed"} | agent for agent in agents]}


_TOOL = {"ping": REMOVED}
_KWARGS = "seed goes with flowMapper RandomFlowMapper"
_STARTED = {"runId": "1", "startTime": "2026-11-01T00:00:00Z"}
_FIXED = "the run has started"
_OTHER_AGENTS: dict[str, list[Manifest]] = {
    "one more": [{"name": "a"}, {"name": "b"}, {"name": "c"}],
    "one less": [{"name": "a"}],
    "another one": [{"name": "a"}, {"name": "c"}],
    "another list": [{"name": "a"}, {"name": "b", "targetList": "other"}],
    "a selector": [{"name": "a"}, {"name": "b", "selector": {}}],
    "parameters": [
        {"name": "a"},
        {"name": "b", "parameters": {"initialSourcePort": 1}},
    ],
}

CASES: list[Case] = [
    # Measurement
    Case("Measurement", "the least measurement", {}),
    Case("Measurement", "no tool", _spec(**_TOOL), "spec", "give exactly one tool"),
    Case("Measurement", "two tools", _spec(yarrp={}), "spec", "give exactly one tool"),
    Case("Measurement", "another tool", _spec(**_TOOL, diamondMiner={})),
    Case("Measurement", "no agents", _spec(agents=[]), "spec.agents"),
    Case(
        "Measurement",
        "an agent twice",
        _spec(**_agents({"name": "a"}, {"name": "a"})),
        "spec.agents",
    ),
    Case("Measurement", "two agents", _spec(**_agents({"name": "a"}, {"name": "b"}))),
    Case(
        "Measurement",
        "an agent without a target list",
        _spec(agents=[{"name": "paris"}]),
        "spec.agents[0].targetList",
    ),
    Case(
        "Measurement",
        "a name that a label can't have",
        _spec(**_agents({"name": "Paris"})),
        "spec.agents[0].name",
    ),
    Case(
        "Measurement",
        "no rate at all",
        _spec(**_agents({"name": "a", "probingRate": 0})),
        "spec.agents[0].probingRate",
    ),
    Case(
        "Measurement",
        "a selector with values",
        _spec(
            **_agents(
                {
                    "name": "a",
                    "selector": {
                        "matchLabels": {"continent": "asia"},
                        "matchExpressions": [
                            {"key": "site", "operator": "NotIn", "values": ["lab"]},
                            {"key": "team", "operator": "Exists"},
                        ],
                    },
                }
            )
        ),
    ),
    Case(
        "Measurement",
        "In without values",
        _spec(
            **_agents(
                {
                    "name": "a",
                    "selector": {"matchExpressions": [{"key": "k", "operator": "In"}]},
                }
            )
        ),
        "spec.agents[0].selector.matchExpressions[0]",
        "operators In and NotIn take values",
    ),
    Case(
        "Measurement",
        "an unknown operator",
        _spec(
            **_agents(
                {
                    "name": "a",
                    "selector": {"matchExpressions": [{"key": "k", "operator": "Gt"}]},
                }
            )
        ),
        "spec.agents[0].selector.matchExpressions[0].operator",
    ),
    Case("Measurement", "a name of 48", {"metadata": {"name": "m" * 48}}),
    Case(
        "Measurement",
        "a name of 49",
        {"metadata": {"name": "m" * 49}},
        "",
        "a Measurement's name must have at most 48 characters",
    ),
    Case(
        "Measurement",
        "a seed for the random mapper",
        _spec(ping={"flowMapperKwargs": {"seed": 1}}),
    ),
    Case(
        "Measurement",
        "a step for the random mapper",
        _spec(ping={"flowMapperKwargs": {"step": 1}}),
        "spec.ping",
        _KWARGS,
    ),
    Case(
        "Measurement",
        "a step for the interval mapper",
        _spec(
            ping={"flowMapper": "IntervalFlowMapper", "flowMapperKwargs": {"step": 1}}
        ),
    ),
    Case(
        "Measurement",
        "overriding kwargs without their mapper",
        _spec(
            **_agents({"name": "a", "parameters": {"flowMapperKwargs": {"seed": 1}}})
        ),
        "spec.agents[0].parameters",
        _KWARGS,
    ),
    Case(
        "Measurement",
        "overriding kwargs with their mapper",
        _spec(
            **_agents(
                {
                    "name": "a",
                    "parameters": {
                        "flowMapper": "RandomFlowMapper",
                        "flowMapperKwargs": {"seed": 1},
                    },
                }
            )
        ),
    ),
    Case(
        "Measurement",
        "reversing the byte of a /24",
        _spec(**_TOOL, diamondMiner={"flowMapper": "ReverseByteFlowMapper"}),
    ),
    Case(
        "Measurement",
        "reversing the byte of a /20",
        _spec(
            **_TOOL,
            diamondMiner={"flowMapper": "ReverseByteFlowMapper", "prefixLenV4": 20},
        ),
        "spec",
        "flowMapper ReverseByteFlowMapper needs a tool with prefixLenV4 24",
    ),
    Case(
        "Measurement",
        "an agent that reverses the byte of a /32",
        _spec(
            **_TOOL,
            yarrp={"prefixLenV4": 32},
            **_agents(
                {"name": "a", "parameters": {"flowMapper": "ReverseByteFlowMapper"}}
            ),
        ),
        "spec",
        "flowMapper ReverseByteFlowMapper needs a tool with prefixLenV4 24",
    ),
    Case(
        "Measurement",
        "reversing the byte of an address",
        _spec(ping={"flowMapper": "ReverseByteFlowMapper"}),
        "spec",
        "flowMapper ReverseByteFlowMapper needs a tool with prefixLenV4 24",
    ),
    Case(
        "Measurement",
        "yarrp over addresses",
        _spec(**_TOOL, yarrp={"prefixLenV4": 32, "prefixLenV6": 128}),
    ),
    Case(
        "Measurement",
        "yarrp over /28s",
        _spec(**_TOOL, yarrp={"prefixLenV4": 28}),
        "spec.yarrp.prefixLenV4",
    ),
    Case(
        "Measurement",
        "Diamond-Miner over /33s",
        _spec(**_TOOL, diamondMiner={"prefixLenV4": 33}),
        "spec.diamondMiner.prefixLenV4",
    ),
    Case(
        "Measurement",
        "a port of 0",
        _spec(ping={"destinationPort": 0}),
        "spec.ping.destinationPort",
    ),
    Case("Measurement", "no rounds", _spec(maxRounds=0), "spec.maxRounds"),
    Case("Measurement", "rounds as text", _spec(maxRounds="5"), "spec.maxRounds"),
    Case("Measurement", "256 rounds", _spec(maxRounds=256), "spec.maxRounds"),
    Case("Measurement", "one link in two missed", _spec(failureProbability=0.5)),
    Case(
        "Measurement",
        "certain success",
        _spec(failureProbability=0),
        "spec.failureProbability",
    ),
    Case(
        "Measurement",
        "certain failure",
        _spec(failureProbability=1),
        "spec.failureProbability",
    ),
    Case("Measurement", "a start", _spec(startAt="2026-12-01T00:00:00Z")),
    Case("Measurement", "a start some day", _spec(startAt="soon"), "spec.startAt"),
    Case(
        "Measurement",
        "a start in no zone",
        _spec(startAt="2026-12-01T00:00:00"),
        "spec.startAt",
    ),
    *(
        Case("Measurement", f"a start {time}", _spec(startAt=time), "spec.startAt")
        for time in (
            "1764547200",
            "2026-12-01 00:00:00Z",
            "2026-12-01T00:00Z",
            "2026-12-01T00:00:00+0100",
            "2026-12-01T00:00:00+24:00",
        )
    ),
    Case(
        "Measurement", "a start elsewhere", _spec(startAt="2026-12-01T00:00:00.5+23:59")
    ),
    Case(
        "Measurement",
        "an agent named as its node is",
        _spec(**_agents({"name": "ip-10-0-0-1.ec2.internal"})),
    ),
    Case("Measurement", "a run's name", _spec(runId="2026-11.a")),
    Case("Measurement", "a run without a name", _spec(runId=""), "spec.runId"),
    Case("Measurement", "shouting runs", _spec(runId="RUN"), "spec.runId"),
    Case(
        "Measurement",
        "a deadline of nothing",
        _spec(activeDeadlineSeconds=0),
        "spec.activeDeadlineSeconds",
    ),
    # Agent
    Case("Agent", "the least agent", {}),
    Case("Agent", "no node", {"spec": {"nodeName": REMOVED}}, "spec.nodeName"),
    Case("Agent", "a name of 63", {"metadata": {"name": "a" * 63}}),
    Case(
        "Agent",
        "a name of 64",
        {"metadata": {"name": "a" * 64}},
        "",
        "an Agent's name must have at most 63 characters",
    ),
    Case("Agent", "TTLs in order", _spec(minTtl=3, maxTtl=3)),
    Case(
        "Agent",
        "TTLs the wrong way round",
        _spec(minTtl=4, maxTtl=3),
        "spec",
        "minTtl must not be above maxTtl",
    ),
    Case("Agent", "a TTL of 256", _spec(maxTtl=256), "spec.maxTtl"),
    Case("Agent", "an interface", _spec(interface="eth0.7")),
    *(
        Case("Agent", f"interface {name!r}", _spec(interface=name), "spec.interface")
        for name in ("a/b", "a b", "a\u00a0b", "..", ".", "", "\u00e9th0", "a\x00")
    ),
    Case(
        "Agent",
        "source addresses",
        _spec(sourceAddressV4="198.18.0.1", sourceAddressV6="3fff::1"),
    ),
    Case(
        "Agent",
        "an IPv6 address for IPv4",
        _spec(sourceAddressV4="3fff::1"),
        "spec.sourceAddressV4",
        "IPv4 address",
    ),
    Case(
        "Agent",
        "an IPv4-mapped address for IPv6",
        _spec(sourceAddressV6="::ffff:198.18.0.1"),
        "spec.sourceAddressV6",
        "IPv6 address",
    ),
    Case(
        "Agent",
        "a prefix for an IPv6 address",
        _spec(sourceAddressV6="3fff::/64"),
        "spec.sourceAddressV6",
        "IPv6 address",
    ),
    Case("Agent", "namespaces", _spec(allowedNamespaces=["default", "research"])),
    Case(
        "Agent",
        "a namespace twice",
        _spec(allowedNamespaces=["default", "default"]),
        "spec.allowedNamespaces",
    ),
    Case("Agent", "an exclusion", _spec(exclusions=["198.18.0.0/24", "3fff::1"])),
    Case(
        "Agent",
        "an exclusion twice",
        _spec(exclusions=["198.18.0.0/24", "198.18.0.0/24"]),
        "spec.exclusions",
    ),
    # TargetList
    Case("TargetList", "the least list", {}),
    Case(
        "TargetList",
        "no source",
        {"spec": {"entries": REMOVED}},
        "spec",
        "give exactly one of entries",
    ),
    Case(
        "TargetList",
        "two sources",
        _spec(object={"key": "lists/a.csv"}),
        "spec",
        "give exactly one of entries",
    ),
    Case(
        "TargetList",
        "a stored list",
        _spec(entries=REMOVED, object={"key": "lists/a.csv"}),
    ),
    Case(
        "TargetList",
        "a ConfigMap's list",
        _spec(entries=REMOVED, configMap={"name": "lists"}),
    ),
    Case(
        "TargetList",
        "an absolute key",
        _spec(entries=REMOVED, object={"key": "/lists/a.csv"}),
        "spec.object.key",
    ),
    Case("TargetList", "no entries", _spec(entries=[]), "spec.entries"),
    Case(
        "TargetList",
        "1,000 entries",
        _spec(
            entries=[{"target": f"240.{i // 250}.{i % 250}.0/24"} for i in range(1000)]
        ),
    ),
    Case(
        "TargetList",
        "1,001 entries",
        _spec(entries=[{"target": "240.0.0.0/8"}] * 1001),
        "spec.entries",
    ),
    *(
        Case("TargetList", f"target {target}", _spec(entries=[{"target": target}]))
        for target in (
            "0.0.0.0/0",
            "240.1.2.3",
            "::/0",
            "3fff::1",
            "3fff::/128",
            "64:ff9b::1.2.3.4",
        )
    ),
    *(
        Case(
            "TargetList",
            f"target {target!r}",
            _spec(entries=[{"target": target}]),
            "spec.entries[0].target",
            "IP address or",
        )
        for target in (
            "",
            "example.org",
            "240.0.0",
            "240.0.0.0/33",
            "240.0.0.0/08",
            "240.0.0.0/255.0.0.0",
            "240.0.0.0/-1",
            "240.0.0.0/",
            "240.0.0.0/\uff18",
            "240.00.0.1",
            "fe80::1%eth0",
            "::ffff:240.0.0.1",
        )
    ),
    *(
        Case(
            "TargetList",
            f"target {target} with host bits",
            _spec(entries=[{"target": target}]),
            "spec.entries[0].target",
            "host bits",
        )
        for target in ("240.0.0.1/24", "3fff::1/64")
    ),
    Case(
        "TargetList",
        "ICMP to IPv6",
        _spec(entries=[{"target": "3fff::/64", "protocol": "icmp"}]),
        "spec.entries[0]",
        "protocol icmp goes with IPv4",
    ),
    Case(
        "TargetList",
        "ICMPv6 to IPv4",
        _spec(entries=[{"target": "240.0.0.0/8", "protocol": "icmp6"}]),
        "spec.entries[0]",
        "protocol icmp goes with IPv4",
    ),
    Case(
        "TargetList",
        "each ICMP to its family",
        _spec(
            entries=[
                {"target": "3fff::/64", "protocol": "icmp6"},
                {"target": "240.0.0.0/8", "protocol": "icmp"},
            ]
        ),
    ),
    Case(
        "TargetList",
        "TTLs the wrong way round",
        _spec(entries=[{"target": "240.0.0.0/8", "minTtl": 33}]),
        "spec.entries[0]",
        "minTtl must not be above maxTtl",
    ),
    Case(
        "TargetList",
        "no flows",
        _spec(entries=[{"target": "240.0.0.0/8", "nInitialFlows": 0}]),
        "spec.entries[0].nInitialFlows",
    ),
    # ProbingPolicy
    Case("ProbingPolicy", "the least policy", {}),
    Case(
        "ProbingPolicy",
        "another name",
        {"metadata": {"name": "mine"}},
        "",
        "the policy's name must be 'default'",
    ),
    Case("ProbingPolicy", "no contact", {"spec": {"contact": REMOVED}}, "spec.contact"),
    Case(
        "ProbingPolicy", "a contact in no ASCII", _spec(contact="café"), "spec.contact"
    ),
    Case(
        "ProbingPolicy",
        "an exclusion with host bits",
        _spec(exclusions=["240.0.0.1/8"]),
        "spec.exclusions[0]",
        "host bits",
    ),
    Case("ProbingPolicy", "an empty allow list", _spec(allow=[])),
    Case(
        "ProbingPolicy",
        "more targets than a plan may have",
        _spec(limits={"maxTargets": (1 << 25) + 1}),
        "spec.limits.maxTargets",
    ),
    # Round
    Case(
        "Round",
        "more probes than JSON counts to",
        _spec(plan={"probes": 1 << 63}),
        "spec.plan.probes",
    ),
    Case("Round", "the least round", {}),
    Case("Round", "a bad digest", _spec(plan={"digest": "md5:0"}), "spec.plan.digest"),
    Case("Round", "round 0", _spec(round=0), "spec.round"),
]

STEPS: list[Step] = [
    Step("Measurement", "all may change before the start", {"spec": {"maxRounds": 3}}),
    Step(
        "Measurement",
        "a started run may be suspended",
        {"spec": {"suspend": True}},
        status=_STARTED,
    ),
    Step(
        "Measurement",
        "a started run's deadlines and ttl may change",
        {
            "spec": {
                "activeDeadlineSeconds": 9,
                "startDeadlineSeconds": 9,
                "ttlSecondsAfterFinished": 9,
            }
        },
        status=_STARTED,
    ),
    Step(
        "Measurement",
        "a started run's rounds may not change",
        {"spec": {"maxRounds": 3}},
        status=_STARTED,
        message=_FIXED,
    ),
    Step(
        "Measurement",
        "a started run's tool may not change",
        {"spec": {"ping": REMOVED, "yarrp": {}}},
        status=_STARTED,
        message=_FIXED,
    ),
    Step(
        "Measurement",
        "a started run's tool may not change its parameters",
        {"spec": {"ping": {"destinationPort": 53}}},
        status=_STARTED,
        message=_FIXED,
    ),
    Step(
        "Measurement",
        "a started run may not gain a start time",
        {"spec": {"startAt": "2026-12-01T00:00:00Z"}},
        status=_STARTED,
        message=_FIXED,
    ),
    Step(
        "Measurement",
        "all may change together with the runId",
        {"spec": {"maxRounds": 3, "runId": "2"}},
        status=_STARTED,
    ),
    Step(
        "Measurement",
        "all may change again until the new run has started",
        {"spec": {"maxRounds": 4}},
        before={"spec": {"runId": "2"}},
        status=_STARTED,
    ),
    Step(
        "Measurement",
        "a run that has been may not come back",
        {"spec": {"runId": "1", "maxRounds": 3}},
        before={"spec": {"runId": "2"}},
        status=_STARTED,
        message="runId names a run that has been",
    ),
    Step(
        "Measurement",
        "a started run's rates may be lowered",
        {
            "spec": _agents(
                {"name": "a", "probingRate": 5}, {"name": "b", "probingRate": 9}
            )
        },
        before={"spec": _agents({"name": "a", "probingRate": 9}, {"name": "b"})},
        status=_STARTED,
    ),
    Step(
        "Measurement",
        "a started run's rates may not be raised",
        {"spec": _agents({"name": "a", "probingRate": 10})},
        before={"spec": _agents({"name": "a", "probingRate": 9})},
        status=_STARTED,
        message=_FIXED,
    ),
    Step(
        "Measurement",
        "a started run's rates may not be taken away",
        {"spec": _agents({"name": "a"})},
        before={"spec": _agents({"name": "a", "probingRate": 9})},
        status=_STARTED,
        message=_FIXED,
    ),
    *(
        Step(
            "Measurement",
            f"a started run's agents may not change: {what}",
            {"spec": _agents(*after)},
            before={"spec": _agents({"name": "a"}, {"name": "b"})},
            status=_STARTED,
            message=_FIXED,
        )
        for what, after in _OTHER_AGENTS.items()
    ),
    Step("Agent", "an agent's rate may change", {"spec": {"maxProbingRate": 5}}),
    Step(
        "Agent",
        "an agent may not move to another node",
        {"spec": {"nodeName": "node-8"}},
        message="nodeName can't change",
    ),
    Step(
        "TargetList",
        "a list may change",
        {"spec": {"entries": [{"target": "241.0.0.0/8"}]}},
    ),
    Step("ProbingPolicy", "a policy may change", {"spec": {"stop": True}}),
    Step("Round", "a round's rate may change", {"spec": {"rate": 9}}),
    Step("Round", "a round may be suspended", {"spec": {"suspend": True}}),
    Step(
        "Round",
        "a round's plan may not change",
        {"spec": {"plan": {"key": "shared/b"}}},
        message="a Round is made by the operator",
    ),
    Step(
        "Round",
        "a round's agent may not change",
        {"spec": {"agent": "tokyo"}},
        message="a Round is made by the operator",
    ),
    Step(
        "Round",
        "a round's times may be set",
        {"status": {"startTime": "2026-11-01T00:00:00Z", "parts": 1}},
        of_status=True,
    ),
    Step(
        "Round",
        "a round's times may not change",
        {"status": {"startTime": "2026-11-01T00:00:01Z"}},
        status={"startTime": "2026-11-01T00:00:00Z"},
        message="startTime and completionTime are set once",
        of_status=True,
    ),
    Step(
        "Round",
        "a round's counters may change",
        {"status": {"probesSent": 5}},
        status={"startTime": "2026-11-01T00:00:00Z", "probesSent": 4},
        of_status=True,
    ),
]
