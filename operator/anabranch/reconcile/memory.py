"""What was read of a run in the store."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from anabranch.manifests.labels import AGENT
from anabranch.reconcile.decision import RESULTS
from anabranch.reconcile.observation import RunView
from anabranch.rounds.division import find_keepers
from anabranch.rounds.shortfall import TargetCounts
from anabranch.runs.chain import read_outcomes, read_summary
from anabranch.runs.handouts import read_hand_outs, read_unfinished
from anabranch.runs.report import Findings, ProbeCount, read_report
from anabranch.runs.roster import Roster
from anabranch.store.keys import RunKeys

if TYPE_CHECKING:
    from anabranch.reconcile.observation import Observation
    from anabranch.store.keys import SurveyKeys
    from anabranch.store.store import Store


@dataclass
class Memory:
    """What was read of a run; it stays true, because stored objects never change."""

    keys: SurveyKeys
    """Those of the run or rehearsal."""
    roster: Roster | None = None
    runs: dict[str, RunView] = field(default_factory=dict)
    counts: dict[str, ProbeCount] = field(default_factory=dict)
    findings: Findings | None = None
    looked_for: set[str] = field(default_factory=set)
    """The UIDs of complete Jobs whose work was looked for in the store."""

    def recall(self, store: Store, seen: Observation) -> Observation:
        """Read from the store what newly completed Jobs have put there."""
        keys = self.keys
        if self.roster is None:
            try:
                text = store.get(keys.roster)
            except FileNotFoundError:
                return seen
            self.roster = Roster.model_validate_json(text)
        done = {
            job.uid: job
            for job in seen.jobs.values()
            if job.is_complete and job.uid not in self.looked_for
        }
        agents = {job.labels.get(AGENT, "") for job in done.values()}
        for member in self.roster.runs:
            if keys.part:
                if member.name in agents and member.name not in self.counts:
                    report = read_report(store, keys.count(member.name), ProbeCount)
                    if report:
                        self.counts[member.name] = report
            elif member.name in agents or member.name not in self.runs:
                run = RunKeys(keys.measurement, keys.run_id, member.name)
                self.runs[member.name] = _read_run(
                    store, run, self.runs.get(member.name, RunView())
                )
            if not keys.part and self.roster.find_team(member.name):
                run = RunKeys(keys.measurement, keys.run_id, member.name)
                known = self.runs[member.name]
                self.runs[member.name] = _read_hand_outs(store, run, known)
        if (
            self.findings is None
            and not keys.part
            and any(job.name.endswith(f"-{RESULTS}") for job in done.values())
        ):
            self.findings = read_report(store, keys.summary, Findings)
        self.looked_for |= done.keys()
        return replace(
            seen,
            roster=self.roster,
            runs=dict(self.runs),
            counts=dict(self.counts),
            findings=self.findings,
        )


def _read_run(store: Store, keys: RunKeys, known: RunView) -> RunView:
    outcomes = read_outcomes(store, keys, dict(known.outcomes))
    targets = known.targets or read_report(store, keys.target_counts, TargetCounts)
    run = RunView(outcomes, targets=targets)
    step = run.step
    if step is None:
        # Who lied in the last step is told after its end, too.
        last = keys.step(max(outcomes))
        unfinished = read_unfinished(store, last)
        given = read_hand_outs(store, last) if unfinished else ()
        return replace(run, hand_outs=given, unfinished=unfinished)
    keepers = known.keepers
    if step == known.step:
        run = replace(run, hand_outs=known.hand_outs)
    elif known.hand_outs:
        keepers = find_keepers(known.hand_outs)
    elif outcomes:
        keepers = find_keepers(read_hand_outs(store, keys.step(max(outcomes))))
    summary = read_summary(store, keys.step(step))
    unfinished = read_unfinished(store, keys.step(step))
    return replace(run, summary=summary, keepers=keepers, unfinished=unfinished)


def _read_hand_outs(store: Store, keys: RunKeys, known: RunView) -> RunView:
    """Read what was handed out meanwhile, by whatever operator."""
    if known.step is None or known.summary is None:
        return known
    step = keys.step(known.step)
    given = read_hand_outs(store, step, known.hand_outs)
    return replace(known, hand_outs=given)
