"""What the jobs of a cluster tell the operator."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anabranch.store.store import Store

    Report = TypeVar("Report")

REFUSED = 3
"""The exit code of a job that trying again does not mend."""
AWAY = 75
"""The exit code of a job that could not reach the store, or the server that runs its
SQL (``EX_TEMPFAIL``)."""


class RefusedError(ValueError):
    """Why a job can't do its work, with the remedy; trying again is of no use."""


@dataclass(frozen=True)
class ListReport:
    """What was found in a list; of one that can't be used, why."""

    digest: str = ""
    lines: int = 0
    entries: int = 0
    prefixes: int = 0
    """Targets when split to /24 and /64, before any exclusion."""
    problems: tuple[tuple[int, str], ...] = ()
    """The first lines that can't be used: number, and reason with remedy."""
    problem_count: int = 0
    reason: str = ""
    """Why there is no list at all, with the remedy."""


@dataclass(frozen=True)
class ProbeCount:
    """What an agent would send."""

    targets: int
    probes: int
    """In the first round; of Diamond-Miner in all of its windows."""
    shortfalls: Mapping[str, int] = field(default_factory=dict)
    """Targets that it would not probe, or not all of, by the reason."""


@dataclass(frozen=True)
class Findings:
    """What all agents of a run found, each once."""

    interfaces: int
    links: int
    tables: tuple[str, ...]
    """The results that there are."""


def read_report(store: Store, key: str, kind: type[Report]) -> Report | None:
    """A report in the store; none if it is not there yet."""
    try:
        return kind(**json.loads(store.get(key)))
    except FileNotFoundError:
        return None
