"""The check of imports finds the modules that import one another."""

from __future__ import annotations

from circles import find_circles


def test_modules_that_import_one_another_are_found() -> None:
    """Neither those that use them nor those that they use."""
    imports = {
        "prober": {"agenda"},
        "agenda": {"tracing"},
        "tracing": {"agenda", "clock"},
        "clock": {"std"},
    }
    assert find_circles(imports) == {"agenda", "tracing"}


def test_imports_of_one_direction_have_no_circle() -> None:
    """However many ways there are from one module to another."""
    imports = {"prober": {"agenda", "part"}, "agenda": {"part"}, "part": set[str]()}
    assert find_circles(imports) == set()
