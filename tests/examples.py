"""The examples that have nothing but our own kinds."""

from __future__ import annotations

from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
KIND_EXAMPLES = EXAMPLES / "kinds"
OURS = sorted(
    file
    for folder in (EXAMPLES, KIND_EXAMPLES, EXAMPLES / "kubernetes")
    for file in folder.glob("*.yaml")
)
