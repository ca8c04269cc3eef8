"""The Jobs of a dry run, which count what agents would send; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.manifests.rounds import name_step
from anabranch.reconcile.observation import CreateJob

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anabranch.reconcile.observation import Observation
    from anabranch.runs.report import ProbeCount
    from anabranch.runs.roster import Roster


def name_count(seen: Observation, agent: str) -> str:
    """Return the name of the Job that counts what an agent would send."""
    generation = seen.measurement.metadata.generation
    return name_step(seen.measurement, agent, f"count{generation}")


def find_refusal(seen: Observation, roster: Roster) -> str | None:
    """Return why a Job has failed, if one has."""
    for run in roster.runs:
        job = seen.jobs.get(name_count(seen, run.name))
        if job and job.is_failed:
            return job.message
    return None


def create_counts(seen: Observation, roster: Roster) -> list[CreateJob]:
    """Return the Jobs that are missing."""
    where = ("--measurement", seen.measurement.metadata.uid)
    which = ("--run-id", seen.measurement.spec.run_id, "--part", seen.part)
    names = {run.name: name_count(seen, run.name) for run in roster.runs}
    return [
        CreateJob(name, ("count", *where, *which, "--agent", agent), agent)
        for agent, name in names.items()
        if agent not in seen.counts and name not in seen.jobs
    ]


def tell_most(counts: Iterable[ProbeCount], targets: int) -> str:
    """Return what agents would do in the first round at most."""
    probes = [each.probes for each in counts if each.probes is not None]
    if not probes:
        return f"trace {targets:,} destinations"
    return f"send {sum(probes):,} probes to {targets:,} targets in the first round"
