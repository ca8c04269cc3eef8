"""Objects of the other kinds, accepted and refused."""

from __future__ import annotations

from typing import Any

from cases.case import DIGEST, REMOVED, Case, Manifest, Step, spec

_CONNECTIONS = {
    "connections": {"source": "kernel", "ports": [443]},
    "trace": {},
    "failureProbability": 0.05,
}
_STANDING = spec(plan=REMOVED, standing=_CONNECTIONS)


def routes(**fields: Any) -> Manifest:
    """A change of a TargetList to the prefixes of a table of routes."""
    return spec(entries=REMOVED, routes=fields)


CASES: list[Case] = [
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
    Case("Agent", "TTLs in order", spec(minTtl=3, maxTtl=3)),
    Case(
        "Agent",
        "TTLs the wrong way round",
        spec(minTtl=4, maxTtl=3),
        "spec",
        "minTtl must not be above maxTtl",
    ),
    Case("Agent", "a TTL of 256", spec(maxTtl=256), "spec.maxTtl"),
    Case("Agent", "the longest wait", spec(waitSeconds=6)),
    Case("Agent", "too long a wait", spec(waitSeconds=7), "spec.waitSeconds"),
    Case("Agent", "no wait", spec(waitSeconds=0), "spec.waitSeconds"),
    Case("Agent", "an interface", spec(interface="eth0.7")),
    *(
        Case("Agent", f"interface {name!r}", spec(interface=name), "spec.interface")
        for name in ("a/b", "a b", "a\u00a0b", "..", ".", "", "\u00e9th0", "a\x00")
    ),
    Case(
        "Agent",
        "source addresses",
        spec(sourceAddressV4="198.18.0.1", sourceAddressV6="3fff::1"),
    ),
    Case(
        "Agent",
        "an IPv6 address for IPv4",
        spec(sourceAddressV4="3fff::1"),
        "spec.sourceAddressV4",
        "IPv4 address",
    ),
    Case(
        "Agent",
        "an IPv4-mapped address for IPv6",
        spec(sourceAddressV6="::ffff:198.18.0.1"),
        "spec.sourceAddressV6",
        "IPv6 address",
    ),
    Case(
        "Agent",
        "a prefix for an IPv6 address",
        spec(sourceAddressV6="3fff::/64"),
        "spec.sourceAddressV6",
        "IPv6 address",
    ),
    Case("Agent", "a socket", spec(eventSocket="/var/local/tcp-info/events.sock")),
    *(
        Case("Agent", f"socket {path!r}", spec(eventSocket=path), "spec.eventSocket")
        for path in (
            "a.sock",
            "/a.sock",
            "/var/../a.sock",
            "/var//a",
            "/var/",
            "/a b/c",
        )
    ),
    Case("Agent", "namespaces", spec(allowedNamespaces=["default", "research"])),
    Case("Agent", "an exclusion", spec(exclusions=["198.18.0.0/24", "3fff::1"])),
    Case(
        "Agent",
        "an exclusion twice",
        spec(exclusions=["198.18.0.0/24", "198.18.0.0/24"]),
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
        spec(object={"key": "lists/a.csv"}),
        "spec",
        "give exactly one of entries",
    ),
    Case(
        "TargetList",
        "a stored list",
        spec(entries=REMOVED, object={"key": "lists/a.csv"}),
    ),
    Case(
        "TargetList",
        "a ConfigMap's list",
        spec(entries=REMOVED, configMap={"name": "lists"}),
    ),
    Case(
        "TargetList",
        "an absolute key",
        spec(entries=REMOVED, object={"key": "/lists/a.csv"}),
        "spec.object.key",
    ),
    *(
        Case(
            "TargetList",
            f"an object of a survey as a list: {key}",
            spec(entries=REMOVED, object={"key": key}),
            "spec.object.key",
            "must not be below agents/, cycles/, shared/ or surveys/",
        )
        for key in (
            *("agents/paris/uid/1/001-00/plan.parquet", "surveys/uid/1/links.parquet"),
            *("cycles/uid/000001.json", f"shared/{DIGEST}", "lists/uid/7.json"),
        )
    ),
    Case(
        "TargetList",
        "keys that only look like those of surveys",
        spec(entries=REMOVED, object={"key": "lists/agents/a/b.json"}),
    ),
    Case(
        "TargetList",
        "routed prefixes of a stored table",
        routes(object={"key": "routes/rib.bz2"}),
    ),
    Case(
        "TargetList",
        "routed prefixes of a ConfigMap's table, with all choices",
        routes(
            configMap={"name": "routes"},
            family="ipv6",
            minPeers=5,
            minLenV4=9,
            maxLenV4=32,
            minLenV6=20,
            maxLenV6=64,
            samplesV6=16,
            allowReserved=True,
            protocol="icmp",
            minTtl=1,
            maxTtl=30,
            nInitialFlows=1,
        ),
    ),
    Case(
        "TargetList",
        "routed prefixes of no table",
        routes(minPeers=5),
        "spec.routes",
        "give exactly one of configMap",
    ),
    Case(
        "TargetList",
        "routed prefixes of two tables",
        routes(object={"key": "a"}, configMap={"name": "b"}),
        "spec.routes",
        "give exactly one of configMap",
    ),
    Case(
        "TargetList",
        "routed prefixes beside entries",
        spec(routes={"object": {"key": "a"}}),
        "spec",
        "give exactly one of entries",
    ),
    Case(
        "TargetList",
        "routed prefixes with TTLs the wrong way round",
        routes(object={"key": "a"}, minTtl=9, maxTtl=8),
        "spec.routes",
        "minTtl must not be above maxTtl",
    ),
    Case(
        "TargetList",
        "routed IPv4 prefixes with lengths the wrong way round",
        routes(object={"key": "a"}, minLenV4=25),
        "spec.routes",
        "minLenV4 must not be above maxLenV4",
    ),
    Case(
        "TargetList",
        "routed IPv6 prefixes with lengths the wrong way round",
        routes(object={"key": "a"}, maxLenV6=15),
        "spec.routes",
        "minLenV6 must not be above maxLenV6",
    ),
    Case(
        "TargetList",
        "routed prefixes that no peer sees",
        routes(object={"key": "a"}, minPeers=0),
        "spec.routes.minPeers",
    ),
    Case("TargetList", "no entries", spec(entries=[]), "spec.entries"),
    Case(
        "TargetList",
        "1,000 entries",
        spec(
            entries=[{"target": f"240.{i // 250}.{i % 250}.0/24"} for i in range(1000)]
        ),
    ),
    Case(
        "TargetList",
        "1,001 entries",
        spec(entries=[{"target": "240.0.0.0/8"}] * 1001),
        "spec.entries",
    ),
    *(
        Case("TargetList", f"target {target}", spec(entries=[{"target": target}]))
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
            spec(entries=[{"target": target}]),
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
            spec(entries=[{"target": target}]),
            "spec.entries[0].target",
            "host bits",
        )
        for target in ("240.0.0.1/24", "3fff::1/64")
    ),
    Case(
        "TargetList",
        "ICMP to IPv6",
        spec(entries=[{"target": "3fff::/64", "protocol": "icmp"}]),
        "spec.entries[0]",
        "protocol icmp goes with IPv4",
    ),
    Case(
        "TargetList",
        "ICMPv6 to IPv4",
        spec(entries=[{"target": "240.0.0.0/8", "protocol": "icmp6"}]),
        "spec.entries[0]",
        "protocol icmp goes with IPv4",
    ),
    Case(
        "TargetList",
        "each ICMP to its family",
        spec(
            entries=[
                {"target": "3fff::/64", "protocol": "icmp6"},
                {"target": "240.0.0.0/8", "protocol": "icmp"},
            ]
        ),
    ),
    Case(
        "TargetList",
        "TCP to both families",
        spec(
            entries=[
                {"target": "3fff::/64", "protocol": "tcpAck"},
                {"target": "240.0.0.0/8", "protocol": "tcpAck"},
            ]
        ),
    ),
    Case(
        "TargetList",
        "a protocol that there is not",
        spec(entries=[{"target": "240.0.0.0/8", "protocol": "tcp"}]),
        "spec.entries[0].protocol",
    ),
    Case(
        "TargetList",
        "TTLs the wrong way round",
        spec(entries=[{"target": "240.0.0.0/8", "minTtl": 33}]),
        "spec.entries[0]",
        "minTtl must not be above maxTtl",
    ),
    Case(
        "TargetList",
        "no flows",
        spec(entries=[{"target": "240.0.0.0/8", "nInitialFlows": 0}]),
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
        "ProbingPolicy",
        "a contact in no ASCII",
        spec(contact="café@example.org"),
        "spec.contact",
    ),
    Case(
        "ProbingPolicy",
        "a contact that reaches nobody",
        spec(contact="the team"),
        "spec.contact",
    ),
    Case(
        "ProbingPolicy",
        "an exclusion with host bits",
        spec(exclusions=["240.0.0.1/8"]),
        "spec.exclusions[0]",
        "host bits",
    ),
    Case("ProbingPolicy", "an empty allow list", spec(allow=[])),
    Case(
        "ProbingPolicy",
        "more targets than a plan may have",
        spec(limits={"maxTargets": (1 << 25) + 1}),
        "spec.limits.maxTargets",
    ),
    Case(
        "ProbingPolicy",
        "quotas of namespaces",
        spec(
            limits={
                "maxProbesPerDay": 1,
                "maxConcurrentRuns": 1,
                "namespaces": [{"name": "a", "maxProbesPerDay": 1 << 53}],
            }
        ),
    ),
    Case(
        "ProbingPolicy",
        "a day without probes",
        spec(limits={"maxProbesPerDay": 0}),
        "spec.limits.maxProbesPerDay",
    ),
    Case(
        "ProbingPolicy",
        "a namespace without runs",
        spec(limits={"namespaces": [{"name": "a", "maxConcurrentRuns": 0}]}),
        "spec.limits.namespaces[0].maxConcurrentRuns",
    ),
    Case(
        "ProbingPolicy",
        "a quota of no namespace",
        spec(limits={"namespaces": [{"maxConcurrentRuns": 1}]}),
        "spec.limits.namespaces[0].name",
    ),
    Case(
        "ProbingPolicy",
        "a name that no namespace has",
        spec(limits={"namespaces": [{"name": "team.a"}]}),
        "spec.limits.namespaces[0].name",
    ),
    Case(
        "ProbingPolicy",
        "two quotas of a namespace",
        spec(limits={"namespaces": [{"name": "a"}, {"name": "a"}]}),
        "spec.limits.namespaces",
    ),
    # Round
    Case(
        "Round",
        "more probes than JSON counts to",
        spec(plan={"probes": 1 << 63}),
        "spec.plan.probes",
    ),
    Case("Round", "the least round", {}),
    Case(
        "Round",
        "a round of traces",
        spec(plan={"probes": REMOVED, "destinations": 10}),
    ),
    Case(
        "Round",
        "a plan of both probes and traces",
        spec(plan={"destinations": 10}),
        "spec.plan",
        "give either probes or destinations",
    ),
    Case("Round", "a standing round", _STANDING),
    Case(
        "Round",
        "a round that asks for nothing",
        spec(plan=REMOVED),
        "spec",
        "give either plan or standing",
    ),
    Case(
        "Round",
        "a plan beside connections",
        spec(standing=_CONNECTIONS),
        "spec",
        "give either plan or standing",
    ),
    Case(
        "Round",
        "a second round of what stands",
        spec(plan=REMOVED, standing=_CONNECTIONS, round=2),
        "spec",
        "a standing Round is round 1",
    ),
    Case("Round", "a bad digest", spec(plan={"digest": "md5:0"}), "spec.plan.digest"),
    Case("Round", "round 0", spec(round=0), "spec.round"),
]

STEPS: list[Step] = [
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
        "what a round does with connections may not change",
        {"spec": {"standing": {"failureProbability": 0.01}}},
        before=_STANDING,
        message="a Round is made by the operator",
    ),
    Step(
        "Round",
        "a standing round may be suspended",
        {"spec": {"suspend": True}},
        before=_STANDING,
    ),
    Step(
        "Round",
        "a plan does not become connections",
        _STANDING,
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
