"""An agent probes what was handed out to it of a team's plan."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

from anabranch_engine import TraceParameters

from agents import SECONDS, Probed, read_heads
from anabranch.rounds.steps import FIRST
from anabranch.store.keys import RunKeys
from devcluster.process import wait_until
from parts import read_parts
from probing import write_plan

if TYPE_CHECKING:
    from anabranch_engine import Plan

    from agents import Site
    from anabranch.store.keys import StepKeys

DESTINATIONS = 80
TRACING = TraceParameters(algorithm="singlePath", failure_probability=0.05)


def put_plan(site: Site, blocks: int) -> tuple[Plan, StepKeys]:
    """The plan of a team, in the store."""
    keys = RunKeys(site.namespace.name, "1", "team").step(FIRST)
    lines = [f"240.0.{number}.0/24,udp,1,32,1" for number in range(DESTINATIONS)]
    plan = write_plan(
        site.folder / "team.parquet", lines, tracing=TRACING, blocks=blocks
    )
    assert site.store.put(keys.plan, plan.path.read_bytes())
    return plan, keys


def hand_out(site: Site, plan: Plan, keys: StepKeys, number: int, *blocks: int) -> str:
    """A Round of some of its blocks; its name."""
    content = plan.path.read_bytes()
    spec = {
        "measurement": {"name": "survey", "uid": site.namespace.name},
        "runId": "1",
        "agent": site.agent,
        "nodeName": "vp1",
        "round": 1,
        "plan": {
            "key": keys.plan,
            "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
            "blocks": plan.blocks,
            "destinations": plan.units,
        },
        "team": "team",
        "blocks": list(blocks),
        "handOut": number,
        "rate": 600,
        "waitSeconds": 1,
    }
    name = f"survey-{number}"
    site.create("Round", name, spec, labels={"anabranch.dev/agent": site.agent})
    return name


def test_an_agent_probes_its_blocks_alone(site: Site) -> None:
    """Several hand-outs at a time; the parts say whose they are, and of which."""
    plan, keys = put_plan(site, 4)
    names = [
        hand_out(site, plan, keys, 1, 0, 2),
        hand_out(site, plan, keys, 2, 3),
    ]
    with site.run_agent():
        statuses = [site.wait_complete(name) for name in names]
    folder = site.fetch_parts(Probed("team", plan, keys))
    heads = read_heads(folder)
    assert {(head.block, head.hand_out) for head in heads} == {(0, 1), (2, 1), (3, 2)}
    assert {head.sender for head in heads} == {site.agent}
    traced = Counter[int]()
    for head in heads:
        traced[head.hand_out] += head.traced
    assert [status["destinationsTraced"] for status in statuses] == [
        traced[1],
        traced[2],
    ]
    rows = [row for row in read_parts(folder) if row["trace_end"] is not None]
    assert len({row["prefix_index"] for row in rows}) == len(rows) == traced.total()


def test_what_another_agent_left_goes_on_at_its_slot(site: Site) -> None:
    """Each destination is in one part, and each agent counts its own."""
    plan, keys = put_plan(site, 1)
    first = hand_out(site, plan, keys, 1, 0)
    with site.run_agent("pod-1", part=0.3) as process:
        wait_until("a part", lambda: any(site.store.list(keys.replies)), SECONDS)
        process.kill()
        process.wait()
    site.delete("Round", first)
    second = hand_out(site, plan, keys, 2, 0)
    with site.run_agent("pod-2"):
        status = site.wait_complete(second)
    heads = read_heads(site.fetch_parts(Probed("team", plan, keys)))
    ends = [0, *(head.end for head in heads)]
    assert [head.start for head in heads] == ends[:-1]
    assert sum(head.traced for head in heads) == DESTINATIONS
    own = sum(head.traced for head in heads if head.hand_out == 2)
    assert status["destinationsTraced"] == own
    assert {head.hand_out for head in heads} == {1, 2}
