"""Computes how much of the request all agents of a run cover; pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from anabranch.api.measurementstatus import LeftOut, Shortfall, TargetTotals
from anabranch.api.text import MAX_COUNT
from anabranch.reconcile.course import State
from anabranch.rounds.shortfall import (
    LEFT_OUT,
    Coverage,
    Reason,
    TargetCounts,
    describe,
    find_coverage,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from anabranch.reconcile.course import Course
    from anabranch.runs.report import ProbeCount


def cover(courses: Iterable[Course]) -> Coverage:
    """Return what the runs of all agents cover so far.

    Targets are counted once each agent has split its list or has failed before that: an
    earlier count would be too low.
    """
    total = Coverage(0, Counter())
    for course in courses:
        is_failed = course.state is State.FAILED
        targets = course.run.targets or (TargetCounts(0, {}) if is_failed else None)
        total += find_coverage(targets, tuple(course.run.outcomes.values()))
        total += Coverage(0, Counter({Reason.AGENT_FAILED: int(is_failed)}))
    return total


def cover_rehearsal(counts: Iterable[ProbeCount]) -> Coverage:
    """Return what the runs of all agents would cover."""
    total = Coverage(0, Counter())
    for each in counts:
        total += find_coverage(TargetCounts(each.targets, each.shortfalls))
    return total


def tell(coverage: Coverage) -> dict[str, object]:
    """Return the fields of a status that describe a coverage."""
    counts = {
        reason: min(coverage.shortfalls[reason], MAX_COUNT)
        for reason in Reason
        if coverage.shortfalls[reason]
    }
    return {
        "targets": _tell_targets(coverage, counts),
        "shortfalls": tuple(
            Shortfall(reason=reason, count=count, message=describe(reason, count))
            for reason, count in counts.items()
            if reason not in LEFT_OUT
        ),
    }


def _tell_targets(
    coverage: Coverage, counts: Mapping[Reason, int]
) -> TargetTotals | None:
    if coverage.probed is None:
        return None
    reasons = tuple(
        LeftOut(reason=reason, count=count)
        for reason, count in counts.items()
        if reason in LEFT_OUT
    )
    return TargetTotals(
        probed=coverage.probed,
        left_out=min(coverage.left_out, MAX_COUNT),
        reasons=reasons,
        message=coverage.describe_left_out() or None,
    )
