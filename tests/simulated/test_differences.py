"""Two surveys compared: what came, went and changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

import anabranch
from anabranch.warehouse import survey as opening
from anabranch.warehouse.difference import Difference
from invocation import invoke
from surveying import command, write_manifests
from world import World

if TYPE_CHECKING:
    from pathlib import Path

TARGETS = ["240.0.0.0/19,udp,1,32,6", "3fff::/60,icmp6,1,32,6"]
WORLD = World(32, 16)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs in one Internet, of many flows and of two, and one in another."""
    folder = tmp_path_factory.mktemp("survey")
    few = [line.replace(",6", ",2") for line in TARGETS]
    for world, run_id, targets, rounds in (
        (WORLD, "full", TARGETS, 5),
        (WORLD, "few", few, 1),
        (World(32, 16, seed=2), "other", TARGETS, 3),
    ):
        manifests = write_manifests(
            folder / run_id, targets, runId=run_id, maxRounds=rounds
        )
        world.run(*command(manifests, folder / "data"))
    return folder / "data"


def diff(data: Path, *words: str, code: int = 0) -> str:
    """What `anabranch diff` says; errors where it is to fail."""
    return invoke("diff", *words, "--data", str(data), code=code)


def find_links(data: Path, run_id: str) -> set[tuple[str, str]]:
    """The links of a run that are not suspect."""
    rows = anabranch.open(data, "survey", run_id=run_id).links.to_pylist()
    return {(r["near_addr"], r["far_addr"]) for r in rows if not r["is_suspect"]}


def read_links(data: Path, before: str, after: str) -> list[dict[str, Any]]:
    """The links that differ."""
    first, second = (
        anabranch.open(data, "survey", run_id=run_id) for run_id in (before, after)
    )
    rows: list[dict[str, Any]] = first.diff(second, "links").to_pylist()
    return rows


def test_a_survey_differs_not_from_itself(data: Path) -> None:
    """Nothing comes, goes or changes."""
    for line in diff(data, "survey/full", "survey/full").splitlines():
        assert line.split(": ")[0] in {"interfaces", "links", "diamonds"}
        assert " the same, 0 came, 0 went" in line
        assert line.endswith(", 0 changed")
    words = ("survey/full", "survey/full", "--table", "links")
    assert len(diff(data, *words).splitlines()) == 1


def test_links_come_and_go_as_the_surveys_say(data: Path) -> None:
    """Whichever is the first."""
    full, few = find_links(data, "full"), find_links(data, "few")
    rows = read_links(data, "full", "few")
    ends = {
        change: {
            (row["near_addr"], row["far_addr"])
            for row in rows
            if row["change"] == change
        }
        for change in ("came", "went")
    }
    assert ends["went"] == full - few
    assert ends["came"] == few - full
    assert len(ends["went"]) > 20
    back = read_links(data, "few", "full")
    assert {
        (row["near_addr"], row["far_addr"]) for row in back if row["change"] == "came"
    } == ends["went"]


def test_a_link_that_went_was_missed_as_its_flows_say(data: Path) -> None:
    """By the flows to each target that left its near end."""
    before = anabranch.open(data, "survey", run_id="full").paths.to_pylist()
    after = anabranch.open(data, "survey", run_id="few").paths.to_pylist()
    rows = [row for row in read_links(data, "full", "few") if row["change"] == "went"]
    for row in rows:
        ends = (row["near_addr"], row["far_addr"])
        prefixes = {
            (path["prefix"], path["protocol"])
            for path in before
            if (path["near_addr"], path["far_addr"]) == ends
        }
        flows, missed, crossed = 0, 1.0, 0
        for prefix in prefixes:
            old, new = (
                [
                    path
                    for path in paths
                    if (path["prefix"], path["protocol"]) == prefix
                    and path["near_addr"] == ends[0]
                ]
                for paths in (before, after)
            )
            if new:
                known = len({path["far_addr"] for path in old + new}) - 1
                sent = sum(path["flows"] for path in new)
                flows += sent
                crossed += 1
                missed *= (known / (known + 1)) ** sent
        assert (row["prefixes"], row["crossed_prefixes"]) == (len(prefixes), crossed)
        assert row["flows"] == flows
        assert row["failure_probability"] == pytest.approx(missed)
        assert row["verdict"] == ("gone" if missed <= 0.05 else "unsure")


def test_what_few_flows_miss_is_seldom_said_to_be_gone(data: Path) -> None:
    """But the links of another Internet are, where flows cross their near ends."""
    rows = [row for row in read_links(data, "full", "few") if row["change"] == "went"]
    gone = [row for row in rows if row["verdict"] == "gone"]
    assert len(gone) < 0.1 * len(rows)
    told = diff(data, "survey/full", "survey/other")
    assert "links: " in told
    words = ("survey/full", "survey/few", "--table", "links", "--format", "jsonl")
    strict = diff(data, *words, "--failure-probability", "1e-9").splitlines()
    assert not [line for line in strict if '"gone"' in line]


def test_tables_are_the_same_in_all_formats_and_from_python(
    data: Path, tmp_path: Path
) -> None:
    """And in whatever pieces they are compared."""
    file = tmp_path / "links.parquet"
    words = ("survey/full", "survey/few", "--table")
    diff(data, *words, "links", "--format", "parquet", "--output", str(file))
    before, after = (
        anabranch.open(data, "survey", run_id=run_id) for run_id in ("full", "few")
    )
    assert pq.read_table(file).to_pylist() == before.diff(after, "links").to_pylist()
    with opening.open_difference(before, after, 0.05) as whole:
        pieces = Difference(whole.before, whole.after, tmp_path, 0.05, piece_rows=99)
        links = whole.engine.read(pieces.select("links"))
        assert links.to_pylist() == before.diff(after, "links").to_pylist()
    for table in ("interfaces", "diamonds"):
        rows = before.diff(after, table).to_pylist()
        assert len(diff(data, *words, table).splitlines()) == len(rows) + 1
        assert {row["change"] for row in rows} <= {"came", "went", "changed"}


def test_what_can_not_be_compared_is_told(data: Path) -> None:
    """In one line."""
    told = diff(data, "survey", "survey/few", code=1)
    assert "default.survey has the runs few, full, other; choose one" in told
    told = diff(data, "survey/few", "survey/full", "--after-data", "nowhere", code=1)
    assert "there is no folder nowhere" in told
    words = ("survey/few", "survey/full", "--failure-probability", "1")
    assert "must be between 0 and 1" in diff(data, *words, code=1)
    survey = anabranch.open(data, "survey", run_id="few")
    with pytest.raises(LookupError, match="no difference of 'replies', only of"):
        survey.diff(survey, "replies")
