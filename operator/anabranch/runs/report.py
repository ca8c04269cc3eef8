"""The reports of a cluster's Jobs to the operator."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anabranch.store.store import Store

    Report = TypeVar("Report")

REFUSED = 3
"""The exit code of a job that failed and must not be retried."""
AWAY = 75
"""The exit code of a job that could not reach the store or the ClickHouse server
(``EX_TEMPFAIL``)."""


class RefusedError(ValueError):
    """A job can't do its work, and a retry is no use; the message has the remedy."""


@dataclass(frozen=True)
class ListReport:
    """The content of a target list, or why it can't be used."""

    digest: str = ""
    lines: int = 0
    entries: int = 0
    prefixes: int = 0
    """Targets after a split to /24 and /64 (of routes, /48), before exclusions."""
    problems: tuple[tuple[int, str], ...] = ()
    """The first invalid lines: the line's number, and the reason with its remedy."""
    problem_count: int = 0
    reason: str = ""
    """Why the list could not be read at all, with the remedy."""


@dataclass(frozen=True)
class ProbeCount:
    """What an agent would send."""

    targets: int
    probes: int | None = None
    """Probes in the first round, in all of its windows; None if targets are traced."""
    shortfalls: Mapping[str, int] = field(default_factory=dict)
    """Targets that it would not probe, or only in part, by reason."""


@dataclass(frozen=True)
class Findings:
    """The distinct interfaces and links that all agents of a run found."""

    interfaces: int
    links: int
    tables: tuple[str, ...]
    """The names of the tables of results."""
    outputs: tuple[str, ...] = ()
    """The formats in which it is stored, too."""
    not_annotated: str = ""
    """Why tables do not say what is known about addresses, though they should."""


def read_report(store: Store, key: str, kind: type[Report]) -> Report | None:
    """Return a report in the store, or None if it is not there yet."""
    try:
        return kind(**json.loads(store.get(key)))
    except FileNotFoundError:
        return None
