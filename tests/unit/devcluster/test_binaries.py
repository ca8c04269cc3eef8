"""Go programs are built once, and tell how far they are."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from devcluster import binaries
from devcluster.binaries import Program, build
from devcluster.process import run_tool

if TYPE_CHECKING:
    from pathlib import Path

MAIN = """\
package main

import "example.test/m/say/word"

func main() { println(word.Word) }
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """A program of two packages without other modules, and an empty cache."""
    monkeypatch.setenv("ANABRANCH_CACHE", str(tmp_path / "cache"))
    module = tmp_path / "module"
    (module / "say" / "word").mkdir(parents=True)
    (module / "go.mod").write_text("module example.test/m\n\ngo 1.24\n")
    (module / "go.sum").write_text("")
    (module / "say" / "main.go").write_text(MAIN)
    # Go keeps what it compiles, for other runs too: a word that none of them has had.
    (module / "say" / "word" / "word.go").write_text(
        f'package word\n\nconst Word = "{uuid4()}"\n'
    )
    return Program(module, "./say")


def test_a_program_is_built_once(
    program: Program, capfd: pytest.CaptureFixture[str]
) -> None:
    """The second time nothing is said, and nothing done."""
    binary = build(program)
    assert binary.name == "say"
    run_tool(binary)
    assert "building say into" in capfd.readouterr().err
    before = binary.stat()
    assert build(program) == binary
    assert binary.stat() == before
    assert capfd.readouterr().err == ""


def test_progress_is_told_in_packages(
    program: Program,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that an earlier build has got to do not count."""
    monkeypatch.setattr(binaries, "_TELL_SECONDS", 0)
    build(program)
    assert "say: 2 of 2 packages built" in capfd.readouterr().err
    main = program.folder / "say" / "main.go"
    main.write_text(main.read_text() + "\n// changed\n")
    build(program)
    assert "say: 1 of 1 packages built" in capfd.readouterr().err


def test_what_does_not_build_is_said_in_the_compilers_words(program: Program) -> None:
    """And leaves no program behind, so that it is built again."""
    (program.folder / "say" / "word" / "word.go").write_text("package word\n")
    with pytest.raises(RuntimeError, match=r"(?s)say does not build:.*undefined: word"):
        build(program)
    assert not list(binaries.cache_folder().rglob("say"))
