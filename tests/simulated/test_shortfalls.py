"""What a local survey says of all that it leaves out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from onesurvey import open_run, run_command
from surveying import write_manifests
from world import World

if TYPE_CHECKING:
    from pathlib import Path

TARGETS = [
    "8.8.8.0/24,udp,1,20,1",
    "240.0.0.0/22,udp,1,20,1",
    "240.0.4.0/24,udp,1,32,1",
    "240.0.5.0/24,udp,26,32,1",
]
"""Of these the policy does not allow the first; an agent of 20 TTLs can't probe all."""
ALL_BUT_ONE = [f"240.0.2.{1 << bit}/{32 - bit}" for bit in range(8)]
LEFT_OUT = "2 of 7 targets left out: 1 outside of the policy's allow list, 1 outside of"


def test_all_that_is_left_out_is_in_the_summary(tmp_path: Path) -> None:
    """And in the store; that replies are waited for is told as it goes on."""
    agent = {"maxTtl": 25, "exclusions": ALL_BUT_ONE, "waitSeconds": 5}
    manifests = write_manifests(
        tmp_path / "m", TARGETS, tool={"yarrp": {}}, agent=agent
    )
    world, data = World(20, 0), tmp_path / "data"
    route = "exec 2>&1 && ip route add blackhole 240.0.1.0/24"
    code, output, _ = run_command(world, manifests, data, route)
    assert code == 0, output
    assert "agent1: round 1.1 waiting for replies, " in output
    done = output[output.index("agent1: done in round 1: 4 targets, ") :].splitlines()
    assert done[1:5] == [
        "agent1: 3 of 7 targets left out: 1 outside of the policy's allow list, 1 "
        "outside of the agent's TTLs, 1 without a route",
        "agent1: 1 target probed but for excluded addresses",
        "agent1: 1 target probed at the agent's TTLs alone, not at all it asks",
        "agent1: 20 probes passed over, to an address that is excluded",
    ]
    keys = open_run(data)
    assert json.loads((data / keys.target_counts).read_text()) == {
        "probed": 5,
        "shortfalls": {
            "NotAllowed": 1,
            "OutsideTtls": 1,
            "PartlyExcluded": 1,
            "TtlsCut": 1,
        },
    }
    # Whoever looks at it again sees the same.
    code, again, _ = run_command(world, manifests, data)
    assert code == 0
    assert done[1:5] == again.splitlines()[1:5]


def test_a_dry_run_says_what_would_be_left_out(tmp_path: Path) -> None:
    """All that is known before a probe is sent."""
    agent = {"maxTtl": 25}
    manifests = write_manifests(tmp_path / "m", TARGETS, agent=agent)
    code, output, _ = run_command(
        World(20, 0), manifests, tmp_path / "data", "true", "--dry-run"
    )
    assert code == 0
    first, *others = output.splitlines()
    assert "agent1 would send 105 probes to 5 targets" in first
    assert others == [
        f"agent1: {LEFT_OUT} the agent's TTLs",
        "agent1: 1 target probed at the agent's TTLs alone, not at all it asks",
    ]


def test_a_survey_without_a_target_is_refused_with_the_reason(tmp_path: Path) -> None:
    """Before anything is sent."""
    manifests = write_manifests(tmp_path / "m", TARGETS[:1])
    data = tmp_path / "data"
    code, output, _ = run_command(World(20, 0), manifests, data, "exec 2>&1")
    assert code == 1
    assert "nothing is left to probe: 1 of 1 target left out: 1 outside of" in output
    assert not data.exists()
