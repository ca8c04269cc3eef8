"""Measurements of connections, accepted and refused."""

from __future__ import annotations

from typing import Any

from cases.case import REMOVED, Case, Manifest, spec

_WATCH = {"source": "kernel", "ports": [443]}


def entry(**more: Any) -> Manifest:
    """An entry that traces clients."""
    return {"name": "servers", "selector": {}, "connections": _WATCH, **more}


def standing(*entries: Manifest, **more: Any) -> Manifest:
    """A spec with these entries, which traces."""
    return spec(ping=REMOVED, trace={}, agents=list(entries), **more)


def _watching(**more: Any) -> Manifest:
    return standing(entry(connections=_WATCH | more))


CASES: list[Case] = [
    Case("Measurement", "connections that the kernel tells of", standing(entry())),
    Case(
        "Measurement",
        "connections that tcp-info tells of",
        standing(entry(connections={"source": "eventSocket"})),
    ),
    Case(
        "Measurement",
        "a kernel's connections of all ports",
        standing(entry(connections={"source": "kernel"})),
        "spec.agents[0].connections",
        "source kernel takes ports",
    ),
    Case(
        "Measurement",
        "an unknown source of connections",
        _watching(source="pcap"),
        "spec.agents[0].connections.source",
    ),
    Case(
        "Measurement",
        "connections and a target list",
        standing(entry(targetList="routed")),
        "spec.agents[0]",
        "give either targetList or connections",
    ),
    Case(
        "Measurement",
        "connections that a team shares",
        standing(entry(division="shared")),
        "spec.agents[0]",
        "connections take neither division shared nor parameters",
    ),
    Case(
        "Measurement",
        "connections with what a ConfigMap says about addresses",
        standing(
            entry(),
            annotateFrom=[{"configMap": {"name": "ours", "key": "ours.pfx2as"}}],
        ),
        "spec",
        "annotateFrom of connections takes objects",
    ),
    Case(
        "Measurement",
        "connections beside a target list",
        standing(entry(), {"name": "paris", "targetList": "routed"}),
        "spec",
        "connections take the tool trace",
    ),
    Case(
        "Measurement",
        "connections of a tool that looks at no reply",
        spec(agents=[entry()]),
        "spec",
        "connections take the tool trace",
    ),
    Case(
        "Measurement",
        "a client that is traced each second",
        _watching(cacheSeconds=1),
        "spec.agents[0].connections.cacheSeconds",
    ),
    Case(
        "Measurement",
        "clients that are left out",
        _watching(exclude=["192.0.2.0/24", "2001:db8::/32"]),
    ),
    Case(
        "Survey",
        "a cycle that never ends",
        spec(
            measurementTemplate={
                "spec": {"ping": REMOVED, "trace": {}, "agents": [entry()]}
            }
        ),
        "spec.measurementTemplate",
        "a cycle ends, and a measurement of connections does not",
    ),
]
