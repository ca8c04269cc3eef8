"""One Round, from its plan to its last part in the store."""

from __future__ import annotations

import asyncio
import logging
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch.api.round import ENDING
from anabranch_agent.backoff import Backoff
from anabranch_agent.demand import SUSPENDED, Drop, Hold, Leave, Pause, Probe
from anabranch_agent.depot import (
    OvertakenError,
    PartsBrokenError,
    PlanMismatchError,
    PlanUnusableError,
    StoreAwayError,
)
from anabranch_agent.life import Life, make_prober
from anabranch_agent.parts import NOTHING, Totals
from anabranch_agent.status import View
from anabranch_agent.threads import in_thread
from anabranch_agent.work import LEFT, Work

if TYPE_CHECKING:
    from anabranch.api.round import PlanRef
    from anabranch_agent.demand import Demand
    from anabranch_agent.depot import Depot
    from anabranch_agent.metrics import Tally
    from anabranch_agent.uploads import Uploads

_log = logging.getLogger(__name__)
_PENDING = Hold("Pending", "the plan is fetched, and the stored parts are looked up")
_SLOW = Hold("StoreUnavailable", "the store takes long to answer")
_STORING = Hold("Storing", "nothing is sent; the last replies are heard, and stored")
_PROBING = "probes are sent, as far as the rate lets them"
_ENDING = "all has begun, and what has not ended goes on"


@dataclass(kw_only=True)
class RoundRun(Work):
    """A run that probes a Round as demanded, and uploads its parts meanwhile."""

    doing = "Probing"

    depot: Depot
    uploads: Uploads
    tally: Tally
    _trouble: Hold | None = _PENDING
    _is_complete: bool = False
    _is_failed: bool = False
    _completion_time: str | None = None
    _stored: Totals = NOTHING
    """The counts of parts in the store, and of probers that have ended."""
    _life: Life | None = None

    @property
    def is_ending(self) -> bool:
        """Whether its prober only goes on with what it has begun."""
        return self._life is not None and self._life.prober.is_ending

    @property
    def pace(self) -> int:
        """The probes a second that it has sent lately."""
        return self._life.pace.rate if self._life else 0

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing to send for now: a plan always has."""
        return False

    @property
    def waiting_files(self) -> int:
        """The number of parts that wait for the store."""
        return self.uploads.waiting_parts

    @property
    def waiting_bytes(self) -> int:
        """The size of the parts that wait for the store."""
        return self.uploads.waiting_bytes

    def look(self) -> None:
        """Count the parts that wait for the store.

        A run that waits for the store does not notice new parts.
        """
        self.uploads.look()

    @property
    def _plan(self) -> PlanRef:
        plan = self.measured.spec.plan
        if plan is None:
            raise ValueError("a Round without a plan is standing")
        return plan

    @property
    def _totals(self) -> Totals:
        return self._stored + (self._life.counted if self._life else NOTHING)

    def view(self) -> View:
        """Return the present state of the Round."""
        hold = self.find_hold()
        return View(
            generation=self.measured.metadata.generation,
            start_time=self._start_time,
            completion_time=self._completion_time,
            block=self.uploads.block,
            parts=self.uploads.parts,
            totals=self._totals,
            is_traced=self._plan.destinations is not None,
            is_ready=hold is None or self._is_complete,
            reason=hold.reason if hold else ENDING if self.is_ending else "Probing",
            message=hold.message if hold else _ENDING if self.is_ending else _PROBING,
            is_complete=self._is_complete,
            is_failed=self._is_failed,
            policy=self.policy,
        )

    def find_hold(self) -> Hold | None:
        """Return the most important reason why nothing is sent, or None."""
        if self.is_over and (self._is_complete or self._is_failed):
            return self._trouble
        match self.demand:
            case Pause(hold):
                return _STORING if hold == SUSPENDED and self._life else hold
            case Probe(paused=paused):
                slow = _SLOW if self.depot.is_slow else None
                return self._trouble or slow or paused
            case Leave() | Drop():
                return LEFT

    def _pass_on(self, demand: Demand) -> None:
        if self._life:
            self._life.follow(demand)

    async def _drop(self) -> None:
        await self._clear()

    async def _leave(self) -> None:
        """Leave what waits in the folder: the store says where to go on."""

    async def _attempt(self, probe: Probe, backoff: Backoff) -> None:
        """Run one prober, or report why there is none."""
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
        """Probe from where the store says, until the end or another demand.

        Raises:
            OvertakenError: When someone else stored parts of the step.
            PartsBrokenError: When the parts in the store do not follow one another.
            PlanMismatchError: When the plan is not the one that the Round names.
            StoreAwayError: When the store does not let it begin.
            OSError: When the kernel refuses.
            PlanUnusableError: When the plan can't be probed.
        """
        file = await self.depot.fetch_plan(self._plan, self.folder)
        self._stored = await self.uploads.resume()
        demand = self.demand
        if not (isinstance(demand, Probe) and probe.is_same_prober(demand)):
            return
        prober = make_prober(
            self.measured.spec,
            demand,
            file,
            self.uploads,
            self.times.part,
        )
        clock = self.governor.clock
        life = self._life = Life(prober, demand, self.tally, self._begin, clock)
        running = life.start(self.times, self._news.set)
        self.governor.attach(self.uid, prober)
        self.is_probing = True
        self.changed()
        try:
            await self._upload_until(running)
        finally:
            prober.stop()
            await asyncio.wait({running})
            self.governor.detach(self.uid)
            self.is_probing = False
            self._stored, self._life = self._totals, None
            self.changed()
            # This marks the error as seen. It is raised below, if no other is.
            running.exception()
        running.result()
        if not life.was_stopped:
            await self._complete()

    async def _upload_until(self, running: asyncio.Future[None]) -> None:
        """Upload parts until a prober has ended and all parts are stored.

        Raises:
            OvertakenError: When someone else stored parts of the step.
        """
        backoff = Backoff(self.times.backoff, self.times.most_backoff)
        while not isinstance(self.demand, Drop):
            has_ended = running.done()
            try:
                await self.uploads.go_on()
            except StoreAwayError as error:
                self._tell(Hold("StoreUnavailable", str(error)))
                await self._rest(backoff.fail())
                continue
            backoff.succeed()
            if has_ended:
                return
            await self._rest(self.times.check)
            if not running.done():
                # Not earlier: a prober that can't run finds that out at once.
                self._tell(None)

    async def _complete(self) -> None:
        totals, parts = self._totals, self.uploads.parts
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
        """Remove all local files of the Round."""
        if self.folder.exists():
            await in_thread(lambda: shutil.rmtree(self.folder))
        self.uploads.forget()
