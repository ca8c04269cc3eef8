"""Finds how the runs of a measurement go on; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.api.measurementstatus import AgentCounts
from anabranch.reconcile.course import Navigator, State
from anabranch.reconcile.teamcourse import TeamNavigator

if TYPE_CHECKING:
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
    return [
        TeamNavigator(seen, run, cut_age, team).find()
        if (team := roster.find_team(run.name))
        else Navigator(seen, run, cut_age).find()
        for run in roster.runs
    ]


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
