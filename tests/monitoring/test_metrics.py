"""What is told, is what docs/metrics.md says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.exposition import generate_latest

from devcluster.binaries import PROMTOOL, build
from devcluster.process import run_tool
from exposition import watch_agent, watch_operator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import CollectorRegistry

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
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


@pytest.mark.parametrize(
    ("title", "watch"), [("The operator", watch_operator), ("Agents", watch_agent)]
)
def test_the_page_has_a_line_for_each_metric(
    title: str, watch: Callable[[], CollectorRegistry]
) -> None:
    """And for nothing else, each with the words that Prometheus is told."""
    assert [*read_table("Both"), *read_table(title)] == list(describe(watch()))


@pytest.mark.parametrize("watch", [watch_operator, watch_agent])
def test_promtool_finds_no_fault(watch: Callable[[], CollectorRegistry]) -> None:
    """Names, units and texts are as Prometheus wants them; and they are not many."""
    text = generate_latest(watch()).decode()
    assert run_tool(build(PROMTOOL), "check", "metrics", stdin=text) == ""
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(samples) < SAMPLES
