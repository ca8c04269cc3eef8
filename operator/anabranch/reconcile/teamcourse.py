"""Decides what comes next in the run of a team; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch.api.round import ENDING
from anabranch.manifests.rounds import Share, name_round
from anabranch.reconcile.course import (
    Navigator,
    State,
    find_trouble,
    has_stored,
    is_complete,
    is_stopped,
    tell_failure,
)
from anabranch.reconcile.observation import (
    ChangeRound,
    CreateRound,
    DeleteRound,
    PutHandOut,
)
from anabranch.rounds.division import Division, HandOut, count_at_once, find_owners
from anabranch.runs.handouts import tell_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from anabranch.api import Round
    from anabranch.reconcile.course import Course
    from anabranch.reconcile.observation import Action, AgentView
    from anabranch.rounds.steps import Step
    from anabranch.runs.roster import Member

LOST_SECONDS = 120
"""For how many seconds an agent must be unable to probe before it counts as lost."""
SILENT_SECONDS = 300
"""After how many seconds a lost agent that does not answer sends nothing for sure: it
can't renew its Lease, or it sees that its Round was suspended."""


@dataclass(frozen=True)
class TeamNavigator(Navigator):
    """A finder of the course of one team, whose members get blocks to probe.

    A hand-out whose agent is lost goes to others, once the agent says that it has
    stopped, or can't send any more. Its Round stays suspended until then, and goes as
    soon as another agent has some of its blocks. So does a hand-out whose agent said
    that it had probed it to its end, when the Job that concludes the step found that it
    has not. That agent gets nothing more in the step.
    """

    team: tuple[Member, ...]

    def _probe(self, step: Step) -> Course:
        """Hand out what is left, take back what lost agents have, or conclude."""
        summary = self.run.summary
        if summary is None:
            return self._go(State.PLANNING, *self._start_job("begin"))
        hands = _Hands(self, step)
        given = self.run.hand_outs
        actions = [*hands.look_after()]
        owners = find_owners(given)
        if len(owners) == summary.blocks and set(owners.values()) <= hands.done:
            return self._go(State.PLANNING, *self._conclude(step))
        if not hands.rates:
            return self._go(State.PROBING, *actions, message=hands.find_trouble())
        if not self.seen.measurement.spec.suspend:
            actions += hands.give(summary.blocks)
        return self._go(State.PROBING, *actions, message=hands.find_trouble())

    def _find_failure(self, step: Step) -> str:
        failures = self.find_failures(step)
        if failures.keys() >= {member.name for member in self.team}:
            agent, reason = next(iter(failures.items()))
            return f"{agent}: {reason}"
        return ""

    def find_failures(self, step: Step) -> dict[str, str]:
        """Return the members that get nothing more in a step, and why."""
        failures = {
            each.spec.agent: reason
            for each in self.rounds(step)
            if (reason := tell_failure(each))
        }
        for number, blocks in self.run.unfinished.items():
            failures[self.run.hand_outs[number].agent] = (
                f"it says that it has probed hand-out {number + 1} of step {step} to "
                f"its end, but {tell_blocks(blocks)}; see the agent's log"
            )
        return failures

    def find_troubles(self, step: Step) -> dict[str, str]:
        """Return the members that can't probe in a step, and why."""
        troubles = {}
        for member in self.team:
            view = self.view(member)
            if view is None:
                troubles[member.name] = "there is no such Agent any more on its node"
            elif not view.is_ready:
                troubles[member.name] = view.message or "it is not ready"
        return troubles | self.find_failures(step)

    def _find_troubles(self, state: State, message: str) -> Mapping[str, str]:
        steps = (self.run.step, *self.run.outcomes)
        troubles = self.find_troubles(max(step for step in steps if step))
        rest = message if state in {State.FAILED, State.CUT} else ""
        return {each.name: troubles.get(each.name, rest) for each in self.team}

    def rounds(self, step: Step) -> list[Round]:
        """Return the Rounds of all members in a step."""
        return [
            each
            for each in self.seen.rounds.values()
            if each.spec.team == self.member.name
            and (each.spec.round, each.spec.window) == (step.round, step.window)
            and each.spec.run_id == self.seen.measurement.spec.run_id
        ]

    def _cut(self, step: Step, age: float) -> Course:
        """Stop all members, and conclude the step with what they stored."""
        message = "it took longer than it may"
        rounds = self.rounds(step)
        if not rounds:
            return self._go(State.CUT, message=message)
        going = [each for each in rounds if not has_stored(each, age)]
        if not going:
            job = self._conclude(step, "--last")
            return self._go(State.PLANNING, *job, message=message)
        changes = (
            ChangeRound(each.metadata.name, each.spec.rate, suspend=True)
            for each in going
            if not each.spec.suspend
        )
        return self._go(State.PROBING, *changes, message=message)


class _Hands:
    """The hand-outs of a step, and what becomes of each."""

    def __init__(self, course: TeamNavigator, step: Step) -> None:
        self._course, self._step = course, step
        self._given = course.run.hand_outs
        self._views = {m.name: course.view(m) for m in course.team}
        self.done: set[int] = set()
        """The numbers of hand-outs that were probed to their end."""
        self._returned: set[int] = set()
        self._open: dict[str, list[Round | None]] = {}
        self._failed = course.find_failures(step).keys()
        self.rates = {
            name: course.find_rate(view)
            for name, view in self._views.items()
            if view and view.is_ready and name not in self._failed
        }
        """The agents that can probe now, with their rates in probes a second."""

    def look_after(self) -> Iterator[Action]:
        """Make, steer and take back the Rounds of hand-outs."""
        owners = find_owners(self._given)
        for number, given in enumerate(self._given):
            agent, found = given.agent, self._find(number)
            if any(owners[block] != number for block in given.blocks):
                # Others have some of it, so it must not go on.
                self._returned.add(number)
                if found:
                    yield DeleteRound(found.metadata.name, found.metadata.uid)
            elif number in self._course.run.unfinished:
                self._returned.add(number)
            elif found and is_complete(found):
                self.done.add(number)
            elif agent in self._failed:
                self._returned.add(number)
            elif view := self._views[agent] if agent in self.rates else None:
                self._open.setdefault(agent, []).append(found)
                yield from self._go_on(number, found, view)
            else:
                yield from self._take_back(number, agent, found)

    def give(self, blocks: int) -> Iterator[Action]:
        """Hand out further blocks to those who have nothing more to begin."""
        given = list(self._given)
        for agent, rate in self.rates.items():
            view, has = self._views[agent], self._open.get(agent, [])
            is_busy = any(each is None or not _is_ending(each) for each in has)
            is_full = len(has) >= count_at_once(rate)
            if view is None or view.is_outdated or is_busy or is_full:
                continue
            keepers = self._course.run.keepers
            division = Division(blocks, given, self._returned, keepers)
            if chosen := division.choose(agent, self.rates):
                hand_out = HandOut(agent, chosen)
                team = self._course.member.name
                yield PutHandOut(team, self._step, len(given), hand_out)
                given.append(hand_out)

    def find_trouble(self) -> str:
        """Return what keeps the team from probing; nothing if a member probes."""
        if self.rates:
            rounds = [each for has in self._open.values() for each in has if each]
            troubles = [find_trouble(each) for each in rounds]
            return troubles[0] if troubles and all(troubles) else ""
        unable = self._course.find_troubles(self._step)
        return next(f"{name}: {why}" for name, why in unable.items())

    def _find(self, number: int) -> Round | None:
        return self._course.seen.rounds.get(self._name(number))

    def _share(self, number: int) -> Share:
        blocks = self._given[number].blocks
        return Share(self._course.member.name, number + 1, blocks)

    def _name(self, number: int) -> str:
        course = self._course
        share = self._share(number)
        return name_round(
            course.seen.measurement, course.member.name, self._step, share
        )

    def _go_on(
        self, number: int, found: Round | None, view: AgentView
    ) -> Iterator[Action]:
        course, summary = self._course, self._course.run.summary
        if found:
            yield from course.steer(found, view)
        elif summary and not course.seen.measurement.spec.suspend:
            rate = self.rates[view.agent.metadata.name]
            share = self._share(number)
            yield CreateRound(view.agent, self._step, summary, rate, share)

    def _take_back(
        self, number: int, agent: str, found: Round | None
    ) -> Iterator[Action]:
        """Take back what a lost agent has, once it is sure to send nothing."""
        since = self._course.seen.unable_since.get(agent)
        if since is None:
            return
        seconds = (self._course.seen.now - since).total_seconds()
        if seconds < LOST_SECONDS:
            return
        if (found and is_stopped(found)) or seconds >= SILENT_SECONDS:
            self._returned.add(number)
        elif found and not found.spec.suspend:
            yield ChangeRound(found.metadata.name, found.spec.rate, suspend=True)


def _is_ending(found: Round) -> bool:
    """Return whether all of a Round has begun, as its agent says."""
    return any(
        each.type == "Ready" and each.reason == ENDING
        for each in found.status.conditions
    )
