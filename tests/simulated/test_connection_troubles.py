"""What a standing measurement says that can't serve here."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from clientele import AGENT, write_manifest
from world import World

if TYPE_CHECKING:
    from pathlib import Path


def refusal(folder: Path, *before: str, **of: Any) -> str:
    """What the command says last that can't run."""
    manifest = write_manifest(folder / "m", **of)
    words = [sys.executable, "-m", "anabranch", "run", str(manifest)]
    done = subprocess.run(
        [*World(20, 0).command, *before, *words, "--data", str(folder / "data")],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 1
    return done.stderr.splitlines()[-1].removeprefix("anabranch: ")


def test_a_right_that_is_missing_is_told_before_a_client_comes(tmp_path: Path) -> None:
    """With the capability that it takes."""
    without = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"]
    assert refusal(tmp_path, *without) == (
        f"{AGENT}: can't open a packet socket: Operation not permitted (os error 1); "
        "it takes the capability CAP_NET_RAW: run as root, or grant it"
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "there is no file {file}; copy it there: objects are files in"),
        ("nonsense\n", '{file}: line 1: "nonsense" is not PREFIX, LENGTH and ASES'),
    ],
)
def test_what_is_to_annotate_must_be_there(
    content: str | None, problem: str, tmp_path: Path
) -> None:
    """And must be of a format that is known."""
    file = tmp_path / "data/known/pfx2as.txt"
    if content:
        file.parent.mkdir(parents=True)
        file.write_text(content)
    spec = {"annotateFrom": [{"object": {"key": "known/pfx2as.txt"}}]}
    said = refusal(tmp_path, spec=spec)
    assert said.startswith(f"clients: annotateFrom: {problem.format(file=file)}")


def test_a_queue_that_is_damaged_is_named(tmp_path: Path) -> None:
    """So that somebody moves it away who knows what is lost."""
    folder = tmp_path / "data/.standing/agents" / AGENT / "default.clients/1"
    folder.mkdir(parents=True)
    (folder / "connections.sqlite").write_bytes(b"x" * 8192)
    assert refusal(tmp_path) == (
        f"clients: {folder}: file is not a database; it is damaged; move it away: "
        "what it has and no archive has is lost"
    )


def test_a_folder_that_takes_nothing_is_named(tmp_path: Path) -> None:
    """Here it is below a file."""
    (tmp_path / "data").write_text("")
    folder = tmp_path / "data/.standing/agents" / AGENT / "default.clients/1"
    assert refusal(tmp_path) == (
        f"clients: {folder}: Not a directory; choose another --data"
    )
