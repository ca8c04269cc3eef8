"""A release has one version, wherever it stands."""

from __future__ import annotations

import pytest

from release import PLACES, date_changes, find_versions, write_version


def test_all_places_have_the_same_version() -> None:
    """`make release` writes it to all of them."""
    found = find_versions()
    assert len(set.union(*found.values())) == 1, found
    assert all(found.values()), found


@pytest.mark.parametrize(("name", "around"), PLACES)
def test_a_version_is_written_where_it_stands(name: str, around: str) -> None:
    """And nothing else of the line changes."""
    line = around.replace("(?m)^", "").replace("\\", "").format("1.2.3")
    line = line.replace("(", "").replace(")", "")
    assert write_version(line, around, "1.3.0") == line.replace("1.2.3", "1.3.0"), name


def test_what_is_released_has_its_day() -> None:
    """Nothing can be released twice."""
    text = date_changes(
        "# Changelog\n\n## Unreleased\n\n- new\n", "1.3.0", "2026-12-01"
    )
    assert "## 1.3.0 - 2026-12-01\n\n- new" in text
    with pytest.raises(ValueError, match="no section Unreleased"):
        date_changes(text, "1.4.0", "2026-12-02")
