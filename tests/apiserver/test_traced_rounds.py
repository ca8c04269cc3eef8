"""An agent traces what a real API server says, into a real store."""

from __future__ import annotations

import math
import shutil
import time
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Any

from anabranch_engine import TraceParameters

from agents import LINK, QUICK, SECONDS, read_heads
from devcluster.process import PATIENCE, wait_until
from parts import read_parts
from wiretap import tap_wire

if TYPE_CHECKING:
    from agents import Probed, Site

TRACING = TraceParameters(algorithm="mdaLite", failure_probability=0.05)


def trace(site: Site, destinations: int, rate: int) -> Probed:
    """A Round that traces an address in each of so many /24s."""
    lines = [f"240.0.{number}.0/24,udp,1,32,1" for number in range(destinations)]
    return site.create_round(lines, rate=rate, tracing=TRACING)


def find_traces(site: Site, probed: Probed) -> list[dict[str, Any]]:
    """The traces in the store; its ranges follow one another."""
    folder = site.fetch_parts(probed)
    heads = read_heads(folder)
    ends = [0, *(head.end for head in heads)]
    assert [head.start for head in heads] == ends[:-1]
    rows = read_parts(folder)
    traces = [row for row in rows if row["trace_end"] is not None]
    assert sum(head.traced for head in heads) == len(traces)
    assert sum(head.probes for head in heads) == sum(
        row["trace_probes"] for row in traces
    )
    return traces


def check_all(site: Site, probed: Probed, status: dict[str, Any]) -> None:
    """Whether each destination was traced once, and the status says so."""
    traces = find_traces(site, probed)
    assert len({row["prefix_index"] for row in traces}) == len(traces)
    assert len(traces) == probed.plan.units == status["destinationsTraced"]
    # Those that were cut off by a stop were traced again.
    assert {row["trace_end"] for row in traces} <= {"completed", "gap limit"}


def wait_traced(site: Site, probed: Probed, traces: int) -> int:
    """Waits until a Round's status tells of more traces; how many it tells of."""

    def count() -> int:
        told: int = site.status(probed.name).get("destinationsTraced", 0)
        return told

    wait_until(f"{traces} traces", lambda: count() >= traces, SECONDS)
    return count()


def test_a_round_is_traced_until_it_is_complete(site: Site) -> None:
    """All that is told of it counts destinations."""
    lines = [f"240.0.{number}.0/24,icmp,1,32,1" for number in range(40)]
    lines += [f"3fff:0:0:{number:x}::/64,udp,1,32,1" for number in range(20)]
    probed = site.create_round(lines, rate=3000, tracing=TRACING)
    with site.run_agent():
        status = site.wait_complete(probed.name)
    check_all(site, probed, status)
    heads = read_heads(site.fetch_parts(probed))
    assert status["probesSent"] == sum(head.probes for head in heads)
    assert status["repliesReceived"] == sum(head.replies for head in heads)
    assert status["parts"] == len(heads)


def test_kills_lose_no_trace_and_keep_none_twice(site: Site) -> None:
    """Whether the next process finds what the one before left, or is a new pod."""
    probed = trace(site, 60, rate=800)
    scratch, told = site.folder / "scratch", 0
    for pod, seconds in enumerate([0.5, 1.5, 1.0]):
        with site.run_agent("pod-1", part=0.3) as process:
            told = wait_traced(site, probed, told + 1)
            time.sleep(seconds)
            process.kill()
            process.wait()
        if pod == 1:
            shutil.rmtree(scratch)
    with site.run_agent("pod-2"):
        status = site.wait_complete(probed.name)
    check_all(site, probed, status)


def test_the_policy_is_obeyed_while_traces_go_on(site: Site) -> None:
    """What becomes excluded ends its trace; a stop stops; then traces go on."""
    excluded = IPv4Network("240.0.0.0/19")
    probed = trace(site, 60, rate=200)
    with site.run_agent(), tap_wire(site.network, LINK) as wire:
        site.wait_sent(probed.name, 50)
        site.change("ProbingPolicy", "default", exclusions=[str(excluded)])
        wanted = site.get("ProbingPolicy", "default")["metadata"]["generation"]

        def obeys() -> bool:
            return bool(site.status(probed.name).get("policyGeneration") == wanted)

        wait_until("the exclusion", obeys, SECONDS)
        obeyed = time.time()

        def list_sent() -> list[IPv4Address]:
            return wire.between(obeyed, math.inf)

        wait_until("probes to others", lambda: len(list_sent()) > 100, SECONDS)
        assert not any(to in excluded for to in list_sent())
        site.change("ProbingPolicy", "default", stop=True)
        site.wait(probed.name, "Ready", "False", "PolicyStop")
        assert not wire.listen(1.5)
        site.change("ProbingPolicy", "default", stop=False, maxRate=3000)
        site.change("Round", probed.name, rate=200)
        site.wait_complete(probed.name, 4 * SECONDS)
    traces = find_traces(site, probed)
    assert len(traces) == probed.plan.units
    refused = [row for row in traces if row["trace_end"] == "refused"]
    assert len(refused) > 10
    assert all(row["prefix_index"] is not None for row in refused)


def test_a_traced_round_can_be_suspended(site: Site) -> None:
    """Later it goes on where the stored traces end."""
    probed = trace(site, 60, rate=1000)
    with site.run_agent(part=0.3), tap_wire(site.network, LINK) as wire:
        wait_traced(site, probed, 1)
        site.change("Round", probed.name, suspend=True)
        site.wait(probed.name, "Ready", "False", "Suspended")
        wait_until("silence", lambda: not wire.listen(1), SECONDS)
        site.change("Round", probed.name, suspend=False)
        status = site.wait_complete(probed.name)
    check_all(site, probed, status)


def test_who_traces_and_is_cut_off_falls_silent(site: Site) -> None:
    """Within the time of the switch; it goes on later."""
    probed = trace(site, 60, rate=300)
    with site.run_agent(), tap_wire(site.network, LINK) as wire:
        site.wait_sent(probed.name, 50)
        began = time.time()
        site.to_api.cut()
        wait_until("silence", lambda: not wire.listen(1), SECONDS)
        assert not wire.between(began + QUICK["takeover"], time.time())
        site.to_api.restore()
        status = site.wait_complete(probed.name, 3 * SECONDS)
    check_all(site, probed, status)


def test_a_drained_agent_leaves_its_traces_to_the_next(site: Site) -> None:
    """It stores what has ended, and the next one traces the rest."""
    probed = trace(site, 60, rate=800)
    with site.run_agent("pod-1") as process:
        wait_traced(site, probed, 1)
        process.terminate()
        assert process.wait(PATIENCE * SECONDS) == 0
    # A trace that waits for another one before it is in no part yet.
    told = site.status(probed.name)["destinationsTraced"]
    assert len(find_traces(site, probed)) <= told < probed.plan.units
    with site.run_agent("pod-2", takeover=1000.0):
        status = site.wait_complete(probed.name)
    check_all(site, probed, status)
