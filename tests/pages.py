"""The pages of the documentation: their links, and the sources of the site.

`python -m pages DEMO FOLDER` puts the sources together: the pages with the files that
they link to, and what the demo has drawn.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAGES = (
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "charts/anabranch/README.md"),
    *(f"docs/{file.name}" for file in sorted((ROOT / "docs").glob("*.md"))),
)
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
DEMO = ("demo.svg", "paths.svg", "report.html", "routers.html")
"""What of the demo's files the site has."""
_TELLS = """
## What the demo finds

`make demo` surveys a simulated Internet. It has drawn these figures, and written
[this page about the survey](demo/report.html). Then it traces 500 destinations and
looks for routers: [another page](demo/routers.html) shows diamonds between interfaces
and between routers.

![The paths from two vantage points to one target](demo/paths.svg)

![The sizes of all diamonds, and in which rounds links were found](demo/demo.svg)
"""
_BEFORE = "\n## Try it\n"


def find_links(page: str) -> Iterator[tuple[Path, str]]:
    """The file and the anchor that each link to our own files names."""
    for link in _LINK.findall((ROOT / page).read_text()):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        yield file.resolve(), anchor


def list_anchors(file: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them of their words."""
    text = re.sub(r"(?ms)^```.*?^```$", "", file.read_text())
    anchors: set[str] = set()
    for heading in _HEADING.findall(text):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        words = re.sub(r"[^\w\- ]", "", words.lower())
        anchors.add(words.strip().replace(" ", "-"))
    return anchors


def find_dead_links() -> list[str]:
    """The links that lead to no file, or to no heading."""
    dead = []
    for page in PAGES:
        for file, anchor in find_links(page):
            name = file.relative_to(ROOT)
            if not file.exists():
                dead.append(f"{page}: {name} is not there")
            elif anchor and anchor not in list_anchors(file):
                dead.append(f"{page}: {name} has no heading #{anchor}")
    return dead


def gather(demo: Path, folder: Path) -> None:
    """Put the sources of the site into a new folder."""
    files = {ROOT / page for page in PAGES}
    for page in PAGES:
        files |= {file for file, _ in find_links(page)}
    for file in sorted(files):
        target = folder / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.is_dir():
            shutil.copytree(file, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(file, target)
    # A folder is no page: its link leads to a list of what is in it.
    for file in files:
        if file.is_dir():
            _list_folder(folder / file.relative_to(ROOT))
    for name in DEMO:
        (folder / "demo").mkdir(exist_ok=True)
        shutil.copyfile(demo / name, folder / "demo" / name)
    first = folder / "README.md"
    text = first.read_text()
    if text.count(_BEFORE) != 1:
        raise ValueError(f"README.md has no section {_BEFORE.strip()!r}")
    first.write_text(text.replace(_BEFORE, f"{_TELLS}{_BEFORE}"))
    for page in PAGES:
        _point_to_lists(folder / page)


def _list_folder(folder: Path) -> None:
    names = sorted(
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if file.is_file() and file.suffix != ".md"
    )
    listed = "".join(f"- [{name}]({name})\n" for name in names)
    (folder / "files.md").write_text(f"# {folder.name}\n\n{listed}")


def _point_to_lists(page: Path) -> None:
    def point(found: re.Match[str]) -> str:
        link = found[1]
        is_own = "://" not in link and not link.startswith("#")
        if is_own and (page.parent / link).is_dir():
            return f"]({link.rstrip('/')}/files.md)"
        return found[0]

    page.write_text(_LINK.sub(point, page.read_text()))


if __name__ == "__main__":
    gather(Path(sys.argv[1]), Path(sys.argv[2]))
