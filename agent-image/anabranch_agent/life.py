"""The life of a prober, from its start to its end, in a thread."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anabranch_engine import Plan, Prober

from anabranch.rounds.rates import Pace
from anabranch.rounds.steps import Step
from anabranch_agent.demand import Probe
from anabranch_agent.depot import PlanUnusableError
from anabranch_agent.parts import NOTHING, Totals, count
from anabranch_agent.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from anabranch_engine import Statistics

    from anabranch.api.round import RoundSpec
    from anabranch_agent.config import Times
    from anabranch_agent.demand import Demand
    from anabranch_agent.metrics import Tally
    from anabranch_agent.uploads import Uploads


def make_prober(
    spec: RoundSpec,
    probe: Probe,
    plan: Path,
    uploads: Uploads,
    part_seconds: float,
) -> Prober:
    """Make the prober of a Round; the governor sets its rates.

    Raises:
        OSError: When the plan can't be read.
        PlanUnusableError: When the plan can't be probed.
    """
    limits = probe.limits
    try:
        return Prober(
            Plan(plan),
            uploads.folder,
            order=f"{spec.team or spec.agent}/{Step(spec.round, spec.window)}",
            round_number=spec.round,
            rate=0,
            max_rate_per_prefix=1,
            forbidden=probe.forbidden,
            min_ttl=limits.min_ttl,
            max_ttl=limits.max_ttl,
            blocks=spec.blocks,
            sender=spec.agent if spec.team else "",
            hand_out=spec.hand_out,
            begin=uploads.ends,
            wait_seconds=spec.wait_seconds,
            part_seconds=part_seconds,
            interface=limits.interface,
            sources=limits.sources,
            contact=limits.contact,
        )
    except ValueError as error:
        raise PlanUnusableError(str(error)) from error


@dataclass
class Life:
    """A running prober, and what it was told to do."""

    prober: Prober
    probe: Probe
    tally: Tally
    began: Callable[[], None]
    """Called with each count after the first probe was sent."""
    clock: Callable[[], float]
    """The time in seconds since any moment."""
    pace: Pace = field(default_factory=Pace)
    counted: Totals = NOTHING
    was_stopped: bool = False
    _before: Statistics | None = None

    def follow(self, demand: Demand) -> None:
        """Stop if the demand needs another prober; else pass on what is forbidden."""
        if not self.probe.is_same_prober(demand):
            self.was_stopped = True
            self.prober.stop()
        elif isinstance(demand, Probe) and demand.forbidden != self.probe.forbidden:
            self.prober.forbid(demand.forbidden)
            self.probe = demand

    def start(self, times: Times, ended: Callable[[], None]) -> asyncio.Future[None]:
        """Start the prober; return a future that is done when the prober ends.

        The future raises OSError when the kernel refuses, and PlanUnusableError when
        the plan can't be probed.
        """
        life = asyncio.ensure_future(in_thread(lambda: self._run(times.check)))
        life.add_done_callback(lambda _: ended())
        return life

    def _run(self, every: float) -> None:
        try:
            self._note(self.prober.run(self._note, every))
        except ValueError as error:
            raise PlanUnusableError(str(error)) from error

    def _note(self, statistics: Statistics) -> None:
        self.tally.add(statistics, self._before)
        self.counted, self._before = count(statistics), statistics
        self.pace.note(statistics.sent, self.clock())
        if statistics.sent:
            self.began()
