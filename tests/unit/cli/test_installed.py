"""The package where pip has installed it, with no file of this repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from devcluster.process import run_tool

ROOT = Path(__file__).parents[3]
UV = shutil.which("uv") or ROOT / "build" / "uv" / "bin" / "uv"
PROGRAMS = ("anabranch", "kubectl-anabranch", "kubectl_complete-anabranch")
REPLIES = """\
capture_timestamp,probe_protocol,probe_src_addr,probe_dst_addr,probe_src_port,\
probe_dst_port,probe_ttl,quoted_ttl,reply_src_addr,reply_protocol,reply_icmp_type,\
reply_icmp_code,reply_ttl,reply_size,reply_mpls_labels,rtt,round
1638522471,17,198.18.0.2,240.0.0.9,24000,33434,1,1,240.9.0.1,1,11,0,250,56,[],12,1
1638522471,17,198.18.0.2,240.0.0.9,24000,33434,2,1,240.9.0.2,1,11,0,250,56,[],12,1
"""
"""What caracal writes, of one link."""


@dataclass(frozen=True)
class Installed:
    """An environment of its own."""

    folder: Path

    def run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program that is installed there, in a folder without ours."""
        return subprocess.run(
            (self.folder / "bin" / program, *words),
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
            capture_output=True,
            check=False,
            text=True,
        )

    def tell(self, program: str, *words: str) -> str:
        """What a program says that must succeed."""
        done = self.run(program, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout


def install(folder: Path, *extras: str) -> Installed:
    """The package's wheel, with some extras, and what uv.lock says that they need.

    uv has kept all of it for this repository's environment, the engine's wheel, too.
    The package itself is installed last and without an index: so it is refused if it
    needs more.
    """
    named = [f"--extra={each}" for each in extras]
    export = ("export", "--quiet", "--locked", "--no-dev", "--no-emit-project", *named)
    needed = folder / "pylock.toml"
    run_tool(UV, *export, f"--project={ROOT}", f"--output-file={needed}")
    run_tool(UV, "build", "--quiet", "--wheel", f"--out-dir={folder}", ROOT)
    (wheel,) = folder.glob("*.whl")
    home = folder / "environment"
    run_tool(UV, "venv", "--quiet", home)
    put = (UV, "pip", "install", "--quiet", f"--python={home}")
    run_tool(*put, "--requirements", needed)
    run_tool(*put, "--no-index", f"anabranch[{','.join(extras)}] @ {wheel.as_uri()}")
    return Installed(home)


def test_a_program_says_which_extra_it_lacks(tmp_path: Path) -> None:
    """All are there without any, with their manual pages and completions."""
    installed = install(tmp_path)
    for program in PROGRAMS:
        assert (installed.folder / "bin" / program).exists()
    assert installed.tell("anabranch", "--version").startswith("anabranch ")
    assert "kind: CustomResourceDefinition" in installed.tell("anabranch", "crds")
    share = installed.folder / "share"
    for page in ("anabranch.1", "kubectl-anabranch.1"):
        assert (share / "man" / "man1" / page).exists()
    assert (share / "bash-completion" / "completions" / "anabranch").exists()
    assert (share / "zsh" / "site-functions" / "_anabranch").exists()
    for program, words, extra in (
        ("kubectl-anabranch", ("status",), "kubectl"),
        ("anabranch", ("import", "replies.csv"), "warehouse"),
        ("anabranch", ("operator", "--settings", "none"), "operator"),
    ):
        refused = installed.run(program, *words)
        assert refused.returncode == 1
        assert f"needs anabranch[{extra}]; install it" in refused.stderr


def test_what_the_page_says_to_install_is_enough(tmp_path: Path) -> None:
    """With the extras that docs/kubectl.md names, results can be read and drawn."""
    page = (ROOT / "docs" / "kubectl.md").read_text()
    (named,) = re.findall(r"need\s+`anabranch\[([a-z,]+)\]`", page)
    extras = named.split(",")
    assert "kubectl" in extras
    installed = install(tmp_path, *extras)
    (installed.folder / "replies.csv").write_text(REPLIES)
    installed.tell("anabranch", "import", "replies.csv", "--allow-reserved")
    told = installed.tell("anabranch", "results", "imported", "--table", "links")
    assert "240.9.0.2" in told
    installed.tell("anabranch", "plot", "imported", "--output", "figure.svg")
    installed.tell("anabranch", "report", "imported")
    for name in ("figure.svg", "imported.html"):
        assert (
            (installed.folder / name).read_text().rstrip().endswith(("svg>", "html>"))
        )
    refused = installed.run("kubectl-anabranch", "status", "--kubeconfig", "none")
    assert "no cluster" in refused.stderr
