"""The commands, as a shell would call them."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
import zstandard

from anabranch.cli import main

ROOT = Path(__file__).parents[3]
LIST = b"240.0.0.0/8,udp,2,32,6\n8.8.8.8,icmp,2,32,6\n"


def give_stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))


def test_validate_counts_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    """The examples are valid, alone and as a folder."""
    assert main(["validate", str(ROOT / "examples/survey.yaml")]) == 0
    assert "Measurement        1  valid" in capsys.readouterr().out
    assert main(["validate", str(ROOT / "examples/kinds")]) == 0


def test_validate_reports_all_problems_of_all_files(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Broken, dangling, unreadable and bad lists, and then nothing is used."""
    header = "apiVersion: anabranch.dev/v1alpha1\nkind: "
    (tmp_path / "list.yaml").write_text(
        f"{header}TargetList\nmetadata: {{name: a}}\nspec: {{file: a.csv}}\n---\n"
        f"{header}TargetList\nmetadata: {{name: b}}\nspec: {{file: gone.csv}}\n"
    )
    (tmp_path / "a.csv").write_text("240.0.0.0/8,udp,2,32,6\n240.0.0.0/8,tcp,2,32,6\n")
    give_stdin(
        monkeypatch,
        f"{header}Measurement\nmetadata: {{name: m}}\n"
        "spec: {ping: {}, agents: [{name: x, targetList: a}]}\n---\n"
        f"{header}Agent\nmetadata: {{name: y}}\nspec: {{}}\n".encode(),
    )
    assert main(["validate", "-", str(tmp_path), str(tmp_path / "gone.yaml")]) == 1
    told = capsys.readouterr().err
    assert "Agent y: spec.nodeName: required; add it" in told
    assert "spec.agents[0].name: there is no Agent 'x'" in told
    assert "TargetList a: spec.file: line 2 of the list: protocol" in told
    assert "gone.csv: No such file or directory; correct the path" in told
    assert "gone.yaml: can't read it: No such file" in told
    assert told.endswith("5 problems; nothing is used\n")


def test_validate_refuses_nothing_at_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty folder is a mistake."""
    assert main(["validate", str(tmp_path)]) == 1
    assert "no manifest there" in capsys.readouterr().err


def test_targets_counts_a_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Plain or compressed, with reserved space left out unless it is asked for."""
    file = tmp_path / "list.csv.zst"
    file.write_bytes(zstandard.compress(LIST))
    assert main(["targets", str(file)]) == 0
    assert "targets          1 of /24 and /64" in capsys.readouterr().out
    assert main(["targets", str(file), "--allow-reserved"]) == 0
    assert "targets          65,537 of /24 and /64" in capsys.readouterr().out


def test_targets_prints_the_canonical_list(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Sorted, so that it can be compared and hashed."""
    give_stdin(monkeypatch, LIST)
    assert main(["targets", "-", "--csv"]) == 0
    lines = capfdbinary.readouterr().out.splitlines()
    assert lines == [b"8.8.8.8,icmp,2,32,6", b"240.0.0.0/8,udp,2,32,6"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"240.0.0.0/8,udp,2,32\n", "line 1: expected target,protocol"),
        (b"::/0,udp,2,32,6\n", "targets, above the limit"),
        (zstandard.compress(LIST)[:-2], "damaged or cut short"),
    ],
)
def test_targets_refuses_a_bad_list_in_its_own_words(
    content: bytes,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One clear reason, no traceback."""
    give_stdin(monkeypatch, content)
    assert main(["targets", "-", "--allow-reserved"]) == 1
    assert told in capsys.readouterr().err


def test_a_missing_file_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """With its name."""
    assert main(["targets", "gone.csv"]) == 1
    assert capsys.readouterr().err == "anabranch: gone.csv: No such file or directory\n"


def test_the_definitions_in_the_repository_are_those_of_the_models() -> None:
    """`make crds` was run after the last change."""
    assert main(["crds", "--check", "--output", str(ROOT / "crds")]) == 0


def test_stale_definitions_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing, changed and left-over ones."""
    assert main(["crds", "--output", str(tmp_path)]) == 0
    assert main(["crds", "--output", str(tmp_path), "--check"]) == 0
    (tmp_path / "anabranch.dev_agents.yaml").unlink()
    (tmp_path / "anabranch.dev_rounds.yaml").write_text("")
    (tmp_path / "anabranch.dev_old.yaml").write_text("")
    assert main(["crds", "--output", str(tmp_path), "--check"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_the_definitions_can_be_piped_to_kubectl(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All of them in one stream."""
    assert main(["crds"]) == 0
    assert capsys.readouterr().out.count("kind: CustomResourceDefinition") == 5
