"""A real Prometheus, set up as docs/metrics.md says, sees a survey."""

from __future__ import annotations

import contextlib
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
import yaml

from clustersurvey import Survey
from dashboardpicture import Series, draw
from devcluster.binaries import PROMETHEUS, build
from devcluster.process import find_free_ports, run_program, run_tool, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "monitoring" / "prometheus.yaml"
FILES = ROOT / "charts" / "anabranch" / "files"
PICTURE = ROOT / "build" / "dashboard.svg"
HEALTH_PORT = 9465
SCRAPED = "2s"
"""Instead of 15 s, so that a test sees changes."""
RATED = "10s"
RATE = 80
"""So slow that all of this can be seen while it lasts."""
SECONDS = 60.0
_HTTP = urllib3.PoolManager(retries=False, timeout=10)


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus that can be asked."""

    url: str

    def ask(self, path: str, **query: str) -> Any:
        """What its API says."""
        answer = _HTTP.request("GET", f"{self.url}/api/v1/{path}", fields=query)
        assert answer.status == 200, answer.data
        return answer.json()["data"]

    def query(self, text: str) -> dict[str, float]:
        """The values that a query has now, by the labels that are left."""
        return {
            json.dumps(each["metric"], sort_keys=True): float(each["value"][1])
            for each in self.ask("query", query=text)["result"]
        }

    def follow(self, text: str, seconds: float) -> list[Series]:
        """The values that a query had in the last seconds."""
        end = time.time()
        span = {"start": str(end - seconds), "end": str(end), "step": SCRAPED}
        return [
            Series(
                each["metric"],
                [float(at) for at, _ in each["values"]],
                [float(value) for _, value in each["values"]],
            )
            for each in self.ask("query_range", query=text, **span)["result"]
        ]

    def list_alerts(self) -> dict[str, str]:
        """The alerts that there are, with their states."""
        found = self.ask("alerts")["alerts"]
        return {each["labels"]["alertname"]: each["state"] for each in found}


@pytest.fixture
def prometheus(
    cluster: Cluster, installed: Demo, tmp_path: Path
) -> Iterator[Prometheus]:
    """The example's, with the chart's rules."""
    text = EXAMPLE.read_text()
    (image,) = re.findall(r"image: (\S+)", text)
    cluster.images.wrap(build(PROMETHEUS), image)
    cluster.load_images()
    system = installed.system
    rules = ("configmap", "prometheus-rules")
    quick = re.sub(r"_interval: 15s", f"_interval: {SCRAPED}", text)
    try:
        system.run("create", *rules, f"--from-file={FILES / 'rules.yaml'}")
        system.apply(quick)
        system.run("rollout", "status", "deployment/prometheus", "--timeout=60s")
        (port,) = find_free_ports(1)
        words = ("port-forward", "deployment/prometheus", f"{port}:9090")
        log = tmp_path / "port-forward.log"
        with run_program(system.list_words(*words), log):
            wait_until("its port", lambda: "Forwarding from" in log.read_text(), 20)
            yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        system.run("delete", "--ignore-not-found", *rules)
        delete = ("delete", "--ignore-not-found", "--wait=false", "--filename=-")
        system.run(*delete, stdin=text)


def read_dashboard() -> dict[str, Any]:
    """The dashboard, of all namespaces."""
    text = (FILES / "dashboard.json").read_text()
    text = text.replace("$namespace", ".*").replace("$__rate_interval", RATED)
    dashboard: dict[str, Any] = json.loads(text)
    return dashboard


@contextlib.contextmanager
def stopped_probing(system: Kubectl) -> Iterator[None]:
    """The policy says stop, as long as a ``with`` lasts."""
    words = ("patch", "probingpolicy", "default", "--type=merge", "--patch")
    system.run(*words, '{"spec":{"stop":true}}')
    try:
        yield
    finally:
        system.run(*words, '{"spec":{"stop":false}}')


def send_as_asked(prometheus: Prometheus) -> bool:
    """Whether each agent sends what it is to, within what a few scrapes tell."""
    text = "sum by (pod) (rate(anabranch_agent_probes_sent_total[10s]))"
    sent = {
        json.loads(labels)["pod"]: rate
        for labels, rate in prometheus.query(text).items()
    }
    assert sent.keys() == {"anabranch-agent-paris", "anabranch-agent-tokyo"}
    return all(0.8 * RATE < rate < 1.2 * RATE for rate in sent.values())


def test_prometheus_sees_a_survey(
    cluster: Cluster, installed: Demo, kubectl: Kubectl, prometheus: Prometheus
) -> None:
    """Each panel has data while it runs, no alert disturbs, and a stop is noticed.

    ``build/dashboard.svg`` is a picture of the panels from its start to its end.
    """
    wait_until(
        "three targets",
        lambda: len(prometheus.query("up == 1")) == 3,
        SECONDS,
    )
    survey, began = Survey(cluster, installed, kubectl), time.time()
    survey.start(tool="yarrp", rate=RATE)
    survey.wait_probing()
    dashboard = read_dashboard()
    # Counts by reason show those that are not zero.
    queries = [
        target["expr"].removesuffix(" > 0")
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]

    def find_empty() -> list[str]:
        return [query for query in queries if not prometheus.query(query)]

    wait_until(
        "rates", lambda: len(prometheus.query(f"rate(up[{RATED}])")) == 3, SECONDS
    )
    wait_until("data in each panel", lambda: not find_empty(), SECONDS)
    probing = 'anabranch_rounds{state="probing"} == 2'
    wait_until("two Rounds", lambda: bool(prometheus.query(probing)), SECONDS)
    wait_until("both to send", lambda: send_as_asked(prometheus), SECONDS)
    status, _ = survey.finish()
    assert status["agents"]["finished"] == 2

    total = "sum(anabranch_agent_probes_sent_total)"
    wait_until(
        "all probes to be counted",
        lambda: prometheus.query(total)["{}"] >= status["totals"]["probes"],
        SECONDS,
    )
    groups = prometheus.ask("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    written = yaml.safe_load((FILES / "rules.yaml").read_text())["groups"]
    assert len(rules) == sum(len(group["rules"]) for group in written)
    assert {rule["health"] for rule in rules} == {"ok"}
    wait_until("no alert", lambda: not prometheus.list_alerts(), SECONDS)
    assert prometheus.query('count_over_time(ALERTS{alertstate="firing"}[10m])') == {}
    PICTURE.parent.mkdir(exist_ok=True)
    seconds = time.time() - began
    shown = draw(dashboard, lambda text: prometheus.follow(text, seconds), PICTURE)
    empty = {title for title, count in shown.items() if not count}
    assert empty <= {"Measurements that do not go on, by reason"}
    with stopped_probing(installed.system):
        noticed = {"AnabranchProbingStopped": "pending"}
        wait_until("it", lambda: prometheus.list_alerts() == noticed, SECONDS)


def test_agents_are_asked_at_their_nodes_addresses_alone(
    cluster: Cluster, installed: Demo
) -> None:
    """What they tell is not told to the Internet, nor on any other link."""
    installed.wait_agents()
    for node in cluster.nodes:
        command = node.enter("ss", "--listening", "--tcp", "--numeric", "--no-header")
        places = [line.split()[3] for line in run_tool(*command).splitlines()]
        own = [place for place in places if place.endswith(f":{HEALTH_PORT}")]
        assert own == [f"{node.member.address}:{HEALTH_PORT}"]
