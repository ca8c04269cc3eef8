"""The ProbingPolicy, on the wire."""

from __future__ import annotations

import contextlib
import json
import math
import time
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

from anabranch.plugin import main
from clustersurvey import Survey, are_silent
from devcluster.process import wait_until
from wiretap import tap_wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl

TARGET, OPTED_OUT = "240.0.0.0/20", IPv4Network("240.0.4.0/22")
RATE, SLOW = 1000, 20
"""What the survey asks for, and what the policy allows until all of it is obeyed: the
round would take minutes."""


@contextlib.contextmanager
def changing_policy(system: Kubectl) -> Iterator[Callable[..., None]]:
    """Changes fields of the spec, which is as before after a ``with``."""

    def read() -> dict[str, Any]:
        spec: dict[str, Any] = system.get("probingpolicy/default")["spec"]
        return spec

    def change(**spec: Any) -> None:
        words = ("patch", "probingpolicy", "default", "--type=merge", "--patch")
        system.run(*words, json.dumps({"spec": spec}))

    before = read()
    try:
        yield change
    finally:
        change(**dict.fromkeys(read()) | before)


def wait_obeyed(system: Kubectl, kubectl: Kubectl) -> None:
    """Waits until all Rounds of a namespace say that they obey the present policy."""
    wanted = system.get("probingpolicy/default")["metadata"]["generation"]

    def is_obeyed() -> bool:
        rounds = kubectl.get("rounds")["items"]
        told = [int(each["status"].get("policyGeneration", 0)) for each in rounds]
        return min(told) >= int(wanted)

    wait_until("the policy to be obeyed", is_obeyed, 10)


def test_once_agents_obey_nothing_goes_where_it_must_not(
    cluster: Cluster, installed: Demo, kubectl: Kubectl
) -> None:
    """To no network that opts out in the middle of a round; to none during a stop."""
    survey, system = Survey(cluster, installed, kubectl), installed.system
    with contextlib.ExitStack() as stack:
        change = stack.enter_context(changing_policy(system))
        wires = [
            stack.enter_context(tap_wire(node.member.unique_name, "sim0"))
            for node in cluster.nodes
        ]

        def count_forbidden(since: float = 0) -> list[int]:
            sent = [wire.between(since, math.inf) for wire in wires]
            return [sum(to in OPTED_OUT for to in each) for each in sent]

        change(maxRate=SLOW)
        survey.start(tool="yarrp", target=TARGET, rate=RATE)
        survey.wait_probing()
        wait_until("probes to the network", lambda: all(count_forbidden()), 60)
        login = ("--kubeconfig", str(cluster.layout.kubeconfig))
        assert main(["optout", str(OPTED_OUT), *login]) == 0
        obeyed = time.time()
        change(stop=True)
        wait_obeyed(system, kubectl)
        assert are_silent(cluster.nodes)
        survey.wait_reason("ProbingStopped")
        gone_on = time.time()
        change(stop=False, maxRate=None)
        status, links = survey.finish()
        assert count_forbidden(obeyed) == [0, 0]
        assert all(wire.between(gone_on, math.inf) for wire in wires)
    assert status["agents"]["finished"] == 2
    assert links
