"""The pages of the documentation hold together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from pages import DEMO, PAGES, ROOT, find_dead_links, gather

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any


def test_no_link_is_dead() -> None:
    """Each leads to a file that is there, and to a heading that it has."""
    assert find_dead_links() == []


def list_pages(part: Any) -> Iterator[str]:
    """The pages of a part of the site's navigation."""
    if isinstance(part, str):
        yield part
    else:
        values = part.values() if isinstance(part, dict) else part
        for each in values:
            yield from list_pages(each)


def test_the_site_has_each_page_once() -> None:
    """Those that links of others lead to, too."""
    text = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    assert sorted(list_pages(yaml.safe_load(text))) == sorted(PAGES)


def test_the_first_page_of_the_site_shows_what_the_demo_drew(tmp_path: Path) -> None:
    """And what pages link to is there, folders as lists of their files."""
    demo, folder = tmp_path / "demo", tmp_path / "source"
    demo.mkdir()
    for name in DEMO:
        (demo / name).write_text(name)
    gather(demo, folder)
    first = (folder / "README.md").read_text()
    assert "](demo/paths.svg)" in first
    for name in ("report.html", "routers.html"):
        assert (folder / "demo" / name).read_text() == name
        assert f"](demo/{name})" in first
    assert "](examples/kinds/files.md)" in first
    assert "survey.yaml" in (folder / "examples/kinds/files.md").read_text()
