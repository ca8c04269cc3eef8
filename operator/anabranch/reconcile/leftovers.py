"""Which children of a measurement go; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.manifests.rounds import name_step
from anabranch.reconcile.course import JOB_SECONDS
from anabranch.reconcile.inventory import is_over
from anabranch.reconcile.observation import DeleteJob, DeleteRound, ExpireJob
from anabranch.reconcile.start import find_members
from anabranch.runs.roster import group_runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anabranch.reconcile.observation import Action, Observation


def find_strays(seen: Observation) -> Iterator[Action]:
    """Remove Rounds of other runs, and Jobs of other runs and rehearsals."""
    run_id = seen.measurement.spec.run_id
    for found in seen.rounds.values():
        if found.spec.run_id != run_id:
            yield DeleteRound(found.metadata.name, found.metadata.uid)
    members = seen.roster.members if seen.roster else find_members(seen)
    own = tuple(
        name_step(seen.measurement, name, "")
        for name in (*group_runs(seen.measurement, members), "")
    )
    is_dry = seen.measurement.spec.dry_run
    for job in seen.jobs.values():
        suffix = job.name.rpartition("-")[2]
        is_count = suffix.startswith("count")
        is_stale = is_count and not (
            is_dry and suffix == f"count{seen.measurement.metadata.generation}"
        )
        if is_stale or not job.name.startswith(own):
            yield DeleteJob(job.name, job.uid)


def retire_children(seen: Observation) -> Iterator[Action]:
    """Remove what goes as soon as a run is over, and let its Jobs expire."""
    # An agent that comes back must not go on with a run that is over.
    for found in seen.rounds.values():
        if not is_over(found):
            yield DeleteRound(found.metadata.name, found.metadata.uid)
    for job in seen.jobs.values():
        if job.is_complete and not job.expires:
            yield ExpireJob(job.name, JOB_SECONDS)


def remove_children(seen: Observation) -> Iterator[Action]:
    """Remove all Rounds and Jobs."""
    for found in seen.rounds.values():
        yield DeleteRound(found.metadata.name, found.metadata.uid)
    for job in seen.jobs.values():
        yield DeleteJob(job.name, job.uid)
