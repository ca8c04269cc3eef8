"""What is told, is what docs/metrics.md says."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prometheus_client.exposition import generate_latest

from devcluster.binaries import PROMETHEUS, PROMTOOL, build
from devcluster.process import run_tool
from exposition import watch_agent, watch_limited_operator, watch_operator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import CollectorRegistry

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "metrics.md"
EXAMPLE = ROOT / "examples" / "monitoring" / "prometheus.yaml"
SAMPLES = 250
"""So many at most each process tells of."""


def describe(registry: CollectorRegistry) -> Iterator[str]:
    """The lines of the tables that the page must have."""
    for metric in registry.collect():
        name = metric.name + ("_total" if metric.type == "counter" else "")
        labels = sorted({label for each in metric.samples for label in each.labels})
        more = ", ".join(label for label in labels if label != "le")
        name = f"`{name}`" + (f" by `{more}`" if more else "")
        yield f"| {name} | {metric.type} | {metric.documentation} |"


def read_table(title: str) -> list[str]:
    """The lines of the table under a title of the page."""
    _, _, rest = PAGE.read_text().partition(f"\n## {title}\n")
    section, _, _ = rest.partition("\n## ")
    return [line for line in section.splitlines() if line.startswith("| `")]


def read_example() -> list[dict[str, Any]]:
    """The objects of the Prometheus that the page names."""
    return list(yaml.safe_load_all(EXAMPLE.read_text()))


@pytest.mark.parametrize(
    ("title", "watch"),
    [("The operator", watch_limited_operator), ("Agents", watch_agent)],
)
def test_the_page_has_a_line_for_each_metric(
    title: str, watch: Callable[[], CollectorRegistry]
) -> None:
    """And for nothing else, each with the words that Prometheus is told."""
    assert [*read_table("Both"), *read_table(title)] == list(describe(watch()))


def test_the_page_has_the_job_of_the_example() -> None:
    """It is the one that tests/cluster has a real Prometheus run."""
    maps = [each for each in read_example() if each["kind"] == "ConfigMap"]
    (config,) = [yaml.safe_load(each["data"]["prometheus.yml"]) for each in maps]
    text = PAGE.read_text().partition("\n## Prometheus alone\n")[2]
    lines = itertools.takewhile(
        lambda line: not line or line.startswith("    "),
        itertools.dropwhile(lambda line: "job_name" not in line, text.splitlines()),
    )
    assert yaml.safe_load("\n".join(lines)) == config["scrape_configs"]


def test_the_example_runs_the_prometheus_that_tests_build() -> None:
    """The version of the image is that of the Go module."""
    text = (PROMETHEUS.folder / "go.mod").read_text()
    (version,) = re.findall(r"github\.com/prometheus/prometheus v0\.(\d+\.\d+)", text)
    minor, patch = version.split(".")
    (deployment,) = [each for each in read_example() if each["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    # Prometheus 3.5 is the module's version 0.305.
    tag = f"v{minor[0]}.{int(minor[1:])}.{patch}"
    assert container["image"] == f"docker.io/prom/prometheus:{tag}"


@pytest.mark.parametrize("watch", [watch_operator, watch_agent])
def test_promtool_finds_no_fault(watch: Callable[[], CollectorRegistry]) -> None:
    """Names, units and texts are as Prometheus wants them; and they are not many."""
    text = generate_latest(watch()).decode()
    assert run_tool(build(PROMTOOL), "check", "metrics", stdin=text) == ""
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(samples) < SAMPLES
