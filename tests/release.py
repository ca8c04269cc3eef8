"""Makes a release: its version where it stands, and what later tests compare with.

`python -m release VERSION` changes the files; `git diff` shows what to commit.
"""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import yaml

from devcluster.process import run_tool
from helm import CONTACT, render_text

ROOT = Path(__file__).parents[1]
RELEASES = ROOT / "tests" / "chart" / "releases"
VERSION = r"\d+\.\d+\.\d+"
PLACES = (
    ("pyproject.toml", r'(?m)^version = "({})"'),
    ("pyproject.toml", r"anabranch-engine==({})"),
    ("agent-image/engine/Cargo.toml", r'(?m)^version = "({})"'),
    ("agent-image/engine/crates/python/pyproject.toml", r'(?m)^version = "({})"'),
    ("charts/anabranch/Chart.yaml", r"(?m)^version: ({})"),
    ("charts/anabranch/Chart.yaml", r"(?m)^appVersion: ({})"),
    ("operator/Dockerfile", r'image\.version="({})"'),
    ("agent-image/Dockerfile", r'image\.version="({})"'),
    ("docs/images.md", r" operator:({})"),
    ("docs/images.md", r" agent:({})"),
    ("CITATION.cff", r"(?m)^version: ({})"),
)
"""Where the version stands: the file, and what is around it."""
_UNRELEASED = "## Unreleased\n"
_DATE = re.compile(r"(?m)^date-released: .*$")


def find_versions() -> dict[str, set[str]]:
    """The versions that each place has; there is just one if all is well."""
    return {
        f"{name}: {around}": set(
            re.findall(around.format(VERSION), (ROOT / name).read_text())
        )
        for name, around in PLACES
    }


def write_version(text: str, around: str, version: str) -> str:
    """A text with another version in a place."""

    def put(found: re.Match[str]) -> str:
        return found[0].replace(found[1], version)

    return re.sub(around.format(VERSION), put, text)


def date_changes(text: str, version: str, day: str) -> str:
    """The changelog once what was not released is.

    Raises:
        ValueError: If there is nothing to release.
    """
    if text.count(_UNRELEASED) != 1:
        raise ValueError("CHANGELOG.md has no section Unreleased; write what is new")
    return text.replace(_UNRELEASED, f"## {version} - {day}\n")


def release(version: str, day: str) -> None:
    """Change all files."""
    for name, around in PLACES:
        file = ROOT / name
        file.write_text(write_version(file.read_text(), around, version))
    changes = ROOT / "CHANGELOG.md"
    changes.write_text(date_changes(changes.read_text(), version, day))
    citation = ROOT / "CITATION.cff"
    citation.write_text(_DATE.sub(f"date-released: {day}", citation.read_text()))
    keep(RELEASES / version)


def keep(folder: Path) -> None:
    """Write the definitions and the rendered chart of this version to a new folder."""
    folder.mkdir()
    crds = [sys.executable, "-m", "anabranch", "crds"]
    (folder / "crds.yaml").write_text(run_tool(*crds))
    (folder / "rendered.yaml").write_text(render_text(yaml.safe_dump(dict(CONTACT))))


if __name__ == "__main__":
    if not re.fullmatch(VERSION, sys.argv[1]):
        sys.exit(f"{sys.argv[1]!r} is no version; write one such as 1.2.3")
    release(sys.argv[1], f"{datetime.now(UTC):%Y-%m-%d}")
    engine = ROOT / "agent-image" / "engine"
    subprocess.run(
        ["cargo", "update", "--quiet", "--workspace"], cwd=engine, check=True
    )
