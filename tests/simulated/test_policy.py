"""A policy file that changes while a local run goes on, on the wire."""

from __future__ import annotations

import shlex
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from proberruns import dissect
from surveying import ONCE_IT_PROBES, command, write_manifests
from world import World

if TYPE_CHECKING:
    from pathlib import Path

EXCLUDED = ip_network("240.0.0.0/19")
SCRIPT = """
wait_until_told() {{ until grep --quiet "$1" {folder}/told; do sleep 0.1; done; }}
# Nothing leaves for so many seconds.
is_silent() {{
    timeout 5 tcpdump -i eth0 -Q out -c 1 "$@" >{folder}/heard 2>&1
    test $? = 124
}}
tcpdump --immediate-mode -U -i eth0 -w {folder}/sent.pcap -Q out 2>/dev/null &
{run} 2>{folder}/told &
running=$!
{until_it_probes}
sed -i 's/^  contact:/  exclusions: [240.0.0.0\\/19]\\n  contact:/' {manifests}
until is_silent udp and dst net 240.0.0.0/19; do :; done
date +%s.%N >{folder}/excluded
echo 'kind: [' >>{manifests}
wait_until_told 'the last policy counts'
sleep 3; date +%s.%N >{folder}/broken
sed -i '$d; s/^  contact:/  stop: true\\n  contact:/' {manifests}
wait_until_told 'the ProbingPolicy stops all probing'
until is_silent udp; do :; done
date +%s.%N >{folder}/stopped
sleep 3; date +%s.%N >{folder}/still
sed -i '/stop: true/d' {manifests}
while is_silent udp; do :; done
kill %1; kill $running; wait
"""


def test_a_changed_policy_reaches_the_wire(tmp_path: Path) -> None:
    """An opt-out, a stop and its end; a broken file does not."""
    world = World(64, 0)
    agent = {"maxProbingRate": 100}
    targets = ["240.0.0.0/18,udp,1,32,6"]
    manifests = write_manifests(tmp_path / "m", targets, agent=agent)
    run = shlex.join(command(manifests, tmp_path / "data"))
    script = SCRIPT.format(
        folder=tmp_path, run=run, manifests=manifests, until_it_probes=ONCE_IT_PROBES
    )
    world.run("bash", "-c", script)
    sent = [
        (float(time), ip_address(to) in EXCLUDED)
        for time, to in dissect(
            tmp_path / "sent.pcap", "udp", "frame.time_epoch", "ip.dst"
        )
    ]
    excluded, broken, stopped, still = (
        float((tmp_path / name).read_text())
        for name in ("excluded", "broken", "stopped", "still")
    )
    assert [1 for time, is_excluded in sent if is_excluded and time < excluded]
    assert not [1 for time, is_excluded in sent if is_excluded and time > excluded]
    assert [time for time, _ in sent if excluded < time < broken]
    assert not [time for time, _ in sent if stopped < time < still]
    assert [time for time, _ in sent if time > still]
