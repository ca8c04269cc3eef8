"""Finds modules of a crate that import one another in a circle.

Run in the repository, it fails if there are any: imports of a crate have one direction,
so that each module can be read after those that it uses.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

CRATES = Path("agent-image/engine/crates")

Imports = dict[str, set[str]]
"""The modules that each module of a crate uses."""


def read_imports(crate: Path) -> Imports:
    """Read what the files of a crate use, apart from their tests and comments."""
    imports: Imports = {}
    for file in (crate / "src").rglob("*.rs"):
        code = file.read_text().partition("#[cfg(test)]\nmod ")[0]
        used = re.findall(r"\bcrate::(\w+)", re.sub(r"//.*", "", code))
        # A folder is a module.
        name = file.relative_to(crate / "src").with_suffix("").parts[0]
        imports.setdefault(name, set()).update(set(used) - {name})
    return imports


def find_circles(imports: Imports) -> set[str]:
    """Return the modules that use themselves by way of others."""
    left = dict(imports)
    while True:
        free = {name for name, used in left.items() if not used & left.keys()}
        used = set[str]().union(*left.values())
        free |= left.keys() - used
        if not free:
            return set(left)
        left = {name: used for name, used in left.items() if name not in free}


def find_problems() -> list[str]:
    """Return what is wrong, crate by crate."""
    problems = []
    for crate in sorted(CRATES.iterdir()):
        if circles := find_circles(read_imports(crate)):
            names = ", ".join(sorted(circles))
            problems.append(f"{crate}: modules import one another: {names}")
    return problems


if __name__ == "__main__":
    sys.exit("\n".join(find_problems()) or 0)
