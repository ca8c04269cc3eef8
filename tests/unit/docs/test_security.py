"""The threat model names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
NAMED = re.compile(r"`((?:tests|agent-image)/[\w/.-]+\.(?:py|rs))(?:::(\w+))?`")


def test_each_threat_names_a_test_that_is_there() -> None:
    """By its file, and by its name where the file has others."""
    text = (ROOT / "docs/security.md").read_text()
    threats = text.partition("## Threats")[2].partition("\n## ")[0]
    rows = [row for row in threats.splitlines() if row.startswith("| ")][1:]
    assert len(rows) > 20
    assert [row for row in rows if not NAMED.search(row)] == []
    for file, name in NAMED.findall(text):
        assert (ROOT / file).is_file(), file
        assert not name or f"def {name}(" in (ROOT / file).read_text(), name
