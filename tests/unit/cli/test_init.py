"""`anabranch init`: a first survey's manifest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anabranch.api import Agent, Measurement, ProbingPolicy
from anabranch.cli import main
from anabranch.local.manifest import load_manifests

TARGETS = ("127.0.0.0/24", "127.1.0.1")
"""A route leads there on every machine, and nothing is sent."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files are written to."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refuse(*words: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said of words that are refused."""
    assert main(["init", *words]) == 1
    assert not Path("survey.yaml").exists()
    return capsys.readouterr().err


def test_what_it_writes_is_valid_and_allows_what_is_named_alone() -> None:
    """At a modest rate, from this machine."""
    assert main(["init", *TARGETS, "--contact", "me@example.org"]) == 0
    manifests = load_manifests(["survey.yaml"], lambda: pytest.fail("it reads stdin"))
    (policy,) = manifests.of_kind(ProbingPolicy)
    assert policy.object.spec.allow == ("127.0.0.0/24", "127.1.0.1/32")
    assert policy.object.spec.contact == "me@example.org"
    (agent,) = manifests.of_kind(Agent)
    assert (agent.object.spec.node_name, agent.object.spec.max_probing_rate) == (
        "localhost",
        200,
    )
    assert manifests.of_kind(Measurement)
    assert "# Probes leave by lo, from 127.0.0.1." in Path("survey.yaml").read_text()


def test_reserved_space_is_opened_only_where_it_is_named() -> None:
    """Loopback addresses are not globally reachable."""
    assert main(["init", *TARGETS, "--contact", "me@example.org"]) == 0
    assert Path("survey.yaml").read_text().count("allowReserved: true") == 2


def test_a_file_that_is_there_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever it is."""
    Path("survey.yaml").write_text("mine")
    assert main(["init", *TARGETS, "--contact", "me@example.org"]) == 1
    assert "survey.yaml is there already; name another file" in capsys.readouterr().err
    assert Path("survey.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["127.0.0.1/24", "--contact", "me@example.org"], "has host bits set"),
        (["example.org", "--contact", "me@example.org"], "write one such as"),
        (["127.0.0.0/24"], "say who probes: --contact"),
        (["127.0.0.0/24", "--contact", "nobody"], "contact"),
    ],
    ids=["host bits", "name", "no contact", "bad contact"],
)
def test_what_can_not_be_is_refused_and_nothing_written(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the remedy."""
    assert told in refuse(*words, capsys=capsys)


def test_a_measurement_of_iris_becomes_a_manifest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And what it needs besides is told."""
    asked = {"tool": "yarrp", "agents": [{"tag": "edge", "target_file": "a.csv"}]}
    Path("iris.json").write_text(json.dumps(asked))
    assert main(["init", "--from-iris", "iris.json", "--output", "out.yaml"]) == 0
    assert capsys.readouterr().out == (
        "out.yaml is written. It needs besides\n"
        "    target lists, beside it: a.csv\n"
        "    Agents: those with the tag edge\n"
        "    a ProbingPolicy\n"
    )
    assert "yarrp:" in Path("out.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--from-iris", "bad.json"], "bad.json: Invalid JSON"),
        (["--from-iris", "gone.json"], "gone.json: No such file"),
        ([], "name targets, or a measurement of Iris with --from-iris"),
        (["127.0.0.0/24", "--from-iris", "bad.json"], "name targets, or a measurement"),
    ],
    ids=["bad", "gone", "neither", "both"],
)
def test_no_measurement_of_iris_is_told(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the file."""
    Path("bad.json").write_text("{")
    assert told in refuse(*words, capsys=capsys)
