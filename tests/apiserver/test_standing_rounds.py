"""An agent serves standing Rounds: it traces the clients of connections that end."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import shutil
import tarfile
from collections import Counter
from typing import TYPE_CHECKING, Any

from agents import LINK, SECONDS
from anabranch.store.keys import RunKeys
from clientele import PORT, run_clients
from devcluster.process import wait_until
from eventsocket import play_tcp_info
from wiretap import tap_wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agents import Site
    from eventsocket import TcpInfo

NAME = "servers"
CLIENTS = [f"240.0.{number}.7" for number in range(20)]
WAITING = "anabranch_agent_connections_waiting"
TRACE = {"algorithm": "singlePath", "attempts": 1, "gapLimit": 1, "waitSeconds": 1}
WATCH = {"source": "eventSocket", "cacheSeconds": 3600, "archiveSeconds": 10}


@contextlib.contextmanager
def hear(site: Site) -> Iterator[TcpInfo]:
    """Plays tcp-info beside a vantage point."""
    path = site.folder / "events"
    site.environment["ANABRANCH_EVENT_SOCKET"] = str(path)
    with play_tcp_info(path) as info:
        yield info


def stand(site: Site, name: str = NAME, *, rate: int = 2000, **watch: Any) -> None:
    """Makes a standing Round."""
    spec = {
        "measurement": {"name": NAME, "uid": site.namespace.name},
        "runId": "1",
        "agent": site.agent,
        "nodeName": "vp1",
        "round": 1,
        "standing": {
            "connections": WATCH | watch,
            "trace": TRACE,
            "failureProbability": 0.05,
        },
        "rate": rate,
    }
    site.create("Round", name, spec, labels={"anabranch.dev/agent": site.agent})


def wait_serving(site: Site, name: str = NAME) -> None:
    """Waits until the agent says that it serves."""
    site.wait(name, "Ready", "True", "Serving")


def wait_counts(site: Site, name: str = NAME, **counts: int) -> None:
    """Waits until the status tells of so many connections."""

    def are_told() -> bool:
        told = site.status(name).get("connections", {})
        return {each: told.get(each) for each in counts} == counts

    wait_until(f"{counts}: {site.status(name)}", are_told, SECONDS)


def read_metric(site: Site, name: str) -> float:
    """What the agent tells of itself; nothing while it is not there."""
    try:
        lines = site.ask("/metrics")[1].splitlines()
    except OSError:
        return 0
    told = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return float(told[name])


def wait_traced(site: Site, count: int) -> None:
    """Waits until the agent has traced some clients."""
    wait_until(
        f"{count} traces",
        lambda: read_metric(site, "traces_performed_total") >= count,
        SECONDS,
    )


def wait_waiting(site: Site, count: int) -> None:
    """Waits until an agent serves, and not more connections wait."""
    wait_until(
        f"{count} to wait",
        lambda: (
            read_metric(site, "anabranch_agent_standing_rounds") == 1
            and read_metric(site, WAITING) <= count
        ),
        SECONDS,
    )


def list_scratch(site: Site) -> list[Path]:
    """What the agent keeps of Rounds."""
    return list((site.folder / "scratch").iterdir())


def read_archives(site: Site) -> tuple[list[dict[str, Any]], Counter[str]]:
    """What became of connections, and how often there is a file of each trace."""
    keys = RunKeys(site.namespace.name, "1", site.agent)
    told: list[dict[str, Any]] = []
    files = Counter[str]()
    for key in site.store.list(keys.archives):
        content = site.store.get(key)
        if key.endswith(".jsonl.gz"):
            told += map(json.loads, gzip.decompress(content).splitlines())
        else:
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                files.update(member.name.rpartition("Z_")[2] for member in tar)
    return told, files


def count_outcomes(site: Site) -> Counter[str]:
    """How many connections have each outcome; none has two."""
    told, files = read_archives(site)
    settled = [each for each in told if each["outcome"] != "missed"]
    assert len({each["uuid"] for each in settled}) == len(settled)
    traced = {each["uuid"] for each in settled if each["trace"]}
    assert files == Counter(f"{uuid}.jsonl" for uuid in traced)
    return Counter(each["outcome"] for each in told)


def test_clients_are_traced_as_their_connections_end(site: Site) -> None:
    """Each once; the status, the metrics and the store tell of all."""
    with hear(site) as info, site.run_agent():
        stand(site)
        info.await_listener(SECONDS)
        wait_serving(site)
        info.end(*CLIENTS)
        wait_counts(site, traced=20, copied=0, waiting=0, dropped=0)
        info.end(*CLIENTS[:5])
        wait_counts(site, traced=20, copied=5)
        status = site.status(NAME)
        assert status["destinationsTraced"] == 20
        assert status["probesSent"] > 20
        assert status["connections"]["lastEventTime"] >= status["startTime"]
        kinds = {each["type"]: each["status"] for each in status["conditions"]}
        assert kinds == {"Ready": "True", "Complete": "False"}
        lines = site.ask("/metrics")[1].splitlines()
        for line in (
            "traces_performed_total 20.0",
            "traces_in_progress 0.0",
            'anabranch_agent_connections_total{outcome="copied"} 5.0',
            "anabranch_agent_connections_waiting 0.0",
        ):
            assert line in lines
        wait_until("an archive", lambda: any(read_archives(site)), 2 * SECONDS)
    assert count_outcomes(site) == {"traced": 20, "copied": 5}


def test_what_waits_outlives_the_process(site: Site) -> None:
    """However often it is killed; no client is traced twice, and nothing is lost.

    Whose trace was cut off has had probes, and waits until it may have some again.
    """
    ends = 3
    with hear(site) as info:
        stand(site, rate=30, maxTraces=1)
        for number in range(ends):
            with site.run_agent("pod-1") as process:
                info.await_listener(SECONDS)
                part = CLIENTS[3 * number : 3 * number + 3]
                info.end(*part, *part)
                wait_traced(site, 1)
                process.kill()
                process.wait()
        site.change("Round", NAME, rate=2000)
        with site.run_agent("pod-1"):
            wait_waiting(site, 2 * ends)
            site.delete("Round", NAME)
            wait_until("its folder to go", lambda: not list_scratch(site), SECONDS)
    outcomes = count_outcomes(site)
    assert outcomes["traced"] >= 9 - ends
    assert outcomes["traced"] == outcomes["copied"]
    assert outcomes["dropped"] <= 2 * ends
    assert outcomes["traced"] + outcomes["copied"] + outcomes["dropped"] == 18
    assert outcomes["missed"] == ends
    told, _ = read_archives(site)
    traced = Counter(each["client"] for each in told if each["outcome"] == "traced")
    assert set(traced.values()) == {1}


def test_a_process_that_is_told_to_end_leaves_a_record(site: Site) -> None:
    """Its folder goes with the pod, so the next one can't go on with what waits."""
    with hear(site) as info:
        stand(site, rate=30, maxTraces=1)
        with site.run_agent("pod-1"):
            info.await_listener(SECONDS)
            info.end(*CLIENTS)
            wait_traced(site, 1)
        assert count_outcomes(site)["dropped"] > 1
        shutil.rmtree(site.folder / "scratch")
        with site.run_agent("pod-2"):
            info.await_listener(SECONDS)
            info.end("240.0.100.7")
            wait_traced(site, 1)
    told, _ = read_archives(site)
    assert len({each["uuid"] for each in told}) == len(told) == 21


def test_it_is_suspended_and_goes_on(site: Site) -> None:
    """What waits, waits; nothing is sent, and nobody listens."""
    with hear(site) as info, site.run_agent():
        stand(site, rate=30, maxTraces=1)
        info.await_listener(SECONDS)
        wait_serving(site)
        info.end(*CLIENTS[:6])
        wait_traced(site, 1)
        site.change("Round", NAME, suspend=True)
        site.wait(NAME, "Ready", "False", "Suspended")
        with tap_wire(site.network, LINK) as tap:
            assert not tap.listen(1)
        assert site.status(NAME)["connections"]["waiting"] > 1
        site.change("Round", NAME, suspend=False, rate=2000)
        info.await_listener(SECONDS)
        wait_serving(site)
        wait_waiting(site, 0)
    assert count_outcomes(site) == {"traced": 6, "missed": 1}


def test_a_round_that_goes_leaves_a_record_of_each_connection(site: Site) -> None:
    """What waited is given up, and nothing stays here."""
    with hear(site) as info, site.run_agent():
        stand(site, rate=30, maxTraces=1)
        info.await_listener(SECONDS)
        info.end(*CLIENTS)
        wait_traced(site, 2)
        site.delete("Round", NAME)
        wait_until("its folder to go", lambda: not list_scratch(site), SECONDS)
    told, _ = read_archives(site)
    assert len(told) == 20
    assert count_outcomes(site)["traced"] >= 2
    reasons = {each["reason"] for each in told if each["outcome"] == "dropped"}
    assert reasons == {"given up"}


def test_another_spec_goes_on_with_the_queue(site: Site) -> None:
    """Who was traced is not traced again, and who waits does so by the new spec."""
    with hear(site) as info, site.run_agent():
        stand(site, rate=30, maxTraces=1)
        info.await_listener(SECONDS)
        wait_serving(site)
        info.end(*CLIENTS[:6])
        wait_traced(site, 1)
        site.change("Round", NAME, suspend=True)
        stand(site, "changed", exclude=["240.0.5.0/24"])
        info.await_listener(SECONDS)
        wait_serving(site, "changed")
        site.delete("Round", NAME)
        info.end(CLIENTS[0])
        wait_counts(site, "changed", waiting=0, copied=1, dropped=1)
    assert count_outcomes(site) == {"traced": 5, "copied": 1, "dropped": 1, "missed": 1}
    told, _ = read_archives(site)
    (dropped,) = (each for each in told if each["outcome"] == "dropped")
    assert (dropped["client"], dropped["reason"]) == (CLIENTS[5], "excluded")


def test_what_a_round_leaves_that_goes_unseen_is_recorded(site: Site) -> None:
    """By the next process, of a Round that it never knew."""
    with hear(site) as info:
        stand(site, rate=30, maxTraces=1)
        with site.run_agent("pod-1") as process:
            info.await_listener(SECONDS)
            info.end(*CLIENTS)
            wait_traced(site, 1)
            process.kill()
            process.wait()
        site.delete("Round", NAME)
        site.to_store.cut()
        with site.run_agent("pod-1"):
            wait_until("a try", lambda: "not all is stored" in site.log, SECONDS)
            site.to_store.restore()
            wait_until("its folder to go", lambda: not list_scratch(site), SECONDS)
    told, _ = read_archives(site)
    assert len({each["uuid"] for each in told}) == len(told) == 20
    reasons = {each["reason"] for each in told if each["outcome"] == "dropped"}
    assert reasons == {"given up"}


def test_the_socket_may_go_and_come_back(site: Site) -> None:
    """The status says so, and so does the record of what may be missing."""
    with site.run_agent():
        with hear(site):
            pass
        stand(site)
    with site.run_agent():
        site.wait(NAME, "Ready", "False", "EventsUnavailable")
        with hear(site) as info:
            info.await_listener(SECONDS)
            wait_serving(site)
            info.end(*CLIENTS[:3])
            wait_counts(site, traced=3)
        site.wait(NAME, "Ready", "False", "EventsUnavailable")
        with hear(site) as info:
            info.await_listener(SECONDS)
            info.end(*CLIENTS[3:5])
            wait_counts(site, traced=5)
    outcomes = count_outcomes(site)
    assert outcomes["traced"] == 5
    assert outcomes["missed"] >= 1


def test_the_policy_has_the_last_word(site: Site) -> None:
    """Clients that opted out are not probed, and stop means silence."""
    with hear(site) as info, site.run_agent():
        site.change("ProbingPolicy", "default", exclusions=["240.0.3.0/24"])
        stand(site)
        info.await_listener(SECONDS)
        wait_serving(site)
        with tap_wire(site.network, LINK) as tap:
            info.end(*CLIENTS[:6])
            wait_counts(site, traced=5, dropped=1, waiting=0)
            assert not [to for _, to in tap.sent if str(to) == CLIENTS[3]]
            site.change("ProbingPolicy", "default", stop=True)
            site.wait(NAME, "Ready", "False", "PolicyStop")
            info.end(*CLIENTS[6:])
            assert not tap.listen(1)
        site.change("ProbingPolicy", "default", stop=False)
        wait_serving(site)
    told, _ = read_archives(site)
    (dropped,) = (each for each in told if each["outcome"] == "dropped")
    assert dropped["client"] == CLIENTS[3]


def test_what_ends_while_the_agent_is_cut_off_waits(site: Site) -> None:
    """No trace begins that could not send, and so would only reach its deadline."""
    deadline = 3
    with hear(site) as info, site.run_agent():
        stand(site, deadlineSeconds=deadline)
        info.await_listener(SECONDS)
        wait_serving(site)
        site.to_api.cut()
        wait_until("silence", lambda: site.ask("/readyz")[0] == 503, SECONDS)
        info.end(*CLIENTS[:5])
        wait_until("events", lambda: read_metric(site, WAITING) == 5, SECONDS)
        with tap_wire(site.network, LINK) as tap:
            assert not tap.listen(deadline + 1)
        site.to_api.restore()
        wait_counts(site, traced=5, waiting=0, dropped=0)
    assert count_outcomes(site) == {"traced": 5}


def test_who_has_nothing_to_send_leaves_the_rate_to_others(site: Site) -> None:
    """And gets its share back when connections end."""
    lines = [f"240.0.{number}.0/24,udp,1,20,50" for number in range(150)]
    with hear(site) as info, site.run_agent():
        stand(site, rate=2000)
        info.await_listener(SECONDS)
        wait_serving(site)
        site.create_round(lines, rate=4000)
        granted = "anabranch_agent_granted_rate"
        wait_until("both", lambda: read_metric(site, granted) == 4001, SECONDS)
        info.end(*CLIENTS)
        wait_until("shares", lambda: read_metric(site, granted) == 5000, SECONDS)
        wait_counts(site, traced=20)


def test_the_rights_of_its_pod_let_it_hear_the_kernel(site: Site) -> None:
    """Of real connections, in the network namespace that it is in."""
    rights = "-all,+net_raw,+net_admin"
    pod = ["setpriv", "--no-new-privs", f"--bounding-set={rights}"]
    with (
        run_clients(site.network) as connect,
        site.run_agent(rights=[*pod, f"--inh-caps={rights}"]),
    ):
        stand(site, source="kernel", ports=[PORT])
        wait_serving(site)
        connect(CLIENTS[:5])
        wait_counts(site, traced=5, waiting=0, dropped=0)
    told, _ = read_archives(site)
    assert {each["client"] for each in told} == set(CLIENTS[:5])
    assert {each["server_port"] for each in told} == {PORT}
