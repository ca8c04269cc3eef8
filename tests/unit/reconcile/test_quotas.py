"""What namespaces have done of what they may, and who waits for more."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from anabranch.api import Measurement, ProbingPolicy
from anabranch.reconcile.observation import Decision, PutCharge
from anabranch.reconcile.quotas import OverdrawnError, Quotas
from anabranch.runs.account import Charge
from anabranch.store.directory import DirectoryStore
from exposition import EMPTY
from observations import NOW, read_kind, see

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.reconcile.observation import Observation

SPEC = see().measurement.spec.model_dump(mode="json", by_alias=True, exclude_none=True)


@dataclass
class Office:
    """Quotas of a namespace with some measurements."""

    folder: Path
    limits: dict[str, Any]
    measurements: dict[tuple[str, str], list[Measurement]] = field(default_factory=dict)
    quotas: Quotas = field(init=False)

    def __post_init__(self) -> None:
        inventory = replace(EMPTY, measurements=self.measurements)
        store = DirectoryStore(self.folder)
        self.quotas = Quotas(store, inventory, lambda each: each)

    def add(self, name: str, reason: str = "", minutes: int = 0, **status: Any) -> None:
        """A measurement, whose Ready has been false with a reason for some minutes."""
        since = (NOW - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
        condition = {"type": "Ready", "status": "False", "reason": reason}
        condition |= {"message": "", "lastTransitionTime": since}
        said = {"observedGeneration": 1, "runId": "1", **status}
        said |= {"conditions": [condition]} if reason else {}
        made: Measurement = read_kind(Measurement, name, SPEC, status=said)
        self.measurements[made.key] = [made]

    def look(self, name: str, days: int = 0) -> Observation:
        """What is seen of a measurement."""
        spec = {"contact": "me@here", "limits": self.limits}
        policy = read_kind(ProbingPolicy, "default", spec).spec
        (measurement,) = self.measurements["research", name]
        now = NOW + timedelta(days)
        seen = replace(see(), measurement=measurement, policy=policy, now=now)
        asyncio.run(self.quotas.open(seen))
        return self.quotas.weigh(seen)

    def decide(self, name: str, *wanted: int, start: bool = False) -> None:
        """Notes what is decided about a measurement."""
        seen = self.look(name)
        status = seen.measurement.status
        if start:
            status = status.model_copy(update={"start_time": NOW})
        self.quotas.note(seen, Decision(status, wanted=wanted))

    def charge(self, probes: int, name: str = "r") -> None:
        """Charges a new Round, by the limit that there is."""
        limit = self.limits["maxProbesPerDay"]
        put = PutCharge(NOW.date(), Charge(name, 0, probes), limit)
        asyncio.run(self.quotas.charge("research", put))

    def budget(self, name: str, days: int = 0) -> tuple[int, int]:
        """What was used of a day, and what is kept for others of a measurement."""
        budget = self.look(name, days).budget
        assert budget
        return budget.used, budget.kept

    def runs(self, name: str) -> tuple[int, int]:
        """The runs under way besides a measurement, and those ahead of it."""
        count = self.look(name).run_count
        assert count
        return count.under_way, count.ahead


def test_what_is_not_limited_is_not_counted(tmp_path: Path) -> None:
    """Nothing is read or put."""
    office = Office(tmp_path, {})
    office.add("m")
    seen = office.look("m")
    assert (seen.budget, seen.run_count) == (None, None)
    assert list(tmp_path.iterdir()) == []


def test_what_was_charged_is_known_to_the_next_operator(tmp_path: Path) -> None:
    """Whether it made the Round or not, and whatever became of the measurement."""
    office = Office(tmp_path, {"maxProbesPerDay": 100})
    office.add("m")
    office.look("m")
    office.charge(70)
    following = Office(tmp_path, office.limits)
    following.add("other")
    assert following.budget("other") == (70, 0)
    budget = following.look("other").budget
    assert budget
    assert budget.paid == {"r": 70}


def test_the_next_day_begins_with_nothing(tmp_path: Path) -> None:
    """What was decided by the day before is not charged any more."""
    office = Office(tmp_path, {"maxProbesPerDay": 100})
    office.add("m")
    office.look("m")
    office.charge(70)
    assert office.budget("m", days=1) == (0, 0)
    with pytest.raises(OverdrawnError):
        office.charge(1)


def test_what_was_seen_before_midnight_is_charged_to_the_new_day(
    tmp_path: Path,
) -> None:
    """Once others have begun that; and a clock that was far ahead changes nothing."""
    office = Office(tmp_path, {"maxProbesPerDay": 100})
    office.add("m")
    for ahead in (1, 300):
        office.look("m", days=ahead)
        budget = office.look("m").budget
        assert budget
        assert budget.day == NOW.date() + timedelta(ahead % 300)


def test_two_that_see_the_same_rest_do_not_both_get_it(tmp_path: Path) -> None:
    """Even while the charge of the first is on its way to the store."""
    office = Office(tmp_path, {"maxProbesPerDay": 100})
    office.add("m")
    office.look("m")

    async def charge_both() -> list[BaseException | None]:
        puts = [PutCharge(NOW.date(), Charge(name, 0, 60), 100) for name in "xy"]
        return await asyncio.gather(
            *(office.quotas.charge("research", put) for put in puts),
            return_exceptions=True,
        )

    first, second = asyncio.run(charge_both())
    assert first is None
    assert isinstance(second, OverdrawnError)
    assert office.budget("m") == (60, 0)


def test_what_is_sent_is_charged_in_any_case(tmp_path: Path) -> None:
    """Then the day has less than nothing left."""
    office = Office(tmp_path, {"maxProbesPerDay": 100})
    office.add("m")
    office.look("m")
    sent = PutCharge(NOW.date(), Charge("r", 0, 120), None)
    asyncio.run(office.quotas.charge("research", sent))
    budget = office.look("m").budget
    assert budget
    assert budget.left == -20


def test_what_the_store_does_not_take_is_not_charged(tmp_path: Path) -> None:
    """So the Round is charged again before it is made."""
    office = Office(tmp_path, {"maxProbesPerDay": 100})
    office.add("m")
    office.look("m")
    (tmp_path / "accounts").write_text("no folder")
    with pytest.raises(OSError, match="accounts"):
        office.charge(60)
    assert office.budget("m") == (0, 0)


def test_what_waits_longest_goes_first(tmp_path: Path) -> None:
    """As long as it waits, and unless it can't have what it lacks today."""
    office = Office(tmp_path, {"maxProbesPerDay": 100})
    office.add("first", "QuotaExceeded", minutes=2)
    office.add("second", "QuotaExceeded", minutes=1)
    office.add("new")
    office.decide("second", 30)
    office.decide("first", 60)
    assert office.budget("first") == (0, 0)
    assert office.budget("second") == (0, 60)
    assert office.budget("new") == (0, 90)
    office.charge(50)
    assert office.budget("new") == (50, 30)
    office.decide("first")
    office.quotas.forget(("research", "second"))
    assert office.budget("new") == (50, 0)


def test_runs_begin_in_the_order_in_which_they_wait(tmp_path: Path) -> None:
    """Those that wait for something else are not waited for."""
    office = Office(tmp_path, {"maxConcurrentRuns": 2})
    office.add("runs", "Running", startTime="2026-11-24T00:00:00Z")
    office.add("waits", "QuotaExceeded", minutes=5)
    office.add("lacks", "AgentMissing", minutes=9)
    over: dict[str, Any]
    over = {"startTime": "2026-11-24T00:00:00Z", "completionTime": NOW.isoformat()}
    office.add("over", "Completed", **over)
    office.add("new")
    assert office.runs("new") == (1, 1)
    assert office.runs("waits") == (1, 0)
    assert office.look("runs").run_count is None


def test_two_do_not_begin_for_one_end(tmp_path: Path) -> None:
    """Even before the status of the first says that it has begun."""
    office = Office(tmp_path, {"maxConcurrentRuns": 1})
    office.add("a")
    office.add("b")
    assert office.runs("b") == (0, 0)
    office.decide("a", start=True)
    assert office.runs("b") == (1, 0)
    assert office.quotas.count_runs("research") == 1
    office.decide("a")
    assert office.runs("b") == (0, 0)
