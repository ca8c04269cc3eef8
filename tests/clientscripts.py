"""Scripts at a vantage point with a standing measurement, and what comes of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from clientele import write_manifest
from world import World

_TESTS = Path(__file__).parent
_HEAD = """
import sys; sys.path.insert(0, sys.argv[1])
import time
from contextlib import suppress
from pathlib import Path
from clientele import Running, clientele
from eventsocket import play_tcp_info
manifest, data = map(Path, sys.argv[2:4])
"""


def play(
    script: str,
    folder: Path,
    world: World | None = None,
    seconds: float = 600,
    **of: Any,
) -> Path:
    """Play a script at a vantage point; return the data of the measurement."""
    manifest = write_manifest(folder / "m", **of)
    return play_manifest(script, manifest, folder / "data", world, seconds)


def play_manifest(
    script: str,
    manifest: Path,
    data: Path,
    world: World | None = None,
    seconds: float = 600,
) -> Path:
    """The same of a manifest that there is."""
    words = [sys.executable, "-c", _HEAD + script, str(_TESTS)]
    (world or World()).run(*words, str(manifest), str(data), seconds=seconds)
    return data


def listen(script: str, folder: Path, **of: Any) -> Path:
    """Play a script with a measurement that listens to tcp-info."""
    agent = {"eventSocket": str(folder / "events.sock")}
    heard = {"source": "eventSocket", "ports": [443]}
    return play(script, folder, agent=agent, **heard | of)
