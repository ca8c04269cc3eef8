"""One Round, from its plan to its last part in the store."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anabranch_engine import Plan, Prober

from anabranch.rounds.steps import Step
from anabranch_agent.backoff import Backoff
from anabranch_agent.demand import Drop, Hold, Leave, Pause, Probe
from anabranch_agent.depot import (
    OvertakenError,
    PartsBrokenError,
    PlanMismatchError,
    PlanUnusableError,
    StoreAwayError,
)
from anabranch_agent.metrics import grow_invalid
from anabranch_agent.parts import NOTHING, Totals, count, find_invalid
from anabranch_agent.status import View
from anabranch_agent.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from anabranch_engine import Statistics

    from anabranch.api import Round
    from anabranch_agent.config import Times
    from anabranch_agent.demand import Demand
    from anabranch_agent.depot import Depot
    from anabranch_agent.governor import Governor
    from anabranch_agent.metrics import Tally
    from anabranch_agent.uploads import Uploads

_log = logging.getLogger(__name__)
_PENDING = Hold("Pending", "the plan is fetched, and the store asked how far it is")
_SLOW = Hold("StoreUnavailable", "the store takes long to answer")
_LEFT = Hold("AgentStopped", "the agent's process was told to end; the next goes on")
_PROBING = "probes are sent, as far as the rate lets them"


@dataclass
class RoundRun:
    """Probes a Round, as far as it is demanded; parts go up meanwhile."""

    measured: Round
    folder: Path
    """Its own, for the plan and for parts that wait."""
    depot: Depot
    uploads: Uploads
    governor: Governor
    tally: Tally
    times: Times
    now: Callable[[], str]
    """The time as Kubernetes writes it."""
    changed: Callable[[], None]
    """Called when there is something to tell, or rates to share anew."""
    demand: Demand
    is_probing: bool = False
    """Whether it takes part in the rate."""
    is_over: bool = False
    _trouble: Hold | None = _PENDING
    """What keeps it from probing; None if nothing does."""
    _is_complete: bool = False
    _is_failed: bool = False
    _start_time: str | None = None
    _completion_time: str | None = None
    _stored: Totals = NOTHING
    """What earlier probers counted."""
    _counted: Totals = NOTHING
    """What the one that runs counted."""
    _prober: Prober | None = None
    _running: Probe | None = None
    _is_stopped: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        if began := self.measured.status.start_time:
            self._start_time = began.strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def uid(self) -> str:
        """What tells the Round from others."""
        return self.measured.metadata.uid

    @property
    def name(self) -> str:
        """What people call it."""
        return "/".join(self.measured.key)

    def follow(self, measured: Round, demand: Demand) -> None:
        """Takes up what is wanted now; what is forbidden is so at once."""
        self.measured = measured
        before, self.demand = self.demand, demand
        if demand == before:
            return
        if self._prober and self._running:
            if not self._running.is_same_prober(demand):
                self._stop()
            elif (
                isinstance(demand, Probe)
                and demand.forbidden != self._running.forbidden
            ):
                self._prober.forbid(demand.forbidden)
                self._running = demand
        self._news.set()
        self.changed()

    def view(self) -> View:
        """How it is now."""
        hold = self._find_hold()
        return View(
            generation=self.measured.metadata.generation,
            start_time=self._start_time,
            completion_time=self._completion_time,
            block=self.uploads.block,
            parts=self.uploads.parts,
            totals=self._stored + self._counted,
            is_ready=hold is None or self._is_complete,
            reason=hold.reason if hold else "Probing",
            message=hold.message if hold else _PROBING,
            is_complete=self._is_complete,
            is_failed=self._is_failed,
        )

    async def run(self) -> None:
        """Goes on until the Round is complete, failed, or not wanted any more."""
        backoff = Backoff(self.times.backoff, self.times.most_backoff)
        while not self.is_over:
            self._news.clear()
            match self.demand:
                case Drop():
                    await self._clear()
                    self.is_over = True
                    _log.info("%s: dropped", self.name)
                case Leave():
                    self.is_over = True
                case Pause():
                    await self._news.wait()
                case Probe() as probe:
                    await self._attempt(probe, backoff)
        self.changed()

    async def _attempt(self, probe: Probe, backoff: Backoff) -> None:
        """One prober's life, or why there is none; then a rest, if that may help."""
        try:
            await self._probe(probe)
        except StoreAwayError as error:
            self._tell(Hold("StoreUnavailable", str(error)))
        except OvertakenError as error:
            _log.warning("%s: begun anew: %s", self.name, error)
            self.uploads.clear()
        except PlanMismatchError as error:
            await self._fail("PlanDigestMismatch", f"{error}; make the Round anew")
        except PartsBrokenError as error:
            message = f"{error}; run the measurement again, with another runId"
            await self._fail("PartsBroken", message)
        except PlanUnusableError as error:
            await self._fail("PlanUnusable", str(error))
        except OSError as error:
            self._tell(Hold("ProbingError", str(error)))
        else:
            backoff.succeed()
            return
        if not self.is_over:
            await self._rest(backoff.fail())

    async def _probe(self, probe: Probe) -> None:
        """Probes from where the store says, until the end or another demand.

        Raises:
            OvertakenError: When someone else stored parts of the step.
            PartsBrokenError: When the parts in the store do not follow one another.
            PlanMismatchError: When the plan is another one.
            StoreAwayError: When the store does not let it begin.
            OSError: When the kernel does not let it.
            PlanUnusableError: When the plan can't be probed.
        """
        file = await self.depot.fetch_plan(self.measured.spec.plan, self.folder)
        self._stored = await self.uploads.resume()
        demand = self.demand
        if not (isinstance(demand, Probe) and demand.is_same_prober(probe)):
            return
        self._prober = prober = self._make_prober(file, demand)
        self._running, self._is_stopped = demand, False
        life = asyncio.ensure_future(in_thread(lambda: self._live(prober)))
        life.add_done_callback(lambda _: self._news.set())
        self.governor.attach(self.uid, prober)
        self.is_probing = True
        self._tell(None)
        try:
            await self._upload_until(life)
            was_stopped = self._is_stopped
        finally:
            prober.stop()
            await asyncio.wait({life})
            self.governor.detach(self.uid)
            self.is_probing = False
            self._prober = self._running = None
            self._stored, self._counted = self._stored + self._counted, NOTHING
            # Told below, unless something that came before it is told.
            life.exception()
        life.result()
        if not was_stopped:
            await self._complete()

    def _make_prober(self, plan: Path, probe: Probe) -> Prober:
        spec, limits = self.measured.spec, probe.limits
        try:
            return Prober(
                Plan(plan),
                self.uploads.folder,
                order=f"{spec.agent}/{Step(spec.round, spec.window)}",
                round_number=spec.round,
                rate=0,
                max_rate_per_prefix=limits.max_rate_per_prefix,
                forbidden=probe.forbidden,
                min_ttl=limits.min_ttl,
                max_ttl=limits.max_ttl,
                begin=self.uploads.ends,
                wait_seconds=spec.wait_seconds,
                part_seconds=self.times.part,
                interface=limits.interface,
                sources=limits.sources,
                contact=limits.contact,
            )
        except ValueError as error:
            raise PlanUnusableError(str(error)) from error

    def _live(self, prober: Prober) -> None:
        """Runs a prober in the calling thread."""
        last, invalid = NOTHING, dict[str, int]()

        def note(statistics: Statistics) -> None:
            nonlocal last, invalid
            now = count(statistics)
            self.tally.add(now - last, grow_invalid(statistics, invalid))
            self._counted, last = now, now
            invalid = find_invalid(statistics)
            if now.sent and self._start_time is None:
                self._start_time = self.now()

        try:
            note(prober.run(note, self.times.check))
        except ValueError as error:
            raise PlanUnusableError(str(error)) from error

    async def _upload_until(self, life: asyncio.Future[None]) -> None:
        """Takes parts to the store until a prober has ended, and all are there.

        Raises:
            OvertakenError: When someone else stored parts of the step.
        """
        backoff = Backoff(self.times.backoff, self.times.most_backoff)
        while not isinstance(self.demand, Drop):
            has_ended = life.done()
            try:
                await self.uploads.go_on()
            except StoreAwayError as error:
                self._tell(Hold("StoreUnavailable", str(error)))
                await self._rest(backoff.fail())
                continue
            backoff.succeed()
            self._tell(None)
            if has_ended:
                return
            await self._rest(self.times.check)

    async def _rest(self, seconds: float) -> None:
        """Waits, but not beyond news."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()

    def _stop(self) -> None:
        self._is_stopped = True
        if self._prober:
            self._prober.stop()

    def _tell(self, trouble: Hold | None) -> None:
        """What keeps it from probing now; told where it is another reason."""
        before, self._trouble = self._trouble, trouble
        if (before and before.reason) != (trouble and trouble.reason):
            words = f"{trouble.reason}: {trouble.message}" if trouble else "Probing"
            _log.info("%s: %s", self.name, words)
            self.changed()

    def _find_hold(self) -> Hold | None:
        """Why nothing is sent, by what matters most."""
        if self.is_over and (self._is_complete or self._is_failed):
            return self._trouble
        match self.demand:
            case Pause(hold):
                return hold
            case Probe(paused=paused):
                slow = _SLOW if self.depot.is_slow else None
                return self._trouble or slow or paused
            case Leave() | Drop():
                return _LEFT

    async def _complete(self) -> None:
        totals, parts = self._stored + self._counted, self.uploads.parts
        message = f"{totals.sent} probes and {totals.replies} replies, in {parts} parts"
        await self._clear()
        self._is_complete = True
        self._completion_time = self.now()
        self._end(Hold("Complete", message))

    async def _fail(self, reason: str, message: str) -> None:
        await self._clear()
        self._is_failed = True
        self._end(Hold(reason, message))

    def _end(self, why: Hold) -> None:
        self.is_over = True
        self._tell(why)

    async def _clear(self) -> None:
        """Leaves nothing behind here."""
        if self.folder.exists():
            await in_thread(lambda: shutil.rmtree(self.folder))
        self.uploads.forget()
