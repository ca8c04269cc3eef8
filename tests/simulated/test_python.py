"""Surveys from Python: tables, the recipes of the page, and the notebook."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import anabranch
from surveying import command, write_manifests
from world import World

if TYPE_CHECKING:
    import pyarrow as pa

ROOT = Path(__file__).parents[2]
TARGETS = ["240.0.0.0/19,udp,1,32,6", "3fff::/60,icmp6,1,32,6"]
TABLES = (
    *("interfaces", "links", "diamonds", "diamond_distributions", "diamond_sizes"),
    *("paths", "replies", "rewrites"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of a survey, the second with fewer flows, in anabranch-data.

    Beside it, a file says that each address is of one AS or another.
    """
    folder = tmp_path_factory.mktemp("survey")
    for run_id, rounds in (("1", 4), ("2", 1)):
        manifests = write_manifests(
            folder / run_id, TARGETS, runId=run_id, maxRounds=rounds
        )
        World(32, 16).run(*command(manifests, folder / "anabranch-data"))
    survey = anabranch.open(folder / "anabranch-data", "survey", run_id="1")
    addresses = sorted(map(str, survey.interfaces["addr"].to_pylist()))
    routes = (
        f"{address}\t{128 if ':' in address else 32}\t{64500 + number % 2}\n"
        for number, address in enumerate(addresses)
    )
    (folder / "routes.pfx2as").write_text("".join(routes))
    return folder


def execute(
    code: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Executes pieces of code one after the other, in a folder; what they define."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    names: dict[str, Any] = {}
    for piece in code:
        exec(piece, names)  # noqa: S102 (it is our own)
    return names


def test_tables_are_read_whole_or_in_batches(folder: Path) -> None:
    """With the same rows, while others are read too."""
    survey = anabranch.open(folder / "anabranch-data", "survey", run_id="1")
    streams = {table: survey.stream(table) for table in TABLES}
    for table in TABLES:
        whole = survey.read(table)
        assert whole.num_rows > 0 or table == "rewrites"
        assert _sort(streams[table].read_all()) == _sort(whole)
    assert survey.links.column_names == survey.read("links").column_names
    assert {
        str(field.type) for field in survey.interfaces.schema if field.name == "addr"
    } == {"string"}
    with pytest.raises(LookupError, match="there are no traces: the tool is not trace"):
        survey.stream("traces")
    with pytest.raises(LookupError, match="there is no table 'nothing', only"):
        survey.read("nothing")


def test_paths_are_the_links_to_each_target(folder: Path) -> None:
    """Together they are all links that are not suspect."""
    survey = anabranch.open(folder / "anabranch-data", "survey", run_id="1")
    ends = {(r["near_addr"], r["far_addr"]) for r in survey.paths.to_pylist()}
    links = [row for row in survey.links.to_pylist() if not row["is_suspect"]]
    assert ends == {(row["near_addr"], row["far_addr"]) for row in links}
    flows = sum(row["flows"] for row in survey.paths.to_pylist())
    assert flows == sum(row["flows"] for row in links)


def test_the_recipes_of_the_page_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other."""
    page = (ROOT / "docs" / "python.md").read_text()
    recipes = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    made = execute(recipes, folder, monkeypatch)
    assert made["links"].num_rows > 50
    assert len(made["slowest"]) == made["busiest"].height == 5
    assert made["widths"].sum() == len(made["diamonds"]) > 0
    assert set(made["gone"]["change"]) <= {"went"}
    assert len(made["between"]) > 0


def test_the_notebook_works(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of its cells."""
    notebook = json.loads((ROOT / "examples" / "survey.ipynb").read_text())
    cells = [
        "".join(cell["source"])
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    ]
    assert not any(cell.get("outputs") for cell in notebook["cells"])
    made = execute(cells, folder, monkeypatch)
    assert len(made["found"]) > 5
    assert 0 < len(made["of_as"]) < len(made["links"])
    assert set(made["neighbours"]["near_asn"]) == {64500, 64501}
    assert made["hops"]["interfaces"].max() > 1
    assert len(made["times"]) > 5
    assert len(made["went"]) > 0


def _sort(table: pa.Table) -> list[str]:
    return sorted(map(str, table.to_pylist()))
