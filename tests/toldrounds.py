"""Rounds, and what their agents say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anabranch.api import Round
from anabranch.plugin.progress import Told
from observations import DIGEST, NOW, read_kind

if TYPE_CHECKING:
    from datetime import datetime


def make_told(  # noqa: PLR0913 (what a Round is made of)
    agent: str = "paris",
    number: int = 1,
    *,
    window: int = 0,
    planned: int = 1000,
    written: datetime | None = NOW,
    reason: str = "Probing",
    spec: dict[str, Any] | None = None,
    **status: Any,
) -> Told:
    """A Round, with what its agent says of it."""
    holds = reason in {"Probing", "Complete", "Serving"}
    conditions = [("Ready", holds), ("Complete", reason == "Complete")]
    told = {
        "observedGeneration": 1,
        "conditions": [
            {
                "type": kind,
                "status": str(value),
                "reason": reason,
                "message": "because",
                "lastTransitionTime": "2026-11-24T00:00:00Z",
            }
            for kind, value in conditions
        ],
        **status,
    }
    plan = {"key": "k", "digest": DIGEST, "blocks": 4, "probes": planned}
    made = read_kind(
        Round,
        f"demo-{agent}-{number}-{window}",
        {
            "measurement": {"name": "demo", "uid": "uid-demo"},
            "runId": "1",
            "agent": agent,
            "nodeName": "n1",
            "round": number,
            "window": window,
            "plan": plan,
            "rate": 100,
            **(spec or {}),
        },
        status=told if reason else {},
    )
    return Told(made, written)
