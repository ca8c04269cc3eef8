"""An agent probes what a real API server says, into a real store."""

from __future__ import annotations

import shutil
import socket
import time
from datetime import UTC, datetime
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

import pytest

from agents import HEALTH_PORT, LINK, QUICK, SECONDS, WORLD, read_heads
from devcluster.process import PATIENCE, wait_until
from parts import find_replies, predict_replies
from relay import make_inside
from wiretap import tap_wire

if TYPE_CHECKING:
    from agents import Probed, Site

TTLS, FLOWS = 20, 2
MODEST = IPv4Network("240.0.0.0/18")


def lines(prefixes: int, first: int = 0) -> list[str]:
    """So many /24s."""
    numbers = range(first, first + prefixes)
    return [f"240.0.{number}.0/24,udp,1,{TTLS},{FLOWS}" for number in numbers]


def check_parts(site: Site, probed: Probed) -> int:
    """Whether the store has each reply once; how many probes its parts count."""
    folder = site.fetch_parts(probed)
    assert find_replies(folder) == predict_replies(WORLD.simulation, probed.plan)
    ends: dict[int, int] = {}
    heads = read_heads(folder)
    for head in heads:
        assert head.start == ends.get(head.block, 0)
        ends[head.block] = head.end
    return sum(head.probes for head in heads)


def test_a_round_is_probed_until_it_is_complete(site: Site) -> None:
    """All replies that the truth predicts are in the store, and the status says so."""
    v6 = [f"3fff:0:0:{number:x}::/64,icmp6,1,{TTLS},{FLOWS}" for number in range(20)]
    probed = site.create_round([*lines(60), *v6])
    with site.run_agent():
        status = site.wait_complete(probed.name)
    probes = 80 * TTLS * FLOWS
    assert check_parts(site, probed) == probes
    assert status["probesSent"] == probes
    assert status["repliesReceived"] == len(find_replies(site.fetch_parts(probed)))
    assert status["parts"] == len(read_heads(site.fetch_parts(probed))) > 1
    assert status["startTime"] <= status["completionTime"]
    assert status["observedGeneration"] == 1
    assert site.condition(probed.name, "Ready") == ("True", "Complete")
    assert not list((site.folder / "scratch").iterdir())


def test_kills_lose_nothing_and_count_nothing_twice(site: Site) -> None:
    """Whether the next process finds what the one before left, or is a new pod."""
    probed = site.create_round(lines(60), rate=200)
    scratch = site.folder / "scratch"
    told = 0
    for pod, seconds in enumerate([1.5, 0.4, 2.2, 1.1]):
        with site.run_agent("pod-1", part=0.5) as process:
            told = site.wait_sent(probed.name, told + 1)
            time.sleep(seconds)
            process.kill()
            process.wait()
        if pod == 2:
            shutil.rmtree(scratch)
    with site.run_agent("pod-2"):
        status = site.wait_complete(probed.name)
    assert check_parts(site, probed) == status["probesSent"] == probed.plan.units
    assert not list(scratch.iterdir())
    assert "held" in site.log


def test_rounds_share_what_the_agent_may_send(site: Site) -> None:
    """By max-min fairness, and never more than all of it; changes hold at once."""
    site.change("Agent", site.agent, maxProbingRate=400)
    modest = site.create_round(lines(64), rate=100, number=1)
    greedy = site.create_round(lines(128, 64), rate=5000, number=2)
    with site.run_agent(), tap_wire(site.network, LINK) as wire:
        site.wait_sent(modest.name, 1)
        site.wait_sent(greedy.name, 1)
        wait_until("both", lambda: read_metric(site, "probing_rate") == 400, SECONDS)

        def is_shared() -> bool:
            sent = wire.listen(4)
            of_modest = sum(to in MODEST for to in sent)
            # A busy machine may send less, but none sends more.
            assert len(sent) <= 1650
            assert of_modest <= 410
            return 0 < of_modest < len(sent) / 2

        wait_until("both, by their shares", is_shared, SECONDS)
        site.change("Round", modest.name, rate=20)
        site.change("ProbingPolicy", "default", maxRate=100)
        wait_until("less", lambda: read_metric(site, "probing_rate") == 100, SECONDS)
        # A Round's own rate may be noticed later than the policy.
        few = 65

        def is_modest() -> bool:
            sent = wire.listen(3)
            assert len(sent) <= 310
            return 0 < sum(to in MODEST for to in sent) <= few

        wait_until("the Round's rate", is_modest, SECONDS)
    for probed in (modest, greedy):
        status = site.status(probed.name)
        assert status["repliesReceived"] > 100
        # Those to the other one, which it hears, too, are nobody's forgery.
        assert status["repliesInvalid"] == 0


def test_the_policy_is_obeyed_while_rounds_run(site: Site) -> None:
    """What becomes excluded is passed over; a stop stops; without policy, nothing."""
    excluded = IPv4Network("240.0.0.0/19")
    probed = site.create_round(lines(60), rate=100)
    with site.run_agent(), tap_wire(site.network, LINK) as wire:
        site.wait_sent(probed.name, 50)
        wait_until(
            "probes", lambda: any(to in excluded for to in wire.listen(0.5)), SECONDS
        )
        site.change("ProbingPolicy", "default", exclusions=[str(excluded)])

        def is_obeyed() -> bool:
            return not any(to in excluded for to in wire.listen(0.5))

        wait_until("the exclusion", is_obeyed, SECONDS)
        sent = wire.listen(2)
        assert sent
        assert not any(to in excluded for to in sent)
        site.change("ProbingPolicy", "default", stop=True)
        site.wait(probed.name, "Ready", "False", "PolicyStop")
        assert not wire.listen(1.5)
        site.change("ProbingPolicy", "default", stop=False)
        site.wait(probed.name, "Ready", "True", "Probing")
        wait_until("probes", lambda: bool(wire.listen(0.5)), SECONDS)
        site.delete("ProbingPolicy", "default")
        site.wait(probed.name, "Ready", "False", "NoPolicy")
        assert not wire.listen(1.5)


def test_a_round_can_be_suspended(site: Site) -> None:
    """What was heard is stored once it says so; later it goes on where it was."""
    probed = site.create_round(lines(60), rate=500)
    with site.run_agent(), tap_wire(site.network, LINK) as wire:
        site.wait_sent(probed.name, 100)
        site.change("Round", probed.name, suspend=True)
        site.wait(probed.name, "Ready", "False", "Suspended")
        assert not wire.listen(1)
        status = site.status(probed.name)
        heads = read_heads(site.fetch_parts(probed))
        assert sum(head.probes for head in heads) == status["probesSent"] > 100
        assert status["observedGeneration"] == 2
        site.change("Round", probed.name, suspend=False)
        status = site.wait_complete(probed.name)
    assert check_parts(site, probed) == status["probesSent"] == probed.plan.units


def test_a_round_that_is_deleted_is_dropped(site: Site) -> None:
    """Nothing more is sent, and nothing is left of it here."""
    probed = site.create_round(lines(60), rate=100)
    with site.run_agent(), tap_wire(site.network, LINK) as wire:
        site.wait_sent(probed.name, 50)
        site.delete("Round", probed.name)
        wait_until("silence", lambda: not wire.listen(1), SECONDS)
        scratch = site.folder / "scratch"
        wait_until("an empty scratch", lambda: not list(scratch.iterdir()), SECONDS)
        again = site.create_round(lines(5), rate=1000, number=2)
        site.wait_complete(again.name)
    check_parts(site, again)


@pytest.mark.parametrize("fault", ["cut", "freeze"])
def test_who_is_cut_off_falls_silent_and_goes_on_later(site: Site, fault: str) -> None:
    """Within the time of the switch, whether the API server is gone or hangs."""
    probed = site.create_round(lines(60), rate=150)
    with site.run_agent(), tap_wire(site.network, LINK) as wire:
        site.wait_sent(probed.name, 50)
        began = time.time()
        getattr(site.to_api, fault)()
        wait_until("silence", lambda: not wire.listen(1), SECONDS)
        assert wire.between(began, began + QUICK["lease"]), "it is patient"
        # Whoever takes over waits for this long.
        assert not wire.between(began + QUICK["takeover"], time.time())
        assert not wire.listen(2)
        site.to_api.restore()
        status = site.wait_complete(probed.name)
    assert check_parts(site, probed) == status["probesSent"] == probed.plan.units


@pytest.mark.parametrize("fault", ["cut", "freeze"])
def test_without_the_store_parts_wait(site: Site, fault: str) -> None:
    """Up to a limit, then nothing is sent; all goes on once it is back."""
    site.environment["ANABRANCH_WAITING_BYTES"] = "50000"
    probed = site.create_round(lines(100), rate=400)
    with site.run_agent(part=0.5, patience=1.0), tap_wire(site.network, LINK) as wire:
        site.wait_sent(probed.name, 100)
        getattr(site.to_store, fault)()
        site.wait(probed.name, "Ready", "False", "StoreUnavailable")
        assert wire.sent, "there is room"
        wait_until("silence", lambda: not wire.listen(1), SECONDS)
        site.to_store.restore()
        status = site.wait_complete(probed.name)
    assert check_parts(site, probed) == status["probesSent"] == probed.plan.units


def test_a_stop_stores_all_and_leaves_the_lease_to_the_next(site: Site) -> None:
    """Which takes it at once, although it is another pod."""
    probed = site.create_round(lines(60), rate=300)
    with site.run_agent("pod-1") as process:
        site.wait_sent(probed.name, 100)
        process.terminate()
        assert process.wait(PATIENCE * SECONDS) == 0
    assert read_lease(site)["holderIdentity"] == ""
    assert site.condition(probed.name, "Ready") == ("False", "AgentStopped")
    stored = sum(head.probes for head in read_heads(site.fetch_parts(probed)))
    assert stored == site.status(probed.name)["probesSent"] >= 100
    assert not list((site.folder / "scratch").rglob("*.parquet"))
    with site.run_agent("pod-2", takeover=1000.0):
        site.wait_complete(probed.name)
        assert read_lease(site)["holderIdentity"] == "pod-2"
        assert read_lease(site)["leaseTransitions"] == 1
    assert check_parts(site, probed) == probed.plan.units


def test_a_stop_does_not_wait_for_a_store_that_hangs(site: Site) -> None:
    """What is not stored then is probed again: nothing is lost, or counted twice."""
    probed = site.create_round(lines(60), rate=300)
    with site.run_agent(stop=3.0, patience=1.0) as process:
        site.wait_sent(probed.name, 100)
        site.to_store.freeze()
        site.wait(probed.name, "Ready", "False", "StoreUnavailable")
        process.terminate()
        assert process.wait(PATIENCE * SECONDS) == 0
    assert "not everything could be stored in time" in site.log
    assert read_lease(site)["holderIdentity"] == ""
    shutil.rmtree(site.folder / "scratch")
    site.to_store.restore()
    with site.run_agent("pod-2"):
        status = site.wait_complete(probed.name)
    assert check_parts(site, probed) == status["probesSent"] == probed.plan.units


def test_what_it_can_not_start_without_is_told(site: Site) -> None:
    """On one line, with the remedy."""
    address = ("127.0.0.1", HEALTH_PORT)
    with (
        make_inside(site.network, lambda: socket.create_server(address)),
        site.run_agent() as process,
    ):
        assert process.wait(PATIENCE * SECONDS) == 2
    last = site.log.splitlines()[-1]
    assert "anabranch_agent: can't serve health at 127.0.0.1:9465" in last
    assert "set another in agents.healthPort" in last
    del site.environment["ANABRANCH_AGENT"]
    with site.run_agent() as process:
        assert process.wait(PATIENCE * SECONDS) == 2
    assert "ANABRANCH_AGENT is not set" in site.log.splitlines()[-1]


def test_nothing_is_sent_while_someone_else_holds_the_lease(site: Site) -> None:
    """It is taken only when it has stood still for long enough."""
    probed = site.create_round(lines(20), rate=1000)
    renew_lease(site, "someone", make=True)
    with site.run_agent(), tap_wire(site.network, LINK) as wire:
        began = time.time()
        while time.time() < began + QUICK["takeover"] + 2:
            renew_lease(site, "someone")
            renewed = time.time()
            time.sleep(0.5)
        site.wait(probed.name, "Ready", "False", "LeaseLost")
        early = wire.between(began, renewed + QUICK["takeover"] - 2)
        assert not [to for to in early if to in IPv4Network("240.0.0.0/4")]
        site.wait_complete(probed.name)
        # It is lost to whoever takes it by force, too.
        probed = site.create_round(lines(60), rate=100, number=2)
        site.wait_sent(probed.name, 10)
        while site.condition(probed.name, "Ready") != ("False", "LeaseLost"):
            renew_lease(site, "someone")
            time.sleep(0.2)
        assert not wire.listen(1)


def test_what_can_not_be_mended_by_waiting_fails(site: Site) -> None:
    """Another plan than the Round means, and none at all."""
    lying = site.create_round(lines(5), digest=f"sha256:{0:064}")
    broken = site.create_round(lines(5), number=2, content=b"this is no plan")
    with site.run_agent():
        status = site.wait(lying.name, "Failed", "True", "PlanDigestMismatch")
        site.wait(broken.name, "Failed", "True", "PlanUnusable")
    assert "probesSent" not in status or status["probesSent"] == 0
    assert site.condition(lying.name, "Stalled")[0] == "True"
    assert site.condition(lying.name, "Ready")[0] == "False"
    assert not list(site.store.list(lying.keys.replies))


def test_what_the_machine_does_not_let_it_do_is_tried_again(site: Site) -> None:
    """Such as to send where there is no interface, until there is one."""
    site.change("Agent", site.agent, interface="eth7")
    probed = site.create_round(lines(5))
    with site.run_agent():
        site.wait(probed.name, "Ready", "False", "ProbingError")
        (condition, *_) = site.status(probed.name)["conditions"]
        assert "there is no interface eth7; name another" in condition["message"]
        site.change("Agent", site.agent, interface=LINK)
        site.wait_complete(probed.name)


def test_a_namespace_that_is_not_served_waits(site: Site) -> None:
    """Until the Agent says otherwise; of others nothing is even known."""
    site.environment["ANABRANCH_WATCH_NAMESPACES"] = site.namespace.name
    site.change("Agent", site.agent, allowedNamespaces=["elsewhere"])
    probed = site.create_round(lines(5))
    with site.run_agent():
        site.wait(probed.name, "Ready", "False", "NamespaceNotAllowed")
        site.change("Agent", site.agent, allowedNamespaces=[site.namespace.name])
        site.wait_complete(probed.name)


def test_health_and_metrics_are_told(site: Site) -> None:
    """Over HTTP, on the port that the pod names."""
    probed = site.create_round(lines(60), rate=200)
    with site.run_agent():
        site.wait_sent(probed.name, 50)
        assert site.ask("/healthz") == (200, "ok\n")
        assert site.ask("/readyz") == (200, "ok\n")
        assert site.ask("/elsewhere")[0] == 404
        assert read_metric(site, "probes_sent_total") >= 50
        assert read_metric(site, "probing_rate") == 200
        assert read_metric(site, "active_rounds") == 1
        assert read_metric(site, "lease_age_seconds") >= 0
        assert read_metric(site, "parts_waiting") >= 0
        site.to_api.cut()
        gone = (503, "the Lease is not held\n")
        wait_until("the lease to end", lambda: site.ask("/readyz") == gone, SECONDS)
        assert site.ask("/healthz")[0] == 200


def read_metric(site: Site, name: str) -> float:
    """What the agent tells Prometheus."""
    lines = site.ask("/metrics")[1].splitlines()
    told = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return float(told[f"anabranch_agent_{name}"])


LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"


def read_lease(site: Site) -> dict[str, Any]:
    """What the agent's Lease says."""
    path = f"{LEASES.format(site.namespace.name)}/anabranch-agent-{site.agent}"
    spec: dict[str, Any] = site.namespace.call("GET", path).body["spec"]
    return spec


def renew_lease(site: Site, holder: str, *, make: bool = False) -> None:
    """Holds the agent's Lease, whoever had it."""
    name = f"anabranch-agent-{site.agent}"
    folder = LEASES.format(site.namespace.name)
    time_now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": holder, "renewTime": time_now, "leaseDurationSeconds": 40}
    head = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    lease = {**head, "metadata": {"name": name}, "spec": spec}
    if make:
        assert site.namespace.call("POST", folder, lease).status == 201
        return
    status = 409
    while status == 409:
        found = site.namespace.call("GET", f"{folder}/{name}").body
        lease["metadata"] = found["metadata"]
        status = site.namespace.call("PUT", f"{folder}/{name}", lease).status
    assert status == 200
