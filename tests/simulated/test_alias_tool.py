"""Alias resolution across the traces of another measurement, on real packets."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING

import polars as pl
import pytest
import yaml

from anabranch.cli import main
from anabranch.warehouse.survey import Survey, open_survey
from invocation import invoke
from surveying import command, write_manifests
from world import World

if TYPE_CHECKING:
    from pathlib import Path

TARGETS = ["240.0.0.0/17,udp,1,32,6", "3fff::/60,udp,1,32,6"]
SWITCHES = {
    "interface-ids": 0.05,
    "constant-ids": 0.1,
    "random-ids": 0.05,
    "copied-ids": 0.05,
    "id-rate": 5000.0,
}
Pairs = set[frozenset[str]]


def write_aliases(file: Path, of: dict[str, str]) -> Path:
    """A manifest of measurements, each of which compares what another one has found."""
    documents = [
        {
            "apiVersion": "anabranch.dev/v1alpha1",
            "kind": "Measurement",
            "metadata": {"name": name},
            "spec": {
                "aliases": {"of": subject},
                "agents": [{"name": "all", "selector": {}}],
            },
        }
        for name, subject in of.items()
    ]
    file.write_text(yaml.safe_dump_all(documents))
    return file


@pytest.fixture(scope="module")
def world() -> World:
    """Routers of all kinds, with fast and slow counters."""
    return World(128, 16, switches=SWITCHES)


@pytest.fixture(scope="module")
def data(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Single paths, and the routers on them."""
    folder = tmp_path_factory.mktemp("aliases")
    manifests = write_manifests(folder / "m", TARGETS, tool={"yarrp": {}})
    aliases = write_aliases(folder / "m/aliases.yaml", {"routers": "survey"})
    words = command(manifests, folder / "data")
    world.run(*words[:-2], str(aliases), *words[-2:], seconds=300)
    return folder / "data"


@pytest.fixture
def paths(data: Path) -> Survey:
    """What was found of paths."""
    return open_survey(data, "survey")


@pytest.fixture
def routers(data: Path) -> Survey:
    """What was found of routers."""
    return open_survey(data, "routers")


def pair(groups: dict[str, set[str]]) -> Pairs:
    """All pairs of addresses of a router."""
    return {
        frozenset(both) for group in groups.values() for both in combinations(group, 2)
    }


def group(routers: Survey) -> dict[str, str]:
    """The router that was found of each address that has one with several."""
    return {
        row["addr"]: row["router_addr"]
        for row in routers.routers.to_pylist()
        if not row["is_in_conflict"]
    }


def test_it_finds_routers_across_traces(
    world: World, paths: Survey, routers: Survey, tmp_path: Path
) -> None:
    """No others than there are, and most of those whose addresses it can compare."""
    world.simulation.write_truth(tmp_path)
    met = set(paths.interfaces["addr"].to_pylist())
    there, found = defaultdict(set), defaultdict(set)
    for row in pl.read_parquet(tmp_path / "interfaces.parquet").iter_rows(named=True):
        if row["address"] in met:
            there[row["router"]].add(row["address"])
    for address, router in group(routers).items():
        found[router].add(address)
    known, pairs = pair(there), pair(found)
    v4 = {both for both in known if not any(":" in each for each in both)}
    assert pairs <= known
    assert len(pairs & v4) > 0.6 * len(v4)


def test_links_are_those_of_the_measurement_that_it_names(
    paths: Survey, routers: Survey
) -> None:
    """Between interfaces as that has them, between routers by what was found."""
    links = paths.links.to_pylist()
    assert sorted(map(str, routers.links.to_pylist())) == sorted(map(str, links))
    router_of = group(routers)
    ends = {
        tuple(router_of.get(row[end], row[end]) for end in ("near_addr", "far_addr"))
        for row in links
        if not row["is_suspect"]
    }
    between = routers.router_links.to_pylist()
    told = {(row["near_router"], row["far_router"]) for row in between}
    assert told == {(near, far) for near, far in ends if near != far}
    assert routers.diamonds.num_rows == paths.diamonds.num_rows
    assert None not in routers.diamonds["becomes"].to_pylist()


def test_its_aliases_are_scored_by_the_network_that_they_are_in(
    data: Path, routers: Survey
) -> None:
    """Those that it accepts, and all of the interfaces that were found."""
    accepted = {
        frozenset((row["first_addr"], row["second_addr"]))
        for row in routers.aliases.to_pylist()
        if row["verdict"] == "accept"
    }
    files = [str(data.parent / "m" / name) for name in ("survey.yaml", "aliases.yaml")]
    simulation = ["--prefixes", "128", "--prefixes-v6", "16"]
    simulation += [f"--set={name}={value}" for name, value in SWITCHES.items()]
    told = invoke("score", *files, "--data", str(data), *simulation)
    every = f"{len(accepted)} of {len(accepted)} accepted pairs are of one router"
    assert f"routers: aliases: precision 1.0000: {every}" in told
    (share,) = re.findall(r"routers: aliases: recall (0\.\d+): of", told)
    assert 0.5 < float(share) < 1
    assert "survey: aliases" not in told
    assert "routers: precision" not in told


def test_it_has_no_traces(routers: Survey) -> None:
    """Its probes say nothing of paths."""
    with pytest.raises(LookupError, match="the tool is not trace"):
        _ = routers.traces


def test_its_report_tells_of_both(data: Path, tmp_path: Path) -> None:
    """Of the links of the other measurement, and of the routers."""
    report = tmp_path / "report.html"
    words = ["report", "routers", "--data", str(data), "--output", str(report)]
    assert main(words) == 0
    text = report.read_text()
    assert "alias resolution among the interfaces" in text
    assert "Routers with several addresses" in text
    assert "Widest diamonds" in text


def test_it_says_why_it_can_not_compare(data: Path, tmp_path: Path) -> None:
    """There is no such run, or it compares addresses itself."""
    manifests = data.parent / "m/survey.yaml"
    for subject, reason in (
        ("nobody", "there is no run of default.nobody"),
        ("routers", "it is of the tool aliases itself; name one with paths"),
    ):
        more = write_aliases(tmp_path / "more.yaml", {"more": subject})
        words = ["run", str(manifests), str(more), "--data", str(data), "--dry-run"]
        told = invoke(*words, code=1)
        assert f"more: aliases.of, Measurement {subject!r}: {reason}" in told
