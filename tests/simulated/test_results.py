"""What a survey found, as tables and pictures."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections import Counter
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import anabranch
from anabranch.warehouse import paths
from annotationfiles import MAXMIND_ASN, write_mmdb
from invocation import invoke
from surveying import command, write_manifests
from world import World

WORLD = World(32, 16, vantage_points=2, switches={"mpls": 0.5})
SIMULATION = ["--prefixes", "32", "--prefixes-v6", "16", "--vantage-points", "2"]
SIMULATION += ["--set", "mpls=0.5"]
TARGETS = ["240.0.0.0/19,udp,1,32,6", "3fff::/60,icmp6,1,32,6"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished survey: its manifests in m, its data in data."""
    folder = tmp_path_factory.mktemp("survey")
    manifests = write_manifests(folder / "m", TARGETS, points=2, maxRounds=4)
    WORLD.run(*command(manifests, folder / "data"))
    return folder


def read(folder: Path, table: str) -> list[dict[str, Any]]:
    """The rows of a table."""
    words = ("results", "survey", "--data", str(folder / "data"), "--table", table)
    lines = invoke(*words, "--format", "jsonl").splitlines()
    return [json.loads(line) for line in lines]


def test_interfaces_are_those_of_routers_with_their_ttls(folder: Path) -> None:
    """Each once an agent, and none of a target."""
    interfaces = read(folder, "interfaces")
    assert len({(row["agent"], row["addr"]) for row in interfaces}) == len(interfaces)
    assert {row["agent"] for row in interfaces} == {"agent1", "agent2"}
    routers = [ip_network("255.128.0.0/9"), ip_network("3fff:fff::/32")]
    homes = [ip_network("198.18.0.0/15"), ip_network("10.18.0.0/16")]
    homes.append(ip_network("3fff:ffe::/32"))
    for row in interfaces:
        address = ip_address(row["addr"])
        assert any(address in network for network in routers + homes)
        assert 1 <= row["min_ttl"] <= row["max_ttl"] <= 32
        assert row["prefixes"] <= row["replies"]


def test_links_lead_from_one_interface_to_the_next(folder: Path) -> None:
    """Each once an agent; the ends of all are interfaces."""
    links = read(folder, "links")
    ends = [(row["agent"], row["near_addr"], row["far_addr"]) for row in links]
    assert len(set(ends)) == len(ends) > 100
    known = {(row["agent"], row["addr"]) for row in read(folder, "interfaces")}
    assert {(agent, end) for agent, *pair in ends for end in pair} <= known
    assert {row["first_round"] for row in links} >= {1, 2}


def test_interfaces_and_as_links_say_what_files_know(
    folder: Path, tmp_path: Path
) -> None:
    """Files are combined; without one, no AS is known."""
    table = tmp_path / "table"
    table.write_text("255.128.0.0\t9\t64500\n198.18.0.0\t15\t64501\n")
    database = write_mmdb(
        tmp_path / "database",
        {"255.0.0.0/8": {"country": {"iso_code": "DE"}, MAXMIND_ASN: 64502}},
    )
    words = ("results", "survey", "--data", str(folder / "data"), "--format", "jsonl")
    files = ("--annotate", str(table), "--annotate", str(database))
    lines = invoke(*words, "--table", "interfaces", *files).splitlines()
    by_addr = {row["addr"]: row for row in map(json.loads, lines)}
    assert by_addr.keys() == {row["addr"] for row in read(folder, "interfaces")}
    for address, row in by_addr.items():
        known = (row["asn"], row["country"])
        is_router = ip_address(address) in ip_network("255.128.0.0/9")
        is_home = ip_address(address) in ip_network("198.18.0.0/15")
        expected = (64500, "DE") if is_router else (64501 if is_home else None, None)
        assert known == expected
    (row,) = map(
        json.loads, invoke(*words, "--table", "as_links", *files).splitlines()[:1]
    )
    assert (row["near_asn"], row["far_asn"]) == (64501, 64500)
    assert "name one with --annotate" in invoke(*words, "--table", "as_links", code=1)
    assert f"{folder}: " in invoke(*words, "--annotate", str(folder), code=1)
    bad = ("--annotate", str(folder / "m" / "list.csv"))
    assert "line 1: " in invoke(*words, *bad, code=1)


def test_diamonds_are_as_wide_as_the_links_between_say(folder: Path) -> None:
    """Between one divergence and one convergence point."""
    diamonds = read(folder, "diamonds")
    assert len(diamonds) > 10
    known = {(row["agent"], row["addr"]) for row in read(folder, "interfaces")}
    for row in diamonds:
        length = row["convergence_ttl"] - row["divergence_ttl"]
        assert row["max_length"] == length >= 2
        assert row["max_width"] >= 2
        if row["meshed_ratio"] is None:
            assert row["width_asymmetry"] is row["probability_difference"] is None
        else:
            assert 0 <= row["width_asymmetry"] < row["max_width"]
            assert 0 <= row["meshed_ratio"] < 1
            assert 0 <= row["probability_difference"] < 1
        ends = {row["divergence_addr"], row["convergence_addr"]}
        assert {(row["agent"], end) for end in ends} <= known
        assert ip_network(row["prefix"]).prefixlen in {24, 64}
    assert {row["protocol"] for row in diamonds} <= {17, 58}
    assert any(row["meshed_ratio"] for row in diamonds)


def test_replies_have_their_targets_and_caracal_reads_them(folder: Path) -> None:
    """In all formats alike."""
    replies = read(folder, "replies")
    for row in replies:
        assert ip_address(row["probe_dst_addr"]) in ip_network(row["prefix"])
    words = ["results", "survey", "--data", str(folder / "data"), "--table", "replies"]
    file = folder / "replies.parquet"
    invoke(*words, "--format", "parquet", "--output", str(file))
    assert pq.read_table(file).num_rows == len(replies)
    rows = list(csv.DictReader(invoke(*words).splitlines()))
    assert Counter(row["agent"] for row in rows) == Counter(
        row["agent"] for row in replies
    )
    caracal = list(
        csv.DictReader(invoke(*words, "--format", "caracal-csv").splitlines())
    )
    assert len(caracal) == len(replies)
    assert len(caracal[0]) == 17
    assert caracal[0]["probe_dst_addr"].startswith(("::ffff:240.0.", "3fff:"))
    labels = {row["reply_mpls_labels"] for row in caracal}
    assert "[]" in labels
    assert any(re.fullmatch(r"\[\(\d+,\d,1,\d+\)\]", text) for text in labels)
    assert "File exists" in invoke(*words, "--output", str(file), code=1)


def test_pictures_are_drawn(folder: Path) -> None:
    """As SVG or PNG: of all diamonds, or of the paths to a target."""
    words = ("plot", "survey", "--data", str(folder / "data"))
    file = folder / "all.svg"
    assert invoke(*words, "--output", str(file)) == f"{file}\n"
    assert "<svg" in file.read_text()
    links = {
        (row["near_addr"], row["far_addr"])
        for row in read(folder, "links")
        if not row["is_suspect"]
    }
    assert f"links found first (n = {len(links):,})" in file.read_text()
    file = folder / "paths.png"
    invoke(*words, "--output", str(file), "--target", "240.0.3.0/24")
    assert file.read_bytes().startswith(b"\x89PNG")
    file = folder / "largest.svg"
    invoke(*words, "--output", str(file), "--target", "largest")
    assert "<svg" in file.read_text()
    file = folder / "diamonds.svg"
    invoke(*words, "--output", str(file), "--diamonds")
    diamonds = read(folder, "diamonds")
    points = {(row["divergence_addr"], row["convergence_addr"]) for row in diamonds}
    assert f"{len(diamonds):,} measured diamonds" in file.read_text()
    assert f"{len(points):,} distinct diamonds" in file.read_text()
    assert "no links are known" in invoke(*words, "--target", "192.0.2.0/24", code=1)
    assert "does not appear to be" in invoke(*words, "--target", "there", code=1)
    for name in ("all.xyz", "all"):
        assert "end its name with" in invoke(*words, "--output", name, code=1)
    nowhere = str(folder / "nowhere" / "all.svg")
    told = invoke(*words, "--output", nowhere, code=1)
    assert told.endswith(f"'{nowhere}'; correct the path or its rights\n")


def test_the_largest_target_is_the_one_with_the_most_links(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few targets are looked at first."""
    links: dict[str, set[tuple[int, str, str]]] = {}
    for row in read(folder, "paths"):
        link = (row["near_ttl"], row["near_addr"], row["far_addr"])
        links.setdefault(row["prefix"], set()).add(link)
    expected = min(links, key=lambda prefix: (-len(links[prefix]), prefix))
    survey = anabranch.open(folder / "data", "survey")
    for candidates in (1, 2, 256):
        monkeypatch.setattr(paths, "_CANDIDATES", candidates)
        with survey.open_results() as results:
            target, edges = paths.read_paths(results, "largest")
        assert target == expected
        assert {(ttl, a, b) for _, (ttl, a), (_, b), _ in edges} == links[expected]


def test_a_survey_is_scored_by_the_network_that_it_was_in(folder: Path) -> None:
    """All links are there; what to expect comes from runs without packets."""
    words = ["score", str(folder / "m" / "survey.yaml"), *SIMULATION]
    file = folder / "expected.json"
    invoke(*words, "--rehearse", "3", "--expected", str(file))
    expected = json.loads(file.read_text())
    assert expected["runs"] == 3
    assert 0.9 < expected["low"] <= expected["mean"] <= expected["high"] <= 1
    data = ["--data", str(folder / "data"), "--expected", str(file)]
    told = invoke(*words, *data)
    assert "survey: precision 1.0000: " in told
    assert "links that flows 0 to 255 cross; expected 0.9" in told
    assert "is of 256 flows" in invoke(*words, *data, "--flows", "9", code=1)
    (folder / "bare").mkdir()
    told = invoke(*words, "--data", str(folder / "bare"), code=1)
    assert f"no run of default.survey in {folder}/bare" in told
    (broken := folder / "broken.json").write_text("{}")
    told = invoke(*words, *data[:2], "--expected", str(broken), code=1)
    assert "broken.json is not what --rehearse writes; write it anew" in told
    assert "must be a number from 1 on" in invoke(*words, "--rehearse", "0", code=2)
    silent = invoke(
        *words, "--set", "silent-routers=1", "--rehearse", "1", "--flows", "1"
    )
    assert json.loads(silent)["mean"] == 1


def test_a_run_that_is_not_there_is_told_with_those_that_are(folder: Path) -> None:
    """For results and pictures alike."""
    data = ("--data", str(folder / "data"))
    told = invoke("results", "other", *data, code=1)
    assert f"no run of default.other in {folder}/data, only of: default.survey" in told
    told = invoke("plot", "survey", *data, "--run-id", "2", code=1)
    assert "default.survey has no run '2'" in told
    assert told.endswith("only 1\n")
    told = invoke("results", "survey", *data, "--format", "caracal-csv", code=1)
    assert "caracal-csv is a format of --table replies" in told


def test_what_is_broken_or_not_there_yet_is_one_clear_line(
    folder: Path, tmp_path: Path
) -> None:
    """Parts that nobody finished are none."""
    data = tmp_path / "data"
    shutil.copytree(folder / "data", data)
    words = ("results", "survey", "--data", str(data), "--table")
    for links in data.rglob("links/*.parquet"):
        links.write_bytes(b"not parquet")
    assert len(invoke(*words, "links", code=1).splitlines()) == 1
    for made in (*data.rglob("0*/links"), *data.rglob("0*/prefixes")):
        shutil.rmtree(made)
    for outcome in data.rglob("outcome.json"):
        outcome.unlink()
    for part in data.rglob("replies/*/*.parquet"):
        part.rename(part.with_suffix(".unfinished"))
    told = invoke(*words, "interfaces", code=1)
    assert "there are no interfaces yet; let it run for a while" in told


@pytest.mark.parametrize("table", ["links", "diamonds"])
def test_the_readme_shows_what_is_printed(folder: Path, table: str) -> None:
    """The columns of today."""
    printed = invoke(
        "results", "survey", "--data", str(folder / "data"), "--table", table
    )
    readme = Path(__file__).parents[2].joinpath("README.md").read_text()
    shown = readme.partition(f"--table {table}\n    ")[2].partition("\n")[0]
    assert shown == printed.splitlines()[0]
