"""A team of a local run: its members probe what is handed out to them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anabranch.local.probing import Task
from anabranch.rounds.division import (
    AT_ONCE,
    Division,
    HandOut,
    count_at_once,
    find_keepers,
    find_owners,
)
from anabranch.runs.handouts import put_hand_out, read_hand_outs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from anabranch_engine import Plan, Prober, Statistics

    from anabranch.api import Agent
    from anabranch.local.probing import Probing
    from anabranch.rounds.steps import Step

_LOOK_SECONDS = 0.2
"""How often a member looks whether it may take another hand-out."""


@dataclass(eq=False)
class Team:
    """The members of a team in one step.

    Each member takes what is handed out to it, and the next one as soon as all of it
    has begun. If a member fails, the others get what it left.
    """

    probing: Probing
    step: Step
    plan: Plan
    before: Step | None
    """The step whose senders keep their blocks."""
    note: Callable[[Prober, Statistics], None]
    failures: dict[str, OSError] = field(default_factory=dict)
    """Why members failed, by name."""
    _error: BaseException | None = None
    _given: list[HandOut] = field(default_factory=list)
    _open: dict[int, str] = field(default_factory=dict)
    """The hand-outs that are probed now, each with its sender."""
    _over: set[int] = field(default_factory=set)
    """The hand-outs that were probed to their end."""
    _keepers: Mapping[int, str] = field(default_factory=dict)
    _lock: threading.Condition = field(default_factory=threading.Condition)

    def run(self) -> None:
        """Probe the step, until its end or a stop.

        Raises:
            OSError: The first failure, if no member is left.
            BaseException: Any other error of a member, which stops all of them.
        """
        record, store = self.probing.record, self.probing.store
        self._given = list(read_hand_outs(store, record.keys.step(self.step)))
        if self.before:
            earlier = read_hand_outs(store, record.keys.step(self.before))
            self._keepers = find_keepers(earlier)
        threads = [
            threading.Thread(target=self._work, args=(member,))
            for member in record.members
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._error:
            raise self._error
        if len(self.failures) == len(record.members):
            raise next(iter(self.failures.values()))

    def _work(self, member: Agent) -> None:
        """Probe what is handed out to a member, until the end or a failure."""
        with ThreadPoolExecutor(AT_ONCE) as probers, self._stopping():
            while (number := self._take(member)) is not None:
                probers.submit(self._probe, member, number)

    def _probe(self, member: Agent, number: int) -> None:
        """Probe a hand-out of a member, until its end or a failure."""
        name = member.metadata.name
        with self._stopping():
            try:
                task = Task(self.step, self.plan, self._find_blocks(number), number + 1)
                self.probing.probe(member, task, self.note)
            except OSError as error:
                with self._lock:
                    self.failures[name] = error
            with self._lock:
                del self._open[number]
                if name not in self.failures and not self.probing.stopped.is_set():
                    self._over.add(number)
                self._lock.notify_all()

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        """Let any error stop all members; ``run`` raises it."""
        try:
            yield
        except BaseException as error:  # noqa: BLE001 (run raises it)
            self._error = error
            self.probing.stop()

    def _find_blocks(self, number: int) -> tuple[int, ...]:
        """Return the blocks of a hand-out that no later one has."""
        owners = find_owners(self._given)
        blocks = self._given[number].blocks
        return tuple(block for block in blocks if owners[block] == number)

    def _take(self, member: Agent) -> int | None:
        """Wait for a hand-out of a member, and return its number; None at the end."""
        name = member.metadata.name
        with self._lock:
            while not self.probing.stopped.is_set() and name not in self.failures:
                if self._may_take(member):
                    number = self._find_own(name)
                    if number is None:
                        number = self._hand_out(name)
                    if number is not None:
                        self._open[number] = name
                        return number
                if self._is_over():
                    return None
                self._lock.wait(_LOOK_SECONDS)
            return None

    def _may_take(self, member: Agent) -> bool:
        """Return whether all that a member works on has begun, and is not too much."""
        name = member.metadata.name
        count = list(self._open.values()).count(name)
        most = count_at_once(self._choose_rate(member))
        is_starting = count > self.probing.count(name)
        return count < most and not is_starting and not self.probing.is_busy(member)

    def _choose_rate(self, member: Agent) -> int:
        record = self.probing.record
        return record.choose_rate(member, record.policy)

    def _find_own(self, name: str) -> int | None:
        """Return a hand-out that a member got before this process began."""
        current = set(find_owners(self._given).values())
        numbers = (
            number
            for number, each in enumerate(self._given)
            if each.agent == name
            and number in current
            and number not in self._open
            and number not in self._over
        )
        return next(numbers, None)

    def _hand_out(self, name: str) -> int | None:
        """Hand out further blocks to a member, and return the hand-out's number."""
        record = self.probing.record
        rates = {
            each.metadata.name: self._choose_rate(each)
            for each in record.members
            if each.metadata.name not in self.failures
        }
        returned = {
            number
            for number, each in enumerate(self._given)
            if each.agent not in rates and number not in self._open
        }
        division = Division(self.plan.blocks, self._given, returned, self._keepers)
        blocks = division.choose(name, rates)
        if not blocks:
            return None
        number, given = len(self._given), HandOut(name, blocks)
        keys = record.keys.step(self.step)
        if not put_hand_out(self.probing.store, keys, number, given):
            raise FileExistsError(
                f"{keys.hand_out(number)}: somebody else hands out too"
            )
        self._given.append(given)
        return number

    def _is_over(self) -> bool:
        """Return whether all blocks are probed."""
        owners = find_owners(self._given)
        return len(owners) == self.plan.blocks and set(owners.values()) <= self._over
