"""The assignment of one agent: the record of its run, and the targets to probe."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from anabranch_engine import Plan

from anabranch.rounds.division import count_blocks
from anabranch.rounds.targets import choose_targets
from anabranch.rounds.tools import face_of

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch_engine import TargetList, Targets

    from anabranch.api.tool import FlowParameters
    from anabranch.rounds.shortfall import TargetCounts
    from anabranch.rounds.tools import Unit
    from anabranch.runs.record import RunRecord
    from anabranch.store.store import Store


@dataclass(frozen=True)
class Assignment:
    """The record of an agent's run, with the targets to probe and their parameters."""

    record: RunRecord
    targets: Targets
    counts: TargetCounts
    """How many targets are probed, and why others are not."""
    parameters: FlowParameters

    def write_targets(self, file: Path, blocks: int | None = None) -> Plan:
        """Write all targets, with the parameters of flows, to a file as a plan."""
        given = self.parameters
        kwargs = given.flow_mapper_kwargs
        seed, step = (kwargs.seed, kwargs.step) if kwargs else (None, None)
        keys = self.record.keys
        run = f"{keys.measurement}/{keys.run_id}".encode()
        rules = self.record.run_rules
        face = face_of(rules.tool)
        return Plan.write(
            file,
            self.targets,
            initial_source_port=given.initial_source_port,
            destination_port=given.destination_port,
            flow_mapper=given.flow_mapper,
            order_seed=int.from_bytes(hashlib.sha256(run).digest()[:8]),
            seed=_choose(given.flow_mapper, "RandomFlowMapper", seed, 42),
            step=_choose(given.flow_mapper, "IntervalFlowMapper", step, 32),
            blocks=blocks,
            fill_ttl=face.fill_ttl(rules.max_ttl),
            tracing=self.record.tracing,
            destination_seed=face.choose_seed(run),
        )

    @property
    def _blocks(self) -> int | None:
        """The number of blocks that a team shares; None for as few as possible."""
        record, targets = self.record, self.counts.probed
        if not record.members or not targets:
            return None
        rates = [record.choose_rate(each, record.policy) for each in record.members]
        goes_on = face_of(record.run_rules.tool).goes_on
        return count_blocks(rates, targets, goes_on=goes_on)

    @property
    def unit(self) -> Unit:
        """What ``count_units`` counts."""
        return face_of(self.record.run_rules.tool).unit

    def count_units(self, file: Path) -> int:
        """Return the probes of a run's first round, in all of its windows.

        If targets are traced, return their number.

        ``file`` is a path for the targets, which are written there on the way.
        """
        targets = self.write_targets(file, blocks=1)
        prefixes, rules = pq.read_table(targets.path), self.record.run_rules
        bounds = (rules.min_ttl, rules.max_ttl)
        demands = face_of(rules.tool).ask_most(prefixes, bounds)
        return targets.ask(file.with_suffix(".asked"), [demands]).units

    def put_targets(self, store: Store, scratch: Path) -> None:
        """Put all targets and their counts into the store, unless they are there."""
        self.put_counts(store)
        draft = self.write_targets(scratch / "targets.parquet", self._blocks)
        store.put_file(self.record.keys.targets, draft.path)
        draft.path.unlink()

    def put_counts(self, store: Store) -> None:
        """Put the counts of targets into the store, unless they are there."""
        text = json.dumps(asdict(self.counts), indent=1)
        store.put(self.record.keys.target_counts, text.encode())


def assign(record: RunRecord, content: TargetList) -> Assignment:
    """Return an agent's assignment for a target list; it may have no targets.

    Raises:
        ValueError: If the policy or the tool refuses the targets, with the remedy.
    """
    tool = record.measurement.spec.tool
    choice = choose_targets(content, tool, record.policy, record.agent.spec)
    return Assignment(record, choice.targets, choice.counts, record.parameters)


def _choose(name: str, wanted: str, given: int | None, usual: int) -> int | None:
    """Return a parameter's value, or None if it belongs to another flow mapper."""
    if name != wanted:
        return None
    return usual if given is None else given
