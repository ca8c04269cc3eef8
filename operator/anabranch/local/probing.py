"""The probers of a local run, and what limits them."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING

from anabranch_engine import Prober

from anabranch.local.assignment import find_network
from anabranch.rounds.closed import find_forbidden
from anabranch.rounds.rates import Pace, share_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anabranch_engine import Plan, Statistics

    from anabranch.api import Agent
    from anabranch.api.policy import ProbingPolicySpec
    from anabranch.rounds.steps import Step
    from anabranch.runs.record import RunRecord
    from anabranch.store.directory import DirectoryStore

EVERY_SECONDS = 0.5
"""How often a prober tells its progress."""


@dataclass(frozen=True)
class Task:
    """What to probe of a step's plan: all of it, or the blocks of a hand-out."""

    step: Step
    plan: Plan
    blocks: tuple[int, ...] = ()
    hand_out: int = 0


@dataclass(eq=False)
class Probing:
    """The probers of a run, which obey one policy and stop together."""

    record: RunRecord
    store: DirectoryStore
    stopped: threading.Event = field(default_factory=threading.Event)
    _probers: dict[Prober, Agent] = field(default_factory=dict)
    """The probers that run, each with its sender."""
    _policy: ProbingPolicySpec | None = None
    """The policy in force; without one nothing is sent."""
    _rates: dict[Prober, int] = field(default_factory=dict)
    _paces: dict[Prober, Pace] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._policy = self.record.policy

    def stop(self) -> None:
        """Stop sending; wait for replies as usual, and close the parts meanwhile."""
        self.stopped.set()
        with self._lock:
            for prober in self._probers:
                prober.stop()

    def obey(self, policy: ProbingPolicySpec | None) -> None:
        """Obey a policy from now on; send nothing without one or if it says stop."""
        with self._lock:
            if policy == self._policy:
                return
            self._policy = policy
            for prober, sender in self._probers.items():
                self._forbid(prober, sender)
            self._share()

    def probe(
        self, sender: Agent, task: Task, note: Callable[[Prober, Statistics], None]
    ) -> None:
        """Probe what a task says, from where the parts end.

        ``note`` gets the progress from time to time, and at the end.

        Raises:
            OSError: When the kernel refuses.
        """
        prober = self._make(sender, task)
        with self._running(prober, sender):
            if self.stopped.is_set():
                return

            def tell(statistics: Statistics) -> None:
                with self._lock:
                    self._paces[prober].note(statistics.sent, time.monotonic())
                    self._share()
                note(prober, statistics)

            note(prober, prober.run(tell, EVERY_SECONDS))

    def is_busy(self, sender: Agent) -> bool:
        """Return whether a sender has a prober that begins with further work."""
        with self._lock:
            return any(not prober.is_ending for prober in self._find(sender))

    def count(self, name: str) -> int:
        """Return the number of probers of a sender."""
        with self._lock:
            senders = self._probers.values()
            return sum(sender.metadata.name == name for sender in senders)

    def _make(self, sender: Agent, task: Task) -> Prober:
        record, spec = self.record, sender.spec
        bounds = record.run_rules
        sources = (spec.source_address_v4, spec.source_address_v6)
        return Prober(
            task.plan,
            self.store.path(record.keys.step(task.step).replies),
            network=find_network(sender),
            order=f"{record.agent.metadata.name}/{task.step}",
            round_number=task.step.round,
            rate=0,
            max_rate_per_prefix=record.policy.max_rate_per_prefix,
            forbidden=find_forbidden(record.policy, spec),
            min_ttl=bounds.min_ttl,
            max_ttl=bounds.max_ttl,
            blocks=task.blocks,
            sender=sender.metadata.name if record.members else "",
            hand_out=task.hand_out,
            wait_seconds=spec.wait_seconds,
            interface=spec.interface,
            sources=[ip_address(source) for source in sources if source],
            contact=record.policy.contact,
        )

    @contextmanager
    def _running(self, prober: Prober, sender: Agent) -> Iterator[None]:
        with self._lock:
            self._probers[prober] = sender
            self._paces[prober] = Pace()
            self._forbid(prober, sender)
            self._share()
        try:
            yield
        finally:
            with self._lock:
                del self._probers[prober]
                del self._paces[prober]
                self._share()

    def _find(self, sender: Agent) -> list[Prober]:
        return [
            prober
            for prober, other in self._probers.items()
            if other.metadata.name == sender.metadata.name
        ]

    def _forbid(self, prober: Prober, sender: Agent) -> None:
        if policy := self._policy:
            prober.forbid(find_forbidden(policy, sender.spec))
            prober.set_max_rate_per_prefix(policy.max_rate_per_prefix)

    def _share(self) -> None:
        """Give each prober its rate; falling ones first, so that no sum is too high."""
        rates: dict[Prober, int] = {}
        for sender in self.record.senders:
            total = self._choose_rate(sender)
            probers = self._find(sender)
            wanted = dict.fromkeys(range(len(probers)), total)
            ending = {
                place: self._paces[prober].rate
                for place, prober in enumerate(probers)
                if prober.is_ending
            }
            shares = share_rate(total, wanted, ending)
            rates |= {probers[place]: share for place, share in shares.items()}
        before = self._rates
        for prober in sorted(rates, key=lambda each: rates[each] - before.get(each, 0)):
            prober.set_rate(rates[prober])
        self._rates = rates

    def _choose_rate(self, sender: Agent) -> int:
        policy = self._policy
        if policy is None or policy.stop:
            return 0
        return self.record.choose_rate(sender, policy)
