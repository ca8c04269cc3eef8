"""Conditions of a status: what holds, since when, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anabranch.api.resource import Condition

if TYPE_CHECKING:
    from datetime import datetime

    from anabranch.api import Resource

_MAX_MESSAGE = 32_768
_OPTIONAL = {"Reconciling", "Stalled", "Failed", "FailureTarget", "Suspended"}
"""Present only while they are true, as kstatus wants the first two."""


@dataclass
class Conditions:
    """The new conditions of an object.

    A condition whose status does not change keeps its time of transition.
    """

    about: Resource
    before: tuple[Condition, ...]
    now: datetime
    _found: dict[str, Condition] = field(default_factory=dict)

    def age(self, kind: str) -> float:
        """Return for how many seconds a condition that was set is as it is."""
        return (self.now - self._found[kind].last_transition_time).total_seconds()

    def set(self, kind: str, reason: str, message: str, *, holds: bool = True) -> None:
        """Set whether a condition holds, and why."""
        if kind in _OPTIONAL and not holds:
            self._found.pop(kind, None)
            return
        status = "True" if holds else "False"
        was = next((each for each in self.before if each.type == kind), None)
        same = was is not None and was.status == status
        self._found[kind] = Condition(
            type=kind,
            status="True" if holds else "False",
            observed_generation=self.about.metadata.generation,
            last_transition_time=was.last_transition_time if was and same else self.now,
            reason=reason,
            message=message[:_MAX_MESSAGE],
        )

    @property
    def all(self) -> tuple[Condition, ...]:
        """All conditions that were set, in a fixed order."""
        return tuple(self._found[kind] for kind in sorted(self._found))
