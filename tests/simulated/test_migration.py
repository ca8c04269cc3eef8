"""What docs/migrate.md says, done command by command with files of other tools."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
import zstandard

import anabranch
from diamondminer import DiamondMiner
from invocation import invoke
from surveying import survey, write_manifests
from world import World

PAGE = (Path(__file__).parents[2] / "docs" / "migrate.md").read_text()
WORLD = World(24, 24)
TARGETS = ["240.0.0.0/21,udp,1,32,6", "240.0.8.0/22,icmp,1,32,6"]
DESTINATIONS = [f"240.0.{n}.9" for n in range(4)]
SITE = [
    {
        "kind": "ProbingPolicy",
        "metadata": {"name": "default"},
        "spec": {
            "contact": "tests@example.org",
            "allow": ["240.0.0.0/4"],
            "allowReserved": True,
            "maxRatePerPrefix": 1000,
        },
    },
    {
        "kind": "Agent",
        "metadata": {"name": "ddd8541d-b4f5-42ce-b163-e3e9bfcd0a47"},
        "spec": {"nodeName": "vp1", "allowReserved": True, "waitSeconds": 1},
    },
]
"""The policy and the agent of this Internet."""


def read_section(title: str) -> str:
    """The text of a section of the page."""
    (body,) = re.findall(rf"(?ms)^## {title}\n(.*?)(?=^## |\Z)", PAGE)
    assert isinstance(body, str)
    return body


def read_blocks(title: str, language: str) -> list[str]:
    """The blocks of a language in a section of the page."""
    body = read_section(title)
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", body)


def do(title: str, folder: Path, *, simulated: bool = False) -> list[str]:
    """Does the commands of a section in a folder; what each of them says."""
    body = re.sub(r"(?ms)^```.*?^```$", "", read_section(title))
    commands = re.findall(r"(?m)^    (\S.*)$", body)
    assert commands
    said = []
    for command in commands:
        program, *words = command.split()
        if "import" in words and "--allow-reserved" not in words:
            words.append("--allow-reserved")  # addresses are reserved here
        with contextlib.chdir(folder):
            if program != "anabranch":
                words = [program, *words]
                said.append(subprocess.check_output(words, text=True))
            elif simulated and "run" in words:
                said.append(WORLD.run(sys.executable, "-m", program, *words))
            else:
                said.append(invoke(*words))
    return said


def find_links(folder: Path, name: str) -> set[tuple[str, str]]:
    """The links of a survey that are not suspect."""
    rows = anabranch.open(folder / "anabranch-data", name).links.to_pylist()
    return {
        (row["near_addr"], row["far_addr"]) for row in rows if not row["is_suspect"]
    }


@pytest.fixture(scope="module")
def replies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A survey in rounds, and what it received as CSV of caracal's beside it."""
    folder = tmp_path_factory.mktemp("rounds")
    survey(WORLD, write_manifests(folder / "m", TARGETS), folder / "anabranch-data")
    found = anabranch.open(folder / "anabranch-data", "survey")
    found.write("replies", "caracal-csv", folder / "replies.csv")
    return folder


def test_a_measurement_of_iris_runs(tmp_path: Path) -> None:
    """With its list, and the policy and the agent of whoever runs it."""
    (measurement,) = read_blocks("Iris", "json")
    (tmp_path / "measurement.json").write_text(measurement)
    (tmp_path / "prefixes.csv").write_text("".join(f"{line}\n" for line in TARGETS))
    header = {"apiVersion": "anabranch.dev/v1alpha1"}
    site = yaml.safe_dump_all(header | each for each in SITE)
    (tmp_path / "site.yaml").write_text(site)
    made, _, valid, *_, links = do("Iris", tmp_path, simulated=True)
    assert "target lists, beside it: prefixes.csv" in made
    assert f"Agents: {SITE[1]['metadata']['name']}" in made  # type: ignore[index]
    assert "Measurement        1  valid" in valid
    assert len(links.splitlines()) > 30


def test_the_site_of_the_page_is_valid(tmp_path: Path) -> None:
    """With what the page's own measurement becomes."""
    (site,) = read_blocks("Iris", "yaml")
    (measurement,) = read_blocks("Iris", "json")
    (tmp_path / "site.yaml").write_text(site)
    (tmp_path / "measurement.json").write_text(measurement)
    (tmp_path / "prefixes.csv").write_text("8.8.8.0/24,udp,2,32,6\n")
    with contextlib.chdir(tmp_path):
        invoke("init", "--from-iris", "measurement.json")
        invoke("validate", "survey.yaml", "site.yaml")


def test_what_traceroute_caller_becomes_is_valid(tmp_path: Path) -> None:
    """As the page has it."""
    (text,) = read_blocks("traceroute-caller", "yaml")
    (tmp_path / "clients.yaml").write_text(text)
    invoke("validate", str(tmp_path / "clients.yaml"))
    *_, measurement = yaml.safe_load_all(text)
    (entry,) = measurement["spec"]["agents"]
    assert entry["connections"]["source"] == "eventSocket"


def test_tables_of_diamond_miner_become_the_same_links(
    replies: Path, tmp_path: Path
) -> None:
    """Those that its own queries find, with the names of addresses alike."""
    tables = DiamondMiner(replies / "replies.csv")
    (query,) = read_blocks("Tables of Iris and diamond-miner", "sql")
    rows = tables.export(query)
    assert '"20' in rows.splitlines()[1]  # ClickHouse writes dates.
    (tmp_path / "results.csv").write_text(rows)
    do("Tables of Iris and diamond-miner", tmp_path)
    assert find_links(tmp_path, "tables") == find_links(replies, "survey")
    (agent,) = anabranch.open(tmp_path / "anabranch-data", "tables").agents
    assert agent == "paris"


def test_replies_of_caracal_come_in_and_go_out(replies: Path, tmp_path: Path) -> None:
    """Line for line, whatever their order."""
    content = (replies / "replies.csv").read_bytes()
    (tmp_path / "replies.csv.zst").write_bytes(zstandard.compress(content))
    do("Scripts with diamond-miner", tmp_path)
    again = (tmp_path / "again.csv").read_text()
    assert sorted(again.splitlines()) == sorted(content.decode().splitlines())


def test_files_of_scampers_become_a_survey_and_come_out_again(tmp_path: Path) -> None:
    """As Ark's are: traces, and pings that are left out."""
    commands = [f"trace -P icmp-paris -w 1 {each}" for each in DESTINATIONS]
    commands += [f"ping -c 1 {each}" for each in DESTINATIONS[:2]]
    words = [word for command in commands for word in ("-I", command)]
    file = tmp_path / "ark.warts"
    WORLD.run("scamper", "-p", "500", "-O", "warts", "-o", str(file), *words)
    subprocess.run(["gzip", file], check=True)
    said = do("scamper, and Ark's files", tmp_path)
    assert said[0].startswith(f"ark: {len(DESTINATIONS)} traces, ")
    assert "ark: 2 x ping left out" in said[0]
    assert len(said[1].splitlines()) == 1 + len(DESTINATIONS)
    dumped = [line for line in said[-2].splitlines() if line.startswith("T\t")]
    assert {line.split("\t")[2] for line in dumped} == set(DESTINATIONS)


def test_archives_of_m_lab_become_a_survey(tmp_path: Path) -> None:
    """A file for each connection, made as traceroute-caller makes it."""
    # Its mode "regular": the other one waits too long between probes for a test.
    commands = [f"trace -P udp-paris -q 1 -w 1 {each}" for each in DESTINATIONS]
    words = [word for command in commands for word in ("-I", command)]
    traced = WORLD.run("scamper", "-p", "500", "-o-", "-O", "json", *words)
    begin, *traces, end = traced.splitlines()
    for number, trace in enumerate(traces):
        connection = {
            "UUID": f"ndt_{number}",
            "TracerouteCallerVersion": "d84ea3d",
            "CachedResult": False,
            "CachedUUID": "",
        }
        lines = [json.dumps(connection), begin, trace, end]
        file = tmp_path / f"20210101T000000Z_ndt_{number}.jsonl"
        file.write_text("".join(f"{line}\n" for line in lines))
    name = "20210101T000000Z-scamper1-mlab1-lga03-ndt.tgz"
    with tarfile.open(tmp_path / name, "w:gz") as archive:
        for file in tmp_path.glob("*.jsonl"):
            archive.add(file, f"2021/01/01/{file.name}")
    _, table, links = do("M-Lab", tmp_path)
    assert len(table.splitlines()) == 1 + len(DESTINATIONS)
    assert len(links.splitlines()) > 10


def test_results_of_ripe_atlas_become_a_survey(replies: Path, tmp_path: Path) -> None:
    """Here those that were written by ourselves."""
    file = str(tmp_path / "atlas.json")
    with contextlib.chdir(replies):
        invoke("results", "survey", "--format", "atlas-json", "--output", file)
    _, traces = do("RIPE Atlas", tmp_path)
    assert len(traces.splitlines()) > 10
