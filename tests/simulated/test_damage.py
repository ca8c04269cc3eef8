"""Whatever happens to an object of a run: it is named, with what is wrong and to do."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anabranch.warehouse.damage import DamagedError
from invocation import invoke
from onesurvey import open_run, run_command, write_table
from surveying import survey, write_manifests
from world import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WORLD = World(32, 16)
TARGETS = ["240.0.0.0/19,udp,1,32,6", "3fff::/60,icmp6,1,32,6"]
TRACES = {"trace": {"prefixLenV4": 24, "prefixLenV6": 64}}


@pytest.fixture(scope="module")
def surveyed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished survey: its manifests, and its data in data."""
    folder = tmp_path_factory.mktemp("survey")
    survey(WORLD, write_manifests(folder, TARGETS, maxRounds=4), folder / "data")
    return folder


@pytest.fixture
def data(surveyed: Path, tmp_path: Path) -> Path:
    """A copy of its data, to be damaged."""
    return shutil.copytree(surveyed / "data", tmp_path / "data")


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a finished survey of traces."""
    folder = tmp_path_factory.mktemp("traced")
    survey(WORLD, write_manifests(folder, TARGETS, tool=TRACES), folder / "data")
    return folder / "data"


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def fill(file: Path) -> None:
    file.write_bytes(b"no object of ours " * 99)


def garble(file: Path) -> None:
    """Its end is as it was."""
    content = bytearray(file.read_bytes())
    content[4:200] = b"\xff" * 196
    file.write_bytes(content)


def replace(file: Path) -> None:
    file.unlink()
    if file.suffix == ".json":
        file.write_text('{"some": "other"}')
    else:
        pq.write_table(pa.table({"some": [1]}), file)


def remove(file: Path) -> None:
    file.unlink()


def write_tables(data: Path, folder: Path, *tables: str) -> None:
    """Some tables of the results."""
    for table in tables:
        write_table(data, table, "csv", folder / f"{table}.csv")


@pytest.mark.parametrize("damage", [cut, empty, fill, garble, replace, remove])
@pytest.mark.parametrize(
    ("pattern", "remedy"),
    [
        ("001-00/replies/*/*.parquet", "put a whole copy of it back"),
        ("001-00/prefixes/*.parquet", "remove it and"),
        ("001-00/links/*.parquet", "remove it and"),
        ("targets.parquet", "put a whole copy of it back"),
    ],
)
def test_results_name_what_is_damaged(
    damage: Callable[[Path], None],
    pattern: str,
    remedy: str,
    data: Path,
    tmp_path: Path,
) -> None:
    """Whichever object, and whatever is wrong with it."""
    keys = open_run(data)
    (file,) = (data / keys.root).glob(pattern)
    if damage is garble and file.parent.name == "prefixes":
        # What is garbled there is not looked at, unless a prefix has amplification.
        damage = cut
    damage(file)
    with pytest.raises(DamagedError) as told:
        write_tables(data, tmp_path, "interfaces", "replies", "links", "diamonds")
    key = str(file.relative_to(data))
    assert str(told.value).startswith((f"{key} is", f"{key} has other columns"))
    assert remedy in str(told.value)
    assert "DB::Exception" not in str(told.value)


@pytest.mark.parametrize("damage", [cut, empty, fill, garble, replace, remove])
def test_traces_name_the_part_that_is_damaged(
    damage: Callable[[Path], None], traced: Path, tmp_path: Path
) -> None:
    """Whatever is wrong with it; the table of probes has all of its columns."""
    data = shutil.copytree(traced, tmp_path / "data")
    (part,) = (data / open_run(data).root).glob("001-00/replies/*/*.parquet")
    damage(part)
    with pytest.raises(DamagedError) as told:
        write_tables(data, tmp_path, "traces", "probes")
    key = str(part.relative_to(data))
    assert str(told.value).startswith((f"{key} is", f"{key} has other columns"))
    assert "put a whole copy of it back" in str(told.value)


def test_what_can_be_made_anew_is(surveyed: Path, data: Path, tmp_path: Path) -> None:
    """By the remedy that is told, and as it was."""
    before = tmp_path / "before.csv"
    write_table(data, "links", "csv", before)
    root = data / open_run(data).root
    cut(next(root.glob("002-00/links/*.parquet")))
    (line,) = invoke("results", "survey", "--data", str(data), code=1).splitlines()
    remedy = line.partition("; remove it and ")[2]
    outcome = data / remedy.partition(",")[0]
    next(root.glob("002-00/links/*.parquet")).unlink()
    outcome.unlink()
    code, _, errors = run_command(WORLD, surveyed / "survey.yaml", data)
    assert (code, errors) == (0, "")
    after = tmp_path / "after.csv"
    write_table(data, "links", "csv", after)
    assert sorted(after.read_text().splitlines()) == sorted(
        before.read_text().splitlines()
    )


def test_a_run_that_goes_on_names_what_is_damaged(surveyed: Path, data: Path) -> None:
    """On one line."""
    root = data / open_run(data).root
    fill(root / "002-00" / "outcome.json")
    code, _, errors = run_command(WORLD, surveyed / "survey.yaml", data)
    assert code == 1
    assert "002-00/outcome.json is not what was written" in errors
