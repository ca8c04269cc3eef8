"""The dashboard is one that Grafana shows, of what is told."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from exposition import find_selectors, list_samples

FILES = Path(__file__).parents[2] / "charts" / "anabranch" / "files"
DASHBOARD: dict[str, Any] = json.loads((FILES / "dashboard.json").read_text())
COLUMNS = 24
"""How wide a dashboard is."""


def test_panels_ask_for_what_is_told() -> None:
    """By name and by labels; each in the namespace that is chosen."""
    samples = list_samples()
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            selectors = list(find_selectors(target["expr"]))
            assert selectors, target
            for selector in selectors:
                assert ("namespace", "=~", "$namespace") in selector.matchers, target
                found = (selector.selects(each.name, each.labels) for each in samples)
                assert any(found), (panel["title"], selector)


def test_panels_lie_side_by_side() -> None:
    """None is under another one, or beyond the edge; each has a number and a title."""
    places: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= COLUMNS
        columns = range(at["x"], at["x"] + at["w"])
        own = set(itertools.product(columns, range(at["y"], at["y"] + at["h"])))
        assert not places & own, panel["title"]
        places |= own
    for name in ("id", "title"):
        found = [panel[name] for panel in DASHBOARD["panels"]]
        assert len(set(found)) == len(found)


def test_whoever_imports_it_chooses_the_prometheus() -> None:
    """No panel names one of its author's."""
    (source, _) = DASHBOARD["templating"]["list"]
    assert (source["name"], source["type"]) == ("datasource", "datasource")
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in DASHBOARD["panels"]:
        assert panel["datasource"] == chosen
        assert all(each["datasource"] == chosen for each in panel["targets"])
