"""Nodes are vantage points of a simulated Internet, for pods in their network."""

from __future__ import annotations

import json
from string import Template
from typing import TYPE_CHECKING, Any

import pytest

from devcluster.project import OPERATOR_IMAGE
from world import World, ports

if TYPE_CHECKING:
    from collections.abc import Callable

    from devcluster.kubectl import Kubectl

PROBER = Template("""\
apiVersion: v1
kind: Pod
metadata: {name: prober-$node}
spec:
  nodeName: $node
  hostNetwork: $own
  terminationGracePeriodSeconds: 0
  containers:
  - name: prober
    image: $image
    command: [sleep, infinity]
    securityContext: {privileged: true, runAsUser: 0}
""")
# One flow to a /24, and who answers.
TRACEROUTE = """
import json, pathlib, sys, tempfile
import pyarrow.parquet
from anabranch_engine import Plan, PrefixSet, Prober, TargetList

folder = pathlib.Path(tempfile.mkdtemp())
entries = folder / "targets.csv"
entries.write_text(sys.argv[1] + ",udp,1,24,1\\n")
with entries.open("rb") as file:
    targets = TargetList.read(file).split(24, 64)
plan = Plan.write(
    folder / "plan.parquet", targets, initial_source_port=24000,
    destination_port=33434, flow_mapper="RandomFlowMapper", seed=1, order_seed=1,
)
[(_, destination, _, sport, dport, _, _), *_] = plan.draw(0, order="")
(folder / "parts").mkdir()
Prober(
    plan, folder / "parts", order="", round_number=1, rate=100,
    max_rate_per_prefix=100, forbidden=PrefixSet(), wait_seconds=1.0,
).run()
hops = {}
for part in (folder / "parts").rglob("*.parquet"):
    for reply in pyarrow.parquet.read_table(part).to_pylist():
        hops[reply["probe_ttl"]] = reply["reply_src_addr"][-4:].hex()
print(json.dumps([str(destination), sport, dport, hops]))
"""


def start_prober(kubectl: Kubectl, node: str, *, own_network: bool) -> None:
    """A pod that waits to probe, in the network of a node or in one of its own."""
    own = json.dumps(own_network)
    kubectl.apply(PROBER.substitute(node=node, own=own, image=OPERATOR_IMAGE))
    kubectl.wait(f"pod/prober-{node}", "condition=Ready")


def trace(kubectl: Kubectl, node: str, target: str) -> tuple[str, int, dict[int, str]]:
    """What the prober of a node sends to, its ports, and who answers at which TTL."""
    words = ("exec", "-i", f"prober-{node}", "--", "python", "-", target)
    answer: Any = json.loads(kubectl.run(*words, stdin=TRACEROUTE))
    destination, sport, dport, hops = answer
    named = {
        int(ttl): ".".join(str(octet) for octet in bytes.fromhex(address))
        for ttl, address in hops.items()
    }
    return destination, ports(sport, dport), named


@pytest.mark.parametrize("seed", [1, 7])
def test_a_pod_in_a_nodes_network_sees_the_paths_of_the_truth(
    kubectl: Kubectl, simulate: Callable[[World], World], seed: int
) -> None:
    """Each node sees its own, the second through address translation."""
    world = simulate(World(seed=seed, switches={"loss": 0.0, "hosts": 0.0}))
    seen = []
    for number, node in enumerate(("n1", "n2")):
        start_prober(kubectl, node, own_network=True)
        destination, octets, hops = trace(kubectl, node, "240.0.9.0/24")
        path = world.path(destination, octets=octets, vantage_point=number)
        answering = {ttl: hop for ttl, hop in enumerate(path, 1) if hop != "*"}
        assert hops == {ttl: hop for ttl, hop in answering.items() if ttl <= 24}
        seen.append(hops)
    assert seen[0] != seen[1]


def test_pods_with_a_network_of_their_own_see_nothing(
    kubectl: Kubectl, simulate: Callable[[World], World]
) -> None:
    """What they send would carry addresses that are not a vantage point's."""
    simulate(World())
    start_prober(kubectl, "n1", own_network=False)
    _, _, hops = trace(kubectl, "n1", "240.0.9.0/24")
    assert set(hops) <= {1}  # the node itself
