"""The manual pages and shell completions of the commands, from their parsers.

`python -m manual FOLDER` writes them.
"""

from __future__ import annotations

import os
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import shtab
from argparse_manpage.manpage import Manpage

from anabranch import cli, plugin

if TYPE_CHECKING:
    from argparse import ArgumentParser

ROOT = Path(__file__).parents[1]
SHARE = ROOT / "share"
_TITLE = "Anabranch"


def write_all() -> dict[str, str]:
    """All files, by their path below a `share` folder."""
    anabranch, kubectl = cli.build_parser(), plugin.build_parser()
    kubectl.prog = "kubectl-anabranch"
    # argparse wraps lines at this width.
    with mock.patch.dict(os.environ, COLUMNS="88"):
        pages = {
            f"man/man1/{each.prog}.1": _write_page(each)
            for each in (anabranch, kubectl)
        }
    return pages | {
        "bash-completion/completions/anabranch": shtab.complete(anabranch, "bash"),
        "zsh/site-functions/_anabranch": shtab.complete(anabranch, "zsh"),
    }


def _write_page(parser: ArgumentParser) -> str:
    version = metadata.version("anabranch")
    about = str(parser.description).rstrip(".")
    page = Manpage(
        parser,
        {
            "project_name": "anabranch",
            "version": version,
            "manual_title": _TITLE,
            "description": about[0].lower() + about[1:],
            "date": "-",
        },
        format="single-commands-section",
    )
    page.date = ""
    # troff takes a line that begins with a quote or a dot for a request of its own.
    return re.sub(r"(?m)^'", r"\\(aq", str(page))


if __name__ == "__main__":
    for name, text in write_all().items():
        file = Path(sys.argv[1]) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
