"""How far agents are with what they probe, and how fast; pure.

The API server knows when a status was written. So a rate is what was sent between two
statuses, however often somebody looks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from anabranch.api import Round
    from anabranch.api.resource import Condition

_KEPT = 40
"""How many rates are remembered of each agent."""


@dataclass(frozen=True)
class Told:
    """A Round, and when its agent last wrote its status."""

    round: Round
    written: datetime | None

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is left to do."""
        return self.round.status.completion_time is not None or any(
            each.type in {"Complete", "Failed"} and each.status == "True"
            for each in self.round.status.conditions
        )

    @property
    def ready(self) -> Condition | None:
        """What the agent says of it."""
        conditions = self.round.status.conditions
        return next((each for each in conditions if each.type == "Ready"), None)


def find_written(body: Mapping[str, Any]) -> datetime | None:
    """Return when the status of an object was last written, or None if it never was."""
    times = [
        entry["time"]
        for entry in body["metadata"].get("managedFields", ())
        if entry.get("subresource") == "status" and "time" in entry
    ]
    if not times:
        return None
    return datetime.strptime(max(times), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


@dataclass(frozen=True)
class Progress:
    """What an agent has done of the newest step of a run."""

    agent: str
    measurement: str
    step: str
    """The number of the round, with that of the window if there are several."""
    state: str
    """The reason that the agent gives, or Unseen before its first status."""
    message: str
    is_sending: bool
    is_over: bool
    unit: str
    """What is counted as done: probes, destinations or connections."""
    done: int
    planned: int | None
    """None if there is no end to work towards."""
    sent: int
    replies: int
    invalid: int
    dropped: int
    """Packets that the kernel dropped unread, and probes that it did not send."""
    granted: int
    """Probes a second."""
    rate: float | None
    """Probes a second; None if nothing tells."""

    @property
    def share(self) -> float | None:
        """The share that is done, from 0 to 1; None if there is no end."""
        if self.planned is None:
            return None
        return min(self.done / self.planned, 1.0) if self.planned else 1.0

    @property
    def answered(self) -> float | None:
        """The replies for each probe; None before the first probe."""
        return self.replies / self.sent if self.sent else None

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at this rate, if probes are what is counted."""
        if self.planned is None or not self.rate or self.unit != "probes":
            return None
        return max(self.planned - self.done, 0) / self.rate


@dataclass
class Pace:
    """A memory of what Rounds told, from which rates follow."""

    _told: dict[str, tuple[datetime, int]] = field(default_factory=dict)
    """When the last status of each Round was written, and the probes up to then."""
    _rates: dict[str, float] = field(default_factory=dict)
    _history: dict[str, list[float]] = field(default_factory=dict)

    def note(self, rounds: Iterable[Told]) -> None:
        """Take in the Rounds as they are now."""
        fresh: dict[str, float] = {}
        for told in rounds:
            uid, sent = told.round.metadata.uid, told.round.status.probes_sent or 0
            if told.written is None:
                continue
            before = self._told.get(uid)
            if before is None:
                self._told[uid] = (told.written, sent)
                rate = _average(told)
            elif told.written > before[0]:
                self._told[uid] = (told.written, sent)
                seconds = (told.written - before[0]).total_seconds()
                rate = max(sent - before[1], 0) / seconds
            else:
                continue
            if rate is not None:
                self._rates[uid] = rate
                agent = told.round.spec.agent
                fresh[agent] = fresh.get(agent, 0.0) + rate
        for agent, rate in fresh.items():
            rates = self._history.setdefault(agent, [])
            rates.append(rate)
            del rates[:-_KEPT]

    def find_rate(self, told: Told) -> float | None:
        """Return the present rate of a Round in probes a second, if that is known."""
        if told.is_over or not _is_sending(told):
            return 0.0
        return self._rates.get(told.round.metadata.uid)

    def list_rates(self, agent: str) -> Sequence[float]:
        """List the last rates of an agent, the newest last."""
        return self._history.get(agent, ())


def follow_agents(rounds: Sequence[Told], pace: Pace) -> list[Progress]:
    """Return how far each agent of each run is, by agent and measurement.

    What counts is the newest step that it has a Round for. In a team, an agent may
    have several Rounds in a step: they are added up.
    """
    steps: dict[tuple[str, str], dict[tuple[int, int], list[Told]]] = {}
    for told in rounds:
        spec = told.round.spec
        key = (spec.agent, "/".join((told.round.metadata.namespace, _name(told))))
        found = steps.setdefault(key, {})
        found.setdefault((spec.round, spec.window), []).append(told)
    return [
        _add_up(agent, measurement, found[max(found)], pace)
        for (agent, measurement), found in sorted(steps.items())
    ]


def _add_up(
    agent: str, measurement: str, rounds: Sequence[Told], pace: Pace
) -> Progress:
    rounds = sorted(rounds, key=lambda told: told.round.spec.hand_out)
    active = [told for told in rounds if not told.is_over]
    shown = active or rounds[-1:]
    ready = next((told.ready for told in reversed(shown) if told.ready), None)
    first = rounds[0].round.spec
    plan = first.plan
    traces = plan is not None and plan.destinations is not None
    statuses = [told.round.status for told in rounds]
    rates = [pace.find_rate(told) for told in shown]
    known = [rate for rate in rates if rate is not None]
    connections = [s.connections for s in statuses if s.connections]
    if plan is None:
        unit, planned = "connections", None
        done = sum(each.traced + each.copied for each in connections)
    elif traces:
        unit, planned = "destinations", _plan(rounds, "destinations")
        done = sum(status.destinations_traced or 0 for status in statuses)
    else:
        unit, planned = "probes", _plan(rounds, "probes")
        done = sum(status.probes_sent or 0 for status in statuses)
    is_over = not active
    if is_over and planned is not None and (ready is None or ready.status == "True"):
        # Passed-over probes are done with, though they were not sent.
        done = planned
    return Progress(
        agent=agent,
        measurement=measurement,
        step=f"{first.round}.{first.window + 1}"
        if first.round == 1
        else str(first.round),
        state=ready.reason if ready else "Unseen",
        message=ready.message if ready else "its agent has said nothing of it yet",
        is_sending=any(map(_is_sending, active)),
        is_over=is_over,
        unit=unit,
        done=done,
        planned=planned,
        sent=sum(status.probes_sent or 0 for status in statuses),
        replies=sum(status.replies_received or 0 for status in statuses),
        invalid=sum(status.replies_invalid or 0 for status in statuses),
        dropped=sum(
            (status.receive_drops or 0) + (status.send_errors or 0)
            for status in statuses
        ),
        granted=sum(told.round.spec.rate for told in active),
        rate=sum(known) if known else None,
    )


def _plan(rounds: Sequence[Told], unit: str) -> int:
    planned: float = sum(
        getattr(told.round.spec.plan, unit) * told.round.spec.share for told in rounds
    )
    return round(planned)


def _name(told: Told) -> str:
    return told.round.spec.measurement.name


def _is_sending(told: Told) -> bool:
    ready = told.ready
    return not told.is_over and ready is not None and ready.status == "True"


def _average(told: Told) -> float | None:
    began, written = told.round.status.start_time, told.written
    if began is None or written is None or written <= began:
        return None
    return (told.round.status.probes_sent or 0) / (written - began).total_seconds()
