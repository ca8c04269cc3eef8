"""Fakeroute's test on packets: of other tools, and of our own tracers."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

FARTHER = "examples/topologies/farther.txt"
FEW = ("--samples", "5", "--runs", "8")

TOOL = """
import json, sys

links = {links}
for destination in open(sys.argv[1]).read().split():
    nodes = {{}}
    for near, far in links:
        far = destination if far == "240.9.3.1" else far
        nodes.setdefault(near, []).append({{"addr": far}})
    nodes = [{{"addr": near, "links": [fars]}} for near, fars in nodes.items()]
    print(json.dumps({{"type": "tracelb", "dst": destination, "nodes": nodes}}))
"""
TRACE = '{"type": "tracelb", "dst": "240.9.3.1"}'
ALL = [
    ("240.9.0.1", "240.9.1.1"),
    ("240.9.1.1", "240.9.2.1"),
    ("240.9.1.1", "240.9.2.2"),
    ("240.9.2.1", "240.9.3.1"),
    ("240.9.2.2", "240.9.3.1"),
]


def put_to_the_test(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    command = (sys.executable, "-m", "anabranch", "fakeroute", *words)
    return subprocess.run(command, capture_output=True, check=False, text=True)


def read_rows(said: str) -> dict[str, str]:
    """What is said, by the name of a row."""
    rows = (re.split(r"  +", line.strip(), maxsplit=1) for line in said.splitlines())
    return {row[0]: row[1] for row in rows if len(row) > 1}


def test_scamper_fails_as_often_as_its_table_says() -> None:
    """In two hundred runs of the simplest diamond."""
    # The source port is fixed, so that another run sends the same flows.
    what = "tracelb -P udp-dport -s 40000 -c 95 -w 5 -W 15"
    command = f'scamper -O json -p 5000 -w 1000 -c "{what}" -f {{destinations}}'
    done = put_to_the_test(FARTHER, "--runs", "4", "--command", command)
    assert not done.stderr
    assert done.returncode == 0
    rows = read_rows(done.stdout)
    assert rows["predicted"] == "0.03125"
    assert rows["verdict"] == "it fails as often as predicted"
    assert 20 < float(rows["probes a run"]) < 40


def test_our_own_tracers_send_packets() -> None:
    """And are as sure of a vertex as they are told to be."""
    rule = ("--algorithm", "mdaLite", "--failure-probability", "1e-6")
    done = put_to_the_test("examples/topologies/meshed.txt", "--packets", *FEW, *rule)
    assert not done.stderr
    rows = read_rows(done.stdout)
    assert rows["missed a link"].startswith("0.00000")
    assert rows["links found"] == "1.0000"
    assert float(rows["switched: meshed"]) > 0.9
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("links", "share", "code"),
    [
        (ALL, "1.0000", 0),
        (ALL[:-1], "0.8000", 2),
        ([*ALL, ("240.9.2.1", "240.9.9.9")], "1.0000", 2),
    ],
)
def test_a_tool_finds_all_links_and_no_others(
    links: list[tuple[str, str]], share: str, code: int, tmp_path: Path
) -> None:
    """Or it fails, which is told by the exit code."""
    tool = tmp_path / "tool.py"
    tool.write_text(TOOL.format(links=links))
    command = f"{sys.executable} {tool} {{destinations}}"
    done = put_to_the_test(FARTHER, *FEW, "--command", command)
    assert done.returncode == code
    assert read_rows(done.stdout)["links found"] == share


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("scamper", "--command needs {destinations}"),
        ("exit 3 # {destinations}", "the command failed with the exit code 3"),
        ("true {destinations}", "the command writes no trace"),
        ("cat {destinations}", "line 1 of the command's output is no trace"),
        (
            f"echo '{TRACE.replace('240.9.3.1', '1.1.1.1')}' # {{destinations}}",
            "the command traces 1.1.1.1, which is not asked for",
        ),
        (
            f"yes '{TRACE}' | head -2 # {{destinations}}",
            "the command traces 240.9.3.1 twice",
        ),
    ],
)
def test_a_command_that_makes_no_traces_is_told(command: str, reason: str) -> None:
    """In one line, with what is wrong."""
    done = put_to_the_test(FARTHER, *FEW, "--command", command)
    assert done.returncode == 1
    assert reason in done.stderr
    assert not done.stdout


def test_a_destination_without_a_trace_counts_as_missed() -> None:
    """And their number is told."""
    command = f"echo '{TRACE}' # {{destinations}}"
    done = put_to_the_test(FARTHER, *FEW, "--command", command)
    assert "no trace of 39 destinations: they count as missed" in done.stderr
    assert read_rows(done.stdout)["missed a link"].startswith("1.00000")
    assert done.returncode == 2
