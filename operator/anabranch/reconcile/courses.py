"""Finds how the runs of a measurement go on; pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from anabranch.api.measurementstatus import AgentCounts
from anabranch.reconcile.course import Navigator, State
from anabranch.reconcile.rationing import Purse, ration
from anabranch.reconcile.teamcourse import TeamNavigator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anabranch.api import Round
    from anabranch.reconcile.course import Course
    from anabranch.reconcile.observation import Observation


def find_courses(seen: Observation, *, cut_age: float | None) -> list[Course]:
    """Find how each run goes on: that of each agent, and that of each team.

    ``cut_age`` is for how many seconds agents are told to stop because the run takes
    too long, or None if they are not.
    """
    roster = seen.roster
    if roster is None:
        return []
    courses = [
        TeamNavigator(seen, run, cut_age, team).find()
        if (team := roster.find_team(run.name))
        else Navigator(seen, run, cut_age).find()
        for run in roster.runs
    ]
    if seen.budget is None:
        return courses
    agents = sum(len(course.agents) for course in courses)
    purse = Purse(seen.measurement, seen.budget, agents)
    rounds: dict[str, list[Round]] = {}
    for each in seen.rounds.values():
        if each.spec.run_id == seen.measurement.spec.run_id:
            rounds.setdefault(each.spec.team or each.spec.agent, []).append(each)
    return [_ration(it, purse, rounds.get(it.member.name, ())) for it in courses]


def _ration(course: Course, purse: Purse, rounds: Iterable[Round]) -> Course:
    """Return a course without what the namespace's quota does not allow now."""
    rationed = ration(purse, rounds, course.actions)
    agents = {
        name: trouble or rationed.short.get(name, "")
        for name, trouble in course.agents.items()
    }
    # A team goes on as long as one of it does.
    is_short = rationed.short and all(agents.values())
    lack = next(iter(rationed.short.values())) if is_short else ""
    return replace(
        course,
        actions=rationed.actions,
        wanted=rationed.wanted,
        agents=agents,
        message=course.message or lack,
    )


def count_agents(courses: list[Course]) -> AgentCounts:
    """Count agents, and each member of a team, by state."""
    total = sum(len(course.agents) for course in courses)
    running = sum(len(course.agents) for course in courses if not course.is_over)
    # A team may be through without a member that was lost.
    finished = sum(
        not reason
        for course in courses
        if course.state is State.DONE
        for reason in course.agents.values()
    )
    failed = total - running - finished
    return AgentCounts(total=total, running=running, finished=finished, failed=failed)
