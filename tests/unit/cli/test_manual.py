"""Manual pages and completions are those of the commands as they are."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from anabranch import plugin
from anabranch.plugin import completion
from manual import SHARE, write_all

if TYPE_CHECKING:
    import pytest


def test_pages_and_completions_are_up_to_date() -> None:
    """Or else `make man` writes them anew."""
    files = [path for path in SHARE.rglob("*") if path.is_file()]
    kept = {str(path.relative_to(SHARE)): path.read_text() for path in files}
    assert kept == write_all(), "run make man"


def test_bash_takes_the_completion() -> None:
    """It completes a command that is begun."""
    script = (
        f"source {SHARE}/bash-completion/completions/anabranch; COMP_WORDS=(anabranch "
        "tra); COMP_CWORD=1; _shtab_anabranch; echo ${COMPREPLY[@]}"
    )
    found = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True
    )
    assert "trace" in found.stdout.split()


def complete(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """The candidates and the number at the end."""
    assert completion.main(list(words)) == 0
    return [line.partition("\t")[0] for line in capsys.readouterr().out.splitlines()]


def test_kubectl_learns_what_may_follow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands, options and choices; without a cluster, no names."""
    assert complete(capsys, "st") == ["status", ":4"]
    assert set(complete(capsys, "")) == {*plugin.COMMANDS, ":4"}
    assert complete(capsys, "top", "--inter") == ["--interval", ":4"]
    assert complete(capsys, "status", "-o", "j") == ["json", ":4"]
    monkeypatch.setenv("KUBECONFIG", os.devnull)
    assert complete(capsys, "status", "") == [":0"]
    assert complete(capsys, "nothing", "") == [":0"]
