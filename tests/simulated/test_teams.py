"""Teams: agents that share the targets of a list."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from anabranch_engine import Part, Plan

from surveying import KILLER, command, survey, write_manifests
from world import World

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TEAM = {"name": "team", "selector": {}, "targetList": "list", "division": "shared"}
TRACES = {"trace": {"algorithm": "singlePath", "prefixLenV4": 24}}
TARGETS = 40
RATES = (300, 600, 1200)
"""Of the agents, in probes a second."""
SLOW = (100, 200, 400)
"""The same where kills are to find them at work."""


def write(
    folder: Path,
    tool: Mapping[str, Any],
    targets: int = TARGETS,
    rates: tuple[int, ...] = RATES,
) -> Path:
    """A survey by a team of agents with unequal rates."""
    lines = [f"240.0.{number}.0/24,udp,1,32,6" for number in range(targets)]
    file = write_manifests(
        folder, lines, len(rates), tool=dict(tool), agents=[TEAM], maxRounds=3
    )
    documents = list(yaml.safe_load_all(file.read_text()))
    for document in documents:
        if document["kind"] == "Agent":
            number = int(document["metadata"]["name"].removeprefix("agent"))
            document["spec"]["maxProbingRate"] = rates[number - 1]
    file.write_text(yaml.safe_dump_all(documents))
    return file


def read_parts(data: Path) -> dict[str, list[Part]]:
    """What the parts say of themselves, by step."""
    found = defaultdict(list)
    root = data / "agents/team/default.survey/1"
    for file in sorted(root.glob("*/replies/*/*.parquet")):
        found[file.parents[2].name].append(Part.read(file.read_bytes()[-(1 << 16) :]))
    return found


def check_parts(parts: list[Part]) -> None:
    """Each block has one part after the other, without a gap."""
    ends: dict[int, int] = {}
    for part in parts:
        assert part.start == ends.get(part.block, 0)
        ends[part.block] = part.end


def find_senders(parts: list[Part]) -> dict[int, set[str]]:
    """The agents that probed each block."""
    senders = defaultdict(set)
    for part in parts:
        senders[part.block].add(part.sender)
    return senders


def test_each_target_is_traced_by_one_agent(tmp_path: Path) -> None:
    """And each agent traces some of them."""
    data = tmp_path / "data"
    survey(World(vantage_points=3), write(tmp_path / "m", TRACES), data)
    parts = read_parts(data)["001-00"]
    check_parts(parts)
    assert {len(agents) for agents in find_senders(parts).values()} == {1}
    assert sum(part.traced for part in parts) == TARGETS
    assert {part.sender for part in parts} == {"agent1", "agent2", "agent3"}


def test_members_share_what_yarrp_probes_and_fills(tmp_path: Path) -> None:
    """A target's further probes are its agent's, too."""
    data, manifests = (
        tmp_path / "data",
        write(tmp_path / "m", {"yarrp": {"fillTtl": 20}}),
    )
    short = [f"240.0.{number}.0/24,udp,1,4,2" for number in range(TARGETS)]
    (tmp_path / "m" / "list.csv").write_text("\n".join(short))
    survey(World(vantage_points=3), manifests, data)
    parts = read_parts(data)["001-00"]
    check_parts(parts)
    senders = find_senders(parts)
    assert {len(names) for names in senders.values()} == {1}
    assert set.union(*senders.values()) == {"agent1", "agent2", "agent3"}
    assert sum(part.probes for part in parts) > TARGETS * 4 * 2
    assert sum(part.counts.further for part in parts) > 0


def test_a_prefix_stays_with_its_agent_over_all_rounds(tmp_path: Path) -> None:
    """With Diamond-Miner, whose flows must all start at one vantage point."""
    data = tmp_path / "data"
    survey(
        World(vantage_points=3), write(tmp_path / "m", {"diamondMiner": {}}, 60), data
    )
    steps = read_parts(data)
    assert len(steps) > 2
    senders: defaultdict[int, set[str]] = defaultdict(set)
    for parts in steps.values():
        for block, agents in find_senders(parts).items():
            senders[block] |= agents
    assert {len(agents) for agents in senders.values()} == {1}


def test_killed_teams_go_on_where_they_were(tmp_path: Path) -> None:
    """Each target is in one part, however often all of it is killed."""
    data = tmp_path / "data"
    manifests = write(tmp_path / "m", TRACES, rates=SLOW)
    killer = command(manifests, data)
    World(vantage_points=3).run(killer[0], "-c", KILLER, *killer)
    parts = read_parts(data)["001-00"]
    check_parts(parts)
    assert sum(part.traced for part in parts) == TARGETS


CUT = """
import subprocess, sys, time
survey = subprocess.Popen(sys.argv[1:])
counter = "cat /sys/class/net/eth0/statistics/tx_packets"
look = ["ip", "netns", "exec", "vp3", "sh", "-c", counter]
while int(subprocess.check_output(look)) < 100:
    time.sleep(0.1)
subprocess.run(["ip", "-n", "vp3", "link", "set", "eth0", "down"], check=True)
sys.exit(survey.wait())
"""
"""Takes the link of one vantage point away while its agent probes."""


@pytest.mark.parametrize("tool", [TRACES, {"yarrp": {}}, {"diamondMiner": {}}])
def test_others_do_what_a_lost_agent_left(
    tool: Mapping[str, Any], tmp_path: Path
) -> None:
    """It is told which agent failed, and why; no part of any step is missing."""
    data = tmp_path / "data"
    words = command(write(tmp_path / "m", tool), data)
    told = World(vantage_points=3).run(words[0], "-c", CUT, *words)
    assert "agent3" in told
    for step, parts in read_parts(data).items():
        check_parts(parts)
        root = data / f"agents/team/default.survey/1/{step}"
        plan = Plan(root / "plan.parquet")
        ends = {part.block: part.end for part in parts}
        slots = {block: plan.end(block) for block in range(plan.blocks)}
        assert ends == {block: end for block, end in slots.items() if end}
