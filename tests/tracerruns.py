"""Traces by the command, and what they found."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from world import World

DESTINATIONS = ("240.0.9.1", "3fff:0:0:9::1")
_PORTS, _CHECKSUM, _IDENTIFICATION = 2, 4, 8
QUOTING = [
    ("short-quotes", 0),
    ("cut-quotes", 0),
    ("padded-quotes", 0),
    ("quote-leftovers", 0),
    ("quoted-ttls", 0),
    ("rewritten-ports", _PORTS | _CHECKSUM),
    ("rewritten-checksums", _CHECKSUM),
    ("rewritten-ids", _IDENTIFICATION),
]
"""Habits of quoting probes, and the fields that replies tell as rewritten then."""
SURE = ("--failure-probability", "1e-6", "--rate", "20000", "--allow-reserved")


def trace(world: World, *words: str) -> list[dict[str, Any]]:
    """The traces that a command makes, by its JSON."""
    command = (sys.executable, "-m", "anabranch", "trace", "--format", "json", *words)
    return [json.loads(line) for line in world.run(*command).splitlines()]


def links_of(traced: dict[str, Any]) -> set[tuple[str, str]]:
    """Its links between interfaces."""
    ends = ((link["near"], link["far"]) for link in traced["links"])
    return {(near, far) for near, far in ends if near and far}


def tells_rewritten(traced: dict[str, Any], fields: int) -> bool:
    """Whether replies tell these fields as rewritten; IPv6 has no identification."""
    replies = [probe["reply"] for probe in traced["probes"] if probe["reply"]]
    told = {reply["rewritten"] for reply in replies} - {0}
    return told == {fields} - {
        0,
        _IDENTIFICATION if ":" in traced["destination"] else 0,
    }
