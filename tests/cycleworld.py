"""A world in fast motion in which a Survey's cycles run: a store, objects, a clock.

Any action may be the operator's last, before or after it was done. The store and the
objects stay; all else is forgotten.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from anabranch.api import Measurement, Survey
from anabranch.api.resource import Condition
from anabranch.api.schedule import Schedule
from anabranch.manifests.cycles import build_measurement
from anabranch.reconcile.cycles import (
    LATEST_ENDS,
    Begin,
    Conclude,
    CreateMeasurement,
    CycleView,
    DeleteMeasurement,
    Due,
    Note,
    SurveyView,
    act,
    find_due,
)
from anabranch.runs.cycles import CycleRecord, Ledger
from cases import merge, minimal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anabranch.reconcile.cycles import CycleAction

CREATED = datetime(2026, 1, 1, tzinfo=UTC)


class MemoryStore:
    """A store in memory, as far as cycles need one."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, key: str, content: bytes) -> bool:
        """Puts an object unless it is there."""
        is_new = key not in self.objects
        self.objects.setdefault(key, content)
        return is_new

    def get(self, key: str) -> bytes:
        """An object's content."""
        try:
            return self.objects[key]
        except KeyError:
            raise FileNotFoundError(key) from None

    def tail(self, key: str, count: int) -> bytes:
        """The end of an object."""
        return self.get(key)[-count:]

    def list(self, prefix: str) -> Iterator[str]:
        """The keys in a folder."""
        return iter(sorted(k for k in self.objects if k.startswith(f"{prefix}/")))

    def folders(self, prefix: str) -> Iterator[str]:
        """The folders in a folder."""
        rest = (key.removeprefix(f"{prefix}/") for key in self.list(prefix))
        return iter(sorted({each.split("/")[0] for each in rest if "/" in each}))


class CrashError(Exception):
    """The end of an operator."""


def make_survey(**spec: Any) -> Survey:
    """A survey as the API server has it."""
    manifest = merge(minimal("Survey"), {"spec": spec})
    metadata = {"uid": "survey-uid", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return Survey.read(merge(manifest, {"metadata": metadata | {"generation": 1}}))


def finish(
    measurement: Measurement, started: datetime, ended: datetime, *, succeeded: bool
) -> Measurement:
    """A Measurement whose run is over."""
    reason = "Completed" if succeeded else "AgentsFailed"
    condition = Condition(
        type="Complete" if succeeded else "Failed",
        status="True",
        last_transition_time=ended,
        reason=reason,
        message="",
    )
    update = {
        "run_id": measurement.spec.run_id,
        "start_time": started,
        "completion_time": ended,
        "conditions": (condition,),
    }
    status = measurement.status.model_copy(update=update)
    return measurement.model_copy(update={"status": status})


@dataclass
class World:
    """A cluster, a store and a clock that may be set."""

    survey: Survey
    seed: int = 0
    crashes: float = 0.0
    """How often an action is an operator's last."""
    fails: float = 0.0
    """How often a run fails."""
    takes: tuple[float, float] = (60.0, 600.0)
    """How long a run takes at least and at most, in seconds."""
    store: MemoryStore = field(default_factory=MemoryStore)
    time: datetime = CREATED
    """The true time."""
    offset: timedelta = timedelta()
    """How far the clock is ahead."""
    measurements: dict[str, Measurement] = field(default_factory=dict)
    ends: dict[str, datetime] = field(default_factory=dict)
    """When the runs will end, by UID."""
    starts: dict[str, datetime] = field(default_factory=dict)
    runs: list[tuple[int, datetime]] = field(default_factory=list)
    """The numbers of the cycles that ran to their end, with the true times."""
    made: int = 0
    most: int = 0
    """The most Measurements that ran at once."""

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 (a world, no secret)
        spec = self.survey.spec
        self.schedule = (
            Schedule.read(spec.schedule, spec.time_zone) if spec.schedule else None
        )
        self.ledger: Ledger | None = None
        self.ledgers: list[Ledger | None] = [None, None]
        """Those of two operators at once."""

    @property
    def now(self) -> datetime:
        """What the clock says."""
        return (self.time + self.offset).replace(microsecond=0)

    def open_ledger(self) -> Ledger:
        """What this operator knows of the store."""
        if self.ledger is None:
            self.ledger = Ledger.read(self.store, self.survey.metadata.uid)  # type: ignore[arg-type]
        return self.ledger

    def observe(self, ledger: Ledger) -> SurveyView:
        """What an operator sees."""
        found = {
            int(each.metadata.labels["anabranch.dev/cycle"]): each
            for each in self.measurements.values()
        }
        newest = ledger.newest
        return SurveyView(
            survey=self.survey,
            now=self.now,
            schedule=self.schedule,
            newest=ledger.get_record(newest) if newest else None,
            past=ledger.find_past(self.now),
            cycles={
                n: CycleView(
                    record=ledger.get_record(n),
                    end=ledger.get_end(n) if ledger.has_ended(n) else None,
                    measurement=found.get(n),
                    is_noted=n not in found
                    or found[n].metadata.uid in ledger.measurements.get(n, ()),
                    has_results=n in ledger.open
                    and n not in found
                    and ledger.has_results(n),
                )
                for n in ledger.open | found.keys()
            },
            ends=ledger.find_latest_ends(LATEST_ENDS),
        )

    def look(self) -> Due:
        """An operator looks until nothing is left to do; it may crash and restart."""
        while True:
            try:
                ledger = self.open_ledger()
                seen = self.observe(ledger)
                due = find_due(seen)
                actions = list(act(seen, due))
                for action in actions:
                    self.risk()
                    self.take(ledger, action)
                    self.risk()
            except CrashError:
                self.ledger = None
                continue
            if not actions:
                return due

    def look_together(self) -> None:
        """Two operators look at once, and take their actions in any order.

        Each goes by what it knew of the store when it looked last.
        """
        todo: list[tuple[int, CycleAction]] = []
        for which in range(2):
            ledger = self.ledgers[which] or self.open_ledger()
            self.ledgers[which], self.ledger = ledger, None
            seen = self.observe(ledger)
            todo += [(which, action) for action in act(seen, find_due(seen))]
        # Those of one operator stay in order.
        order = [which for which, _ in todo]
        self.chance.shuffle(order)
        for which in order:
            action = next(each for each in todo if each[0] == which)
            todo.remove(action)
            known = self.ledgers[which]
            if known is not None:
                try:
                    self.take(known, action[1])
                except CrashError:
                    self.ledgers[which] = None

    def risk(self) -> None:
        """Perhaps the operator ends."""
        if self.chance.random() < self.crashes:
            raise CrashError

    def take(self, ledger: Ledger, action: CycleAction) -> None:
        """Takes an action."""
        match action:
            case Begin(record):
                if not ledger.begin(record):
                    raise CrashError  # as good as: what it knows is out of date
            case Conclude(end):
                if not ledger.conclude(end):
                    raise CrashError
            case Note(number, uid):
                ledger.note(number, uid)
            case CreateMeasurement(number):
                name = self.survey.name_cycle(number)
                if name not in self.measurements and not ledger.look_for_end(number):
                    self.create(number)
            case DeleteMeasurement(name, _):
                self.measurements.pop(name, None)

    def create(self, number: int) -> None:
        """Makes a Measurement, whose run begins."""
        manifest = build_measurement(self.survey, number)
        self.made += 1
        uid = f"uid-{self.made}"
        metadata = manifest["metadata"] | {"uid": uid}
        made = Measurement.read(manifest | {"metadata": metadata})
        self.measurements[made.metadata.name] = made
        self.starts[uid] = self.now
        self.ends[uid] = self.time + timedelta(seconds=self.chance.uniform(*self.takes))
        running = sum(not each.is_finished for each in self.measurements.values())
        self.most = max(self.most, running)

    def pass_time(self, until: datetime) -> None:
        """Lets time pass, in which runs end."""
        self.time = until
        for name, each in self.measurements.items():
            uid = each.metadata.uid
            if each.is_finished or self.ends[uid] > until:
                continue
            succeeded = self.chance.random() >= self.fails
            self.measurements[name] = finish(
                each, self.starts[uid], self.now, succeeded=succeeded
            )
            number = int(each.metadata.labels["anabranch.dev/cycle"])
            self.runs.append((number, self.ends[uid]))
            self.store.put(f"surveys/{uid}/1/summary.json", b"{}")

    def find_next(self, due: Due) -> datetime:
        """The next true time at which something happens."""
        coming = [
            self.ends[each.metadata.uid]
            for each in self.measurements.values()
            if not each.is_finished
        ]
        if due.next:
            coming.append(due.next - self.offset)
        return max(min(coming), self.time) + timedelta(seconds=1)

    def go_on(self, cycles: int) -> None:
        """Lets as many cycles begin, one after another."""
        goal = self.read().newest + cycles
        while self.read().newest < goal:
            self.pass_time(self.find_next(self.look()))

    def read(self) -> Ledger:
        """What the store has, whatever an operator knows."""
        if self.ledger is not None:
            return self.ledger
        return Ledger.read(self.store, self.survey.metadata.uid)  # type: ignore[arg-type]

    @property
    def records(self) -> list[CycleRecord]:
        """The records of all cycles, by number."""
        ledger = Ledger.read(self.store, self.survey.metadata.uid)  # type: ignore[arg-type]
        return [ledger.get_record(number) for number in range(1, ledger.newest + 1)]
