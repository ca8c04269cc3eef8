"""Traces by the command, and what they found."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from world import World

SURE = ("--failure-probability", "1e-6", "--rate", "20000", "--allow-reserved")


def trace(world: World, *words: str) -> list[dict[str, Any]]:
    """The traces that a command makes, by its JSON."""
    command = (sys.executable, "-m", "anabranch", "trace", "--format", "json", *words)
    return [json.loads(line) for line in world.run(*command).splitlines()]


def links_of(traced: dict[str, Any]) -> set[tuple[str, str]]:
    """Its links between interfaces."""
    ends = ((link["near"], link["far"]) for link in traced["links"])
    return {(near, far) for near, far in ends if near and far}
