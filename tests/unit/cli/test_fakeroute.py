"""`anabranch fakeroute`: what it prints and refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from anabranch.cli import main

if TYPE_CHECKING:
    from pathlib import Path

SIMPLEST = "examples/topologies/simplest.txt"
FEW = ("--runs", "100", "--samples", "5")


def test_it_compares_what_is_measured_with_what_is_predicted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the cost of a run."""
    assert main(["fakeroute", SIMPLEST, *FEW]) == 0
    said = capsys.readouterr().out
    assert "simplest.txt: 4 interfaces, 5 links" in said
    assert "predicted                 0.03125" in said
    assert "it fails as often as predicted" in said


def test_a_failure_probability_can_be_shared(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Among as many branching points as the topology may have."""
    shared = ("--max-branching", "30", "--algorithm", "mdaLite")
    assert main(["fakeroute", SIMPLEST, *FEW, *shared]) == 0
    assert "failure probability of a vertex 0.0017083" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--failure-probability", "1"], "at least 1e-9, and below 1"),
        (["--algorithm", "mdaLite", "--phi", "1"], "phi must be 2 or more"),
        (["--samples", "1"], "--samples must be 2 or more"),
    ],
)
def test_a_rule_that_is_none_is_refused(
    words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its bounds."""
    assert main(["fakeroute", SIMPLEST, *words]) == 1
    assert reason in capsys.readouterr().err


def test_algorithms_are_compared_with_the_mda(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On one topology, with the metrics of its diamonds."""
    wide = "examples/topologies/wide.txt"
    assert main(["fakeroute", wide, "--compare", "--runs", "20", "--samples", "2"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1].startswith("diamond: length 2, width 28, width asymmetry 0, meshed")
    rows = {line[:16].strip(): line[16:].split() for line in said[4:]}
    assert rows["mda"][:3] == ["1.0000", "1.0000", "1.0000"]
    assert float(rows["mdaLite, phi 2"][2]) < 0.6
    assert float(rows["singlePath"][1]) < 0.1


def test_random_diamonds_are_compared_by_their_kind(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same seed draws the same ones."""
    assert main(["fakeroute", "--random", "30"]) == 0
    first = capsys.readouterr().out
    kinds = [line.partition("; ") for line in first.splitlines() if ": " in line]
    assert all(allowed.endswith("by the stopping points") for *_, allowed in kinds)
    counts = {kind: int(count) for kind, count in (k[0].split(": ") for k in kinds)}
    assert counts.pop("all") == sum(counts.values()) == 30
    assert main(["fakeroute", "--random", "30"]) == 0
    assert capsys.readouterr().out == first


@pytest.mark.parametrize("words", [[], [SIMPLEST, "--random", "3"]])
def test_a_file_or_random_diamonds_are_needed(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """One of the two."""
    assert main(["fakeroute", *words]) == 1
    assert "name a topology file, or --random N" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([SIMPLEST, "--compare", "--algorithm", "mda"], "--algorithm has no effect"),
        ([SIMPLEST, "--compare", "--phi", "2"], "--phi has no effect with --compare"),
        (["--random", "3", "--algorithm", "mdaLite"], "--algorithm has no effect"),
        (["--random", "3", "--phi", "4"], "--phi has no effect with --random"),
        (["--random", "3", "--runs", "9"], "--runs has no effect with --random"),
        (["--random", "3", "--samples", "9"], "--samples has no effect"),
        ([SIMPLEST, "--command", "x", "--phi", "3"], "--phi has no effect with --comm"),
    ],
)
def test_an_option_without_effect_is_refused(
    words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, even if its value is the usual one."""
    assert main(["fakeroute", *words]) == 1
    told = capsys.readouterr()
    assert reason in told.err
    assert told.err.count("\n") == 1
    assert not told.out


def test_a_file_that_is_no_topology_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the file and the line."""
    file = tmp_path / "circle.txt"
    file.write_text("127.0.0.1 240.0.0.1\n240.0.0.1 nowhere\n")
    assert main(["fakeroute", str(file)]) == 1
    assert f"{file}: line 2" in capsys.readouterr().err
    assert main(["fakeroute", str(tmp_path / "none.txt")]) == 1
    assert "can't read" in capsys.readouterr().err
