"""Decides what Rounds get of what their namespace may send on a day; pure.

A Round that asks for so many probes is charged for all of them before it begins. One of
which nobody knows how many it takes, or that asks for more than a whole day has, is
charged for a small part of the quota at a time, before the last one is half used. It
pauses when there is no other part.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

from anabranch.manifests.rounds import name_round, name_standing, write_standing
from anabranch.reconcile.inventory import is_over
from anabranch.reconcile.observation import (
    ChangeRound,
    CreateRound,
    CreateStandingRound,
    DeleteRound,
    PutCharge,
)
from anabranch.runs.account import Charge

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from anabranch.api import Measurement, Round
    from anabranch.reconcile.observation import Action, Budget

_PARTS = 100
"""In how many parts a quota is charged at least where it is not known what a Round
takes."""


@dataclass(frozen=True)
class Ration:
    """What may be done of what was to be done."""

    actions: tuple[Action, ...]
    short: Mapping[str, str] = field(default_factory=dict)
    """Why agents do not probe, by the name of each that gets nothing."""
    wanted: tuple[int, ...] = ()
    """The probes that each Round lacks which gets nothing."""


@dataclass
class Purse:
    """What is left of a day, while all that a measurement does is decided."""

    measurement: Measurement
    budget: Budget
    agents: int
    """The number of agents of the measurement."""
    left: int = field(init=False)
    """The probes that are left."""
    paid: dict[str, int] = field(init=False)
    """Up to which of its probes each Round is charged, by name."""
    puts: list[PutCharge] = field(default_factory=list)
    """What is charged and is not among the actions yet."""

    def __post_init__(self) -> None:
        self.left, self.paid = self.budget.left, dict(self.budget.paid)

    def settle(self, name: str, sent: int) -> None:
        """Charge a Round for what it has sent beyond what it was charged today.

        If that is more, give back the rest.
        """
        paid = self.paid.get(name, sent)
        if paid != sent:
            self._charge(Charge(name, paid, sent), None)

    def cover(self, name: str, planned: int | None, sent: int) -> int:
        """Charge a Round for what it is to send; return how many probes it lacks.

        ``planned`` is None if nobody knows how many probes it takes.
        """
        limit, paid = self.budget.limit, self.paid.get(name, sent)
        if sent > paid:
            self.settle(name, sent)
            paid = sent
        if paid == planned:
            return 0
        wanted, fits = limit, False
        if planned is not None and paid < planned:
            wanted, fits = planned - paid, planned <= limit
        if not fits:
            # All agents together begin with half of it at most.
            part = max(limit // max(_PARTS, 2 * self.agents), 1)
            if planned is None and paid - sent > 2 * part:
                paid = sent  # The agent has started again, and counts from 0.
            if 2 * (paid - sent) > part:
                return 0
            wanted = min(wanted, part)
        if wanted > self.left:
            return wanted
        self._charge(Charge(name, paid, paid + wanted), limit)
        return 0

    def _charge(self, charge: Charge, limit: int | None) -> None:
        self.left -= charge.probes
        self.paid[charge.round] = charge.end
        self.puts.append(PutCharge(self.budget.day, charge, limit))


def ration(purse: Purse, rounds: Iterable[Round], actions: Iterable[Action]) -> Ration:
    """Return which actions may be taken, and what is charged before.

    ``rounds`` are those that there are. Those that are not paid pause.
    """
    rationing = _Rationing(purse)
    actions = tuple(actions)
    gone = {each.name for each in actions if isinstance(each, DeleteRound)}
    there = [each for each in rounds if each.metadata.name not in gone]
    rationing.settle(there)
    changes = {each.name: each for each in actions if isinstance(each, ChangeRound)}
    rationing.keep_up(there, changes)
    rest = (each for each in actions if not isinstance(each, ChangeRound))
    allowed = [each for each in rest if rationing.allows(each)]
    pauses = [each for each in changes.values() if each.suspend]
    others = [each for each in changes.values() if not each.suspend]
    # Nothing is in the way of what pauses, not even a store that takes no charge now.
    done = (*pauses, *purse.puts, *allowed, *others)
    purse.puts = []
    return Ration(done, rationing.short, tuple(rationing.wanted))


@dataclass
class _Rationing:
    """What is charged, and who gets nothing."""

    purse: Purse
    short: dict[str, str] = field(default_factory=dict)
    wanted: list[int] = field(default_factory=list)

    def settle(self, rounds: Iterable[Round]) -> None:
        """Charge Rounds that are over for what they have sent, no more and no less."""
        for each in rounds:
            if each.spec.plan and is_over(each):
                self.purse.settle(each.metadata.name, each.status.probes_sent or 0)

    def keep_up(self, rounds: Iterable[Round], changes: dict[str, ChangeRound]) -> None:
        """Charge what Rounds are to send, and have those pause that are not paid."""
        for each in rounds:
            name, spec = each.metadata.name, each.spec
            wish = changes.get(name) or ChangeRound(name, spec.rate, spec.suspend)
            if wish.suspend or is_over(each):
                continue
            sent = each.status.probes_sent or 0
            if not self._cover(spec.agent, name, _count_planned(each), sent):
                changes.pop(name, None)
                if (wish.rate, True) != (spec.rate, spec.suspend):
                    changes[name] = ChangeRound(name, wish.rate, suspend=True)

    def allows(self, action: Action) -> bool:
        """Return whether an action may be taken; charge what a new Round asks for."""
        if not isinstance(action, CreateRound | CreateStandingRound):
            return True
        name, planned = _describe(self.purse.measurement, action)
        return self._cover(action.agent.metadata.name, name, planned, 0)

    def _cover(self, agent: str, name: str, planned: int | None, sent: int) -> bool:
        lacks = self.purse.cover(name, planned, sent)
        if lacks:
            self.wanted.append(lacks)
            self.short[agent] = self.purse.budget.tell(lacks)
        return not lacks


def keep_for(left: int, claims: Iterable[tuple[int, ...]]) -> int:
    """Return how many of the probes that are left are kept for those who wait longer.

    What one of them lacks and can't have today is not kept: nobody could use it.
    """
    kept = 0
    for claim in claims:
        for wanted in claim:
            kept += wanted if wanted <= left - kept else 0
    return kept


def _count_planned(found: Round) -> int | None:
    """Return how many probes a Round asks for; None if nobody knows."""
    plan = found.spec.plan
    if plan is None or plan.probes is None:
        return None
    return ceil(plan.probes * found.spec.share)


def _describe(
    measurement: Measurement, create: CreateRound | CreateStandingRound
) -> tuple[str, int | None]:
    """Return the name of a Round that is to be made, and the probes it asks for."""
    agent = create.agent
    if isinstance(create, CreateStandingRound):
        does = write_standing(create.standing)
        return name_standing(measurement, agent, does), None
    share, summary = create.share, create.summary
    owner = share.team if share else agent.metadata.name
    part = len(share.blocks) / summary.blocks if share else 1
    planned = None if summary.probes is None else ceil(summary.probes * part)
    return name_round(measurement, owner, create.step, share), planned
