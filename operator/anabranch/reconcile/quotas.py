"""The quotas of namespaces: what each has done of what it may, and who waits for more.

Measurements of a namespace are looked at side by side. What they see of its quota and
what they decide by it has no wait in between, and a charge that does not fit any more
is refused, so together they never take more than there is.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from anabranch.reconcile.observation import (
    Budget,
    CreateStandingRound,
    RunCount,
)
from anabranch.reconcile.rationing import keep_for
from anabranch.reconcile.start import waits_for_quota
from anabranch.runs.account import Account, remove_old

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import date, datetime

    from anabranch.api import Measurement
    from anabranch.api.policy import Quota
    from anabranch.reconcile.inventory import Inventory
    from anabranch.reconcile.observation import Decision, Observation, PutCharge
    from anabranch.store.store import Store

    Key = tuple[str, str]


class OverdrawnError(Exception):
    """A charge that does not fit, since another measurement was charged meanwhile."""


@dataclass(frozen=True)
class _Claim:
    """What a measurement waits for."""

    since: datetime
    wanted: tuple[int, ...]
    """The probes that each of its Rounds lacks."""


@dataclass
class Quotas:
    """What namespaces have done, as far as it is limited."""

    store: Store
    inventory: Inventory
    recall: Callable[[Measurement], Measurement]
    """Returns a measurement with the status that was written last."""
    _accounts: dict[str, Account] = field(default_factory=dict)
    """Those of the latest days, by namespace."""
    _pending: dict[str, int] = field(default_factory=dict)
    """The probes of charges that are being put, by namespace."""
    _claims: dict[Key, _Claim] = field(default_factory=dict)
    """What measurements wait for, by namespace and name."""
    _beginning: set[Key] = field(default_factory=set)
    """The measurements that begin, and may not be seen to have begun."""

    async def open(self, seen: Observation) -> None:
        """Read the account that a measurement is charged to, if there is to be one.

        Raises:
            OSError: When the store can't be reached.
            ValueError: When there is an object that does not belong there.
        """
        namespace, day = seen.measurement.key[0], seen.now.date()
        if _find_limit(seen) is None or self._is_open(namespace, day):
            return
        read = await asyncio.to_thread(self._read, namespace, day)
        # Another look may have read it, too, and have charged it by now.
        if not self._is_open(namespace, day):
            self._accounts[namespace] = read

    def weigh(self, seen: Observation) -> Observation:
        """Add what the quota of its namespace leaves to a measurement."""
        budget, run_count = self._find_budget(seen), self._count_others(seen)
        return replace(seen, budget=budget, run_count=run_count)

    def note(self, seen: Observation, decision: Decision) -> None:
        """Note whether a measurement begins now, and what it waits for."""
        measurement, key = seen.measurement, seen.measurement.key
        known = self._claims.get(key)
        self.forget(key)
        begun = {None, measurement.status.start_time}
        if decision.status.start_time not in begun or any(
            isinstance(each, CreateStandingRound) for each in decision.actions
        ):
            self._beginning.add(key)
        if decision.wanted:
            since = known.since if known else _find_wait(measurement, seen.now)
            self._claims[key] = _Claim(since, decision.wanted)

    async def charge(self, namespace: str, put: PutCharge) -> None:
        """Charge a namespace.

        Raises:
            OSError: When the store can't be reached.
            OverdrawnError: When the day has too little left by now, or is over.
        """
        account, charge = self._accounts[namespace], put.charge
        pending = self._pending.get(namespace, 0)
        used = account.used + pending + charge.probes
        is_too_much = put.limit is not None and used > put.limit
        if account.day != put.day or is_too_much:
            raise OverdrawnError
        self._pending[namespace] = pending + max(charge.probes, 0)
        try:
            key = account.find_key(charge)
            await asyncio.to_thread(self.store.put, key, b"{}\n")
            account.note(charge)
        finally:
            self._pending[namespace] -= max(charge.probes, 0)

    def forget(self, key: Key) -> None:
        """Drop what is known of a measurement."""
        self._claims.pop(key, None)
        self._beginning.discard(key)

    def find_used(self, namespace: str, day: date) -> int | None:
        """Return what a namespace was charged on a day, if that is known."""
        account = self._accounts.get(namespace)
        return account.used if account and account.day == day else None

    def find_quotas(self) -> dict[str, Quota]:
        """Return the quotas of the namespaces that have measurements, by name."""
        policy = self.inventory.find_policy()
        if policy is None:
            return {}
        limits = policy.spec.limits
        names = sorted({namespace for namespace, _ in self.inventory.measurements})
        return {name: limits.find_quota(name) for name in names}

    def count_runs(self, namespace: str) -> int:
        """Return how many runs of a namespace are under way."""
        return sum(map(self._is_under_way, self._find_all(namespace)))

    def _is_open(self, namespace: str, day: date) -> bool:
        """Return whether the account of a day is known, or that of the next day.

        What was seen just before midnight is charged to the day after.
        """
        found = self._accounts.get(namespace)
        return found is not None and found.day in {day, day + timedelta(1)}

    def _read(self, namespace: str, day: date) -> Account:
        remove_old(self.store, namespace, day)
        return Account.read(self.store, namespace, day)

    def _find_budget(self, seen: Observation) -> Budget | None:
        key, limit = seen.measurement.key, _find_limit(seen)
        account = self._accounts.get(key[0])
        if limit is None or account is None:
            return None
        used = account.used + self._pending.get(key[0], 0)
        known = self._claims.get(key)
        since = known.since if known else _find_wait(seen.measurement, seen.now)
        older = sorted(
            (claim.since, other, claim.wanted)
            for other, claim in self._claims.items()
            if other[0] == key[0] and (claim.since, other) < (since, key)
        )
        kept = keep_for(limit - used, (wanted for _, _, wanted in older))
        return Budget(key[0], account.day, limit, used, account.paid, kept)

    def _count_others(self, seen: Observation) -> RunCount | None:
        measurement, policy = seen.measurement, seen.policy
        namespace = measurement.key[0]
        quota = policy.limits.find_quota(namespace) if policy else None
        if quota is None or quota.max_concurrent_runs is None:
            return None
        if measurement.is_finished or self._is_under_way(measurement):
            return None
        own = _find_wait(measurement, seen.now), measurement.key
        others = [each for each in self._find_all(namespace) if each.key != own[1]]
        waiting = [each for each in others if not self._is_under_way(each)]
        ahead = sum(
            waits_for_quota(each) and (_find_wait(each, seen.now), each.key) < own
            for each in waiting
        )
        under_way = len(others) - len(waiting)
        return RunCount(namespace, quota.max_concurrent_runs, under_way, ahead)

    def _is_under_way(self, measurement: Measurement) -> bool:
        """Return whether a run has begun and not ended; suspended ones count."""
        status, spec = measurement.status, measurement.spec
        if measurement.is_finished:
            return False
        if measurement.key in self._beginning:
            return True
        if spec.is_standing:
            return bool(self.inventory.find_rounds(measurement.metadata.uid))
        return status.run_id == spec.run_id and status.start_time is not None

    def _find_all(self, namespace: str) -> Iterable[Measurement]:
        """Yield the measurements of a namespace, as they are."""
        for key, found in self.inventory.measurements.items():
            if key[0] == namespace:
                yield from map(self.recall, found)


def _find_wait(measurement: Measurement, now: datetime) -> datetime:
    """Return since when a measurement waits for the quota of its namespace."""
    ready = measurement.find_condition("Ready")
    if ready and waits_for_quota(measurement):
        return ready.last_transition_time
    return now


def _find_limit(seen: Observation) -> int | None:
    """Return how many probes the namespace may send on a day, if that is limited."""
    if seen.policy is None or seen.measurement.is_finished:
        return None
    quota = seen.policy.limits.find_quota(seen.measurement.key[0])
    return quota.max_probes_per_day
