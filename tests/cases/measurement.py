"""Measurements, accepted and refused."""

from __future__ import annotations

from cases.case import REMOVED, Case, Manifest, Step, spec


def agents(*agents: Manifest) -> Manifest:
    """A spec with these agents."""
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
    Case("Measurement", "the least measurement", {}),
    Case("Measurement", "no tool", spec(**_TOOL), "spec", "give exactly one tool"),
    Case("Measurement", "two tools", spec(yarrp={}), "spec", "give exactly one tool"),
    Case("Measurement", "another tool", spec(**_TOOL, diamondMiner={})),
    Case(
        "Measurement",
        "two objects to annotate from",
        spec(annotateFrom=[{"object": {"key": key}} for key in ("a/b.mmdb", "c.gz")]),
    ),
    Case(
        "Measurement",
        "an object with a slash before its key",
        spec(annotateFrom=[{"object": {"key": "/a.mmdb"}}]),
        "spec.annotateFrom[0].object.key",
    ),
    Case(
        "Measurement",
        "what is known about addresses, of another survey",
        spec(annotateFrom=[{"object": {"key": "surveys/uid/1/links.parquet"}}]),
        "spec.annotateFrom[0].object.key",
        "must not be below agents/, cycles/, shared/ or surveys/",
    ),
    Case(
        "Measurement",
        "nothing to annotate from",
        spec(annotateFrom=[{}]),
        "spec.annotateFrom[0]",
        "give exactly one of configMap, object",
    ),
    Case(
        "Measurement",
        "a ConfigMap to annotate from",
        spec(annotateFrom=[{"configMap": {"name": "ours", "key": "ours.pfx2as"}}]),
    ),
    Case(
        "Measurement",
        "a ConfigMap and an object in one",
        spec(
            annotateFrom=[
                {
                    "configMap": {"name": "ours", "key": "ours.pfx2as"},
                    "object": {"key": "a.mmdb"},
                }
            ]
        ),
        "spec.annotateFrom[0]",
        "give exactly one of configMap, object",
    ),
    Case("Measurement", "files of Ark", spec(**_TOOL, trace={}, outputs=["ark"])),
    Case(
        "Measurement",
        "files of formats that take no traces",
        spec(outputs=["caracalCsv", "yarrp", "itdk", "graphml", "dot", "report"]),
    ),
    Case("Measurement", "a format twice", spec(outputs=["dot", "dot"]), "spec.outputs"),
    Case(
        "Measurement",
        "files of Ark without traces",
        spec(outputs=["warts", "ark"]),
        "spec",
        "the output ark takes the tool trace",
    ),
    Case("Measurement", "no agents", spec(agents=[]), "spec.agents"),
    Case(
        "Measurement",
        "an agent twice",
        spec(**agents({"name": "a"}, {"name": "a"})),
        "spec.agents",
    ),
    Case("Measurement", "two agents", spec(**agents({"name": "a"}, {"name": "b"}))),
    Case(
        "Measurement",
        "an agent without a target list",
        spec(agents=[{"name": "paris"}]),
        "spec",
        "give each agent a targetList or connections",
    ),
    Case(
        "Measurement",
        "aliases of another measurement",
        spec(**_TOOL, aliases={"of": "paths"}, agents=[{"name": "paris"}]),
    ),
    Case(
        "Measurement",
        "aliases of a list",
        spec(**_TOOL, aliases={"of": "paths"}),
        "spec",
        "with the tool aliases neither",
    ),
    Case(
        "Measurement",
        "aliases of nothing",
        spec(**_TOOL, aliases={}, agents=[{"name": "paris"}]),
        "spec.aliases.of",
    ),
    Case(
        "Measurement",
        "too few rounds for aliases",
        spec(
            **_TOOL,
            aliases={"of": "paths"},
            agents=[{"name": "paris"}],
            maxRounds=2,
        ),
        "spec",
        "aliases takes maxRounds from 3 on",
    ),
    Case(
        "Measurement",
        "a name that a label can't have",
        spec(**agents({"name": "Paris"})),
        "spec.agents[0].name",
    ),
    Case(
        "Measurement",
        "no rate at all",
        spec(**agents({"name": "a", "probingRate": 0})),
        "spec.agents[0].probingRate",
    ),
    Case(
        "Measurement",
        "a selector with values",
        spec(
            **agents(
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
        "a team",
        spec(**agents({"name": "a", "selector": {}, "division": "shared"})),
    ),
    Case(
        "Measurement",
        "a team of one",
        spec(**agents({"name": "a", "division": "shared"})),
        "spec.agents[0]",
        "division shared takes a selector",
    ),
    Case(
        "Measurement",
        "an unknown division",
        spec(**agents({"name": "a", "selector": {}, "division": "halved"})),
        "spec.agents[0].division",
    ),
    Case(
        "Measurement",
        "In without values",
        spec(
            **agents(
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
        spec(
            **agents(
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
        spec(ping={"flowMapperKwargs": {"seed": 1}}),
    ),
    Case(
        "Measurement",
        "a step for the random mapper",
        spec(ping={"flowMapperKwargs": {"step": 1}}),
        "spec.ping",
        _KWARGS,
    ),
    Case(
        "Measurement",
        "a step for the interval mapper",
        spec(
            ping={"flowMapper": "IntervalFlowMapper", "flowMapperKwargs": {"step": 1}}
        ),
    ),
    Case(
        "Measurement",
        "overriding kwargs without their mapper",
        spec(**agents({"name": "a", "parameters": {"flowMapperKwargs": {"seed": 1}}})),
        "spec.agents[0].parameters",
        _KWARGS,
    ),
    Case(
        "Measurement",
        "overriding kwargs with their mapper",
        spec(
            **agents(
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
        spec(**_TOOL, diamondMiner={"flowMapper": "ReverseByteFlowMapper"}),
    ),
    Case(
        "Measurement",
        "reversing the byte of a /20",
        spec(
            **_TOOL,
            diamondMiner={"flowMapper": "ReverseByteFlowMapper", "prefixLenV4": 20},
        ),
        "spec",
        "flowMapper ReverseByteFlowMapper needs a tool with prefixLenV4 24",
    ),
    Case(
        "Measurement",
        "an agent that reverses the byte of a /32",
        spec(
            **_TOOL,
            yarrp={"prefixLenV4": 32},
            **agents(
                {"name": "a", "parameters": {"flowMapper": "ReverseByteFlowMapper"}}
            ),
        ),
        "spec",
        "flowMapper ReverseByteFlowMapper needs a tool with prefixLenV4 24",
    ),
    Case(
        "Measurement",
        "reversing the byte of an address",
        spec(ping={"flowMapper": "ReverseByteFlowMapper"}),
        "spec",
        "flowMapper ReverseByteFlowMapper needs a tool with prefixLenV4 24",
    ),
    Case(
        "Measurement",
        "yarrp over addresses",
        spec(**_TOOL, yarrp={"prefixLenV4": 32, "prefixLenV6": 128}),
    ),
    Case(
        "Measurement",
        "yarrp over /28s",
        spec(**_TOOL, yarrp={"prefixLenV4": 28}),
        "spec.yarrp.prefixLenV4",
    ),
    Case("Measurement", "ping ten times", spec(ping={"repetitions": 10})),
    Case(
        "Measurement",
        "ping not once",
        spec(ping={"repetitions": 0}),
        "spec.ping.repetitions",
    ),
    Case("Measurement", "yarrp that fills", spec(**_TOOL, yarrp={"fillTtl": 32})),
    Case(
        "Measurement",
        "yarrp that fills to no TTL",
        spec(**_TOOL, yarrp={"fillTtl": 0}),
        "spec.yarrp.fillTtl",
    ),
    Case(
        "Measurement",
        "Diamond-Miner over /33s",
        spec(**_TOOL, diamondMiner={"prefixLenV4": 33}),
        "spec.diamondMiner.prefixLenV4",
    ),
    Case(
        "Measurement",
        "traces of one address in each /24",
        spec(
            **_TOOL,
            trace={
                "algorithm": "mda",
                "prefixLenV4": 24,
                "prefixLenV6": 64,
                "maxBranching": 128,
                "phi": 4,
                "perPacketTest": False,
                "gapLimit": 8,
                "attempts": 2,
                "maxProbes": 1000,
                "initialSourcePort": 33000,
            },
        ),
    ),
    Case(
        "Measurement",
        "an algorithm that nobody knows",
        spec(**_TOOL, trace={"algorithm": "exhaustive"}),
        "spec.trace.algorithm",
    ),
    Case(
        "Measurement",
        "a meshing test of one flow",
        spec(**_TOOL, trace={"phi": 1}),
        "spec.trace.phi",
    ),
    Case(
        "Measurement",
        "traces that never attempt",
        spec(**_TOOL, trace={"attempts": 0}),
        "spec.trace.attempts",
    ),
    Case(
        "Measurement",
        "traces of random addresses as Ark's",
        spec(
            **_TOOL,
            trace={
                "preset": "ark",
                "waitSeconds": 3,
                "randomDestination": {},
                "prefixLenV4": 24,
            },
        ),
    ),
    Case(
        "Measurement",
        "traces of the random addresses of a seed",
        spec(**_TOOL, trace={"randomDestination": {"seed": 7}}),
    ),
    Case(
        "Measurement",
        "traces by a negative seed",
        spec(**_TOOL, trace={"randomDestination": {"seed": -1}}),
        "spec.trace.randomDestination.seed",
    ),
    Case(
        "Measurement",
        "traces of an unknown preset",
        spec(**_TOOL, trace={"preset": "atlas"}),
        "spec.trace.preset",
    ),
    Case(
        "Measurement",
        "traces that wait for too long",
        spec(**_TOOL, trace={"waitSeconds": 6}),
        "spec.trace.waitSeconds",
    ),
    Case(
        "Measurement",
        "a failure probability that no stopping point has",
        spec(**_TOOL, trace={"maxBranching": 1000}, failureProbability=1e-7),
        "spec",
        "trace takes a failureProbability from 0.000000001 on, or that times",
    ),
    Case(
        "Measurement",
        "the least failure probability of a trace",
        spec(**_TOOL, trace={}, failureProbability=1e-9),
    ),
    Case(
        "Measurement",
        "a port of 0",
        spec(ping={"destinationPort": 0}),
        "spec.ping.destinationPort",
    ),
    Case("Measurement", "no rounds", spec(maxRounds=0), "spec.maxRounds"),
    Case("Measurement", "rounds as text", spec(maxRounds="5"), "spec.maxRounds"),
    Case("Measurement", "256 rounds", spec(maxRounds=256), "spec.maxRounds"),
    Case("Measurement", "one link in two missed", spec(failureProbability=0.5)),
    Case(
        "Measurement",
        "certain success",
        spec(failureProbability=0),
        "spec.failureProbability",
    ),
    Case(
        "Measurement",
        "certain failure",
        spec(failureProbability=1),
        "spec.failureProbability",
    ),
    Case("Measurement", "a start", spec(startAt="2026-12-01T00:00:00Z")),
    Case("Measurement", "a start some day", spec(startAt="soon"), "spec.startAt"),
    Case(
        "Measurement",
        "a start in no zone",
        spec(startAt="2026-12-01T00:00:00"),
        "spec.startAt",
    ),
    *(
        Case("Measurement", f"a start {time}", spec(startAt=time), "spec.startAt")
        for time in (
            "1764547200",
            "2026-12-01 00:00:00Z",
            "2026-12-01T00:00Z",
            "2026-12-01T00:00:00+0100",
            "2026-12-01T00:00:00+24:00",
        )
    ),
    Case(
        "Measurement", "a start elsewhere", spec(startAt="2026-12-01T00:00:00.5+23:59")
    ),
    Case(
        "Measurement",
        "an agent named as its node is",
        spec(**agents({"name": "ip-10-0-0-1.ec2.internal"})),
    ),
    Case("Measurement", "a run's name", spec(runId="2026-11.a")),
    Case("Measurement", "a run without a name", spec(runId=""), "spec.runId"),
    Case("Measurement", "shouting runs", spec(runId="RUN"), "spec.runId"),
    Case(
        "Measurement",
        "a deadline of nothing",
        spec(activeDeadlineSeconds=0),
        "spec.activeDeadlineSeconds",
    ),
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
            "spec": agents(
                {"name": "a", "probingRate": 5}, {"name": "b", "probingRate": 9}
            )
        },
        before={"spec": agents({"name": "a", "probingRate": 9}, {"name": "b"})},
        status=_STARTED,
    ),
    Step(
        "Measurement",
        "a started run's rates may not be raised",
        {"spec": agents({"name": "a", "probingRate": 10})},
        before={"spec": agents({"name": "a", "probingRate": 9})},
        status=_STARTED,
        message=_FIXED,
    ),
    Step(
        "Measurement",
        "a started run's rates may not be taken away",
        {"spec": agents({"name": "a"})},
        before={"spec": agents({"name": "a", "probingRate": 9})},
        status=_STARTED,
        message=_FIXED,
    ),
    *(
        Step(
            "Measurement",
            f"a started run's agents may not change: {what}",
            {"spec": agents(*after)},
            before={"spec": agents({"name": "a"}, {"name": "b"})},
            status=_STARTED,
            message=_FIXED,
        )
        for what, after in _OTHER_AGENTS.items()
    ),
]
