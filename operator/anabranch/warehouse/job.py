"""The round job: find the links in a step's replies, and plan the next step.

It may be stopped at any time and run again: it puts the same objects each time.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from anabranch_engine import Plan

from anabranch.rounds.outcome import Outcome, PlanSummary
from anabranch.rounds.steps import FIRST, WINDOW_STARS, Step
from anabranch.rounds.tools import face_of
from anabranch.rounds.workers import ALONE
from anabranch.runs.chain import is_concluded, read_outcomes
from anabranch.warehouse.changes import (
    PREFIXES_LOOKED_AT,
    find_changes,
    find_exclusions,
    find_steps,
)
from anabranch.warehouse.demands import Demands
from anabranch.warehouse.parts import count_parts, find_blocks
from anabranch.warehouse.pieces import PIECE_ROWS, cut
from anabranch.warehouse.queries import (
    Piece,
    find_links,
    find_prefixes,
    judge_links,
)
from anabranch.warehouse.runrows import RunRows
from anabranch.warehouse.traces import read_links

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.rounds.outcome import Rules
    from anabranch.rounds.workers import Worker
    from anabranch.store.keys import RunKeys
    from anabranch.store.store import Store
    from anabranch.warehouse.engine import Engine
    from anabranch.warehouse.tables import Tables


@dataclass(frozen=True)
class RoundJob:
    """A job that plans and concludes the steps of one agent's run."""

    store: Store
    engine: Engine
    keys: RunKeys
    rules: Rules
    scratch: Path
    """A folder for files on their way to the store."""
    piece_rows: int = PIECE_ROWS
    """The number of replies, or links, that one query processes."""
    tables: Tables | None = None
    """The tables into which the job also loads what a step found."""

    @cached_property
    def _targets(self) -> Plan:
        return Plan(self.store.fetch(self.keys.targets, self.scratch))

    @cached_property
    def _rows(self) -> RunRows:
        return RunRows(self.store, self.engine, self.keys, self.rules)

    @cached_property
    def _demands(self) -> Demands:
        return Demands(self._rows, self._targets, self.scratch, self.piece_rows)

    def begin(self) -> Plan:
        """Return the plan of the first step, and write it if it is not there yet."""
        demands = self._demands.ask(FIRST, [])
        draft = self._targets.ask(self.scratch / "plan.parquet", demands)
        self._put_plan(FIRST, draft)
        return self.read_plan(FIRST)

    def read_plan(self, step: Step) -> Plan:
        """Return the plan of a step."""
        return Plan(self.store.fetch(self.keys.step(step).plan, self.scratch))

    def conclude(self, step: Step, *, is_last: bool = False) -> Outcome:
        """Find the links of a step that has been probed, and plan the next step.

        ``is_last`` ends the run with this step, even if links are left to find.
        """
        earlier = read_outcomes(self.store, self.keys)
        done = [*earlier, step]
        self._reduce_all(done, ALONE)
        outcome = Outcome(
            step=str(step),
            **asdict(count_parts(self.store, self.keys.step(step))),
            **self._count(done),
            next=None,
            probes_left=0,
            is_cut=is_last,
        )
        if not is_last:
            following, probes_left = self._plan_next(done, [*earlier.values(), outcome])
            outcome = replace(
                outcome,
                next=str(following) if following else None,
                probes_left=probes_left,
                missing_links=None
                if following
                else self._demands.estimate_missing(done),
            )
        if self.tables:
            # Load rows first: whoever sees the outcome must find them.
            self.tables.prepare(self.keys)
            self.tables.load_step(self.store, self.keys, done)
        text = json.dumps(asdict(outcome), indent=1)
        self.store.put(self.keys.step(step).outcome, text.encode())
        self.tidy(step)
        return outcome

    def help(self, step: Step, worker: Worker, *, is_last: bool = False) -> None:
        """Do a part of what takes ``conclude`` long, while another worker concludes."""
        done = [*read_outcomes(self.store, self.keys), step]
        self._reduce_all(done, worker)
        if not is_last:
            self._demands.count(done, worker)

    def tidy(self, step: Step) -> None:
        """Remove what served to conclude a step."""
        self.store.remove(self.keys.step(step).counts)

    def _put_plan(self, step: Step, draft: Plan) -> None:
        """Put a step's plan and its summary into the store, and remove the file."""
        keys = self.keys.step(step)
        is_ours = self.store.put_file(keys.plan, draft.path)
        plan = draft if is_ours else self.read_plan(step)
        with plan.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        summary = PlanSummary(
            f"sha256:{digest}",
            plan.blocks,
            probes=plan.units if plan.unit == "probe" else None,
            destinations=plan.units if plan.unit == "destination" else None,
            segment=plan.segment,
        )
        text = json.dumps(asdict(summary), indent=1)
        self.store.put(keys.summary, text.encode())
        draft.path.unlink()

    def _reduce_all(self, steps: list[Step], worker: Worker) -> None:
        """Find the links and prefixes of all pieces that no other worker has done."""
        keys = self.keys.step(steps[-1])
        pieces = [
            (block, piece)
            for block in find_blocks(self.store, keys)
            for piece in cut(
                self.engine, self._rows.list_rows(block, steps), self.piece_rows
            )
        ]

        def is_done(place: tuple[int, Piece]) -> bool:
            block, piece = place
            return keys.links(block, piece.number) in set(
                self.store.list(f"{keys.root}/links")
            ) or is_concluded(self.store, keys)

        for block, piece in worker.take(pieces, is_done):
            self._reduce(block, piece, steps)

    def _reduce(self, block: int, piece: Piece, steps: list[Step]) -> None:
        """Find the links and prefixes of a block's piece in the last of some steps."""
        *earlier, step = steps
        keys = self.keys.step(step)
        replies = self._rows.read_replies(block, piece, [step])
        if replies is None:
            raise FileNotFoundError(keys.parts(block))
        before = self._rows.read_replies(block, piece, earlier)
        with ExitStack() as kept:
            # Six queries read these, and each would decode all parts of the block.
            replies = kept.enter_context(self.engine.keep(replies))
            before = before and kept.enter_context(self.engine.keep(before))
            self._find(block, piece, steps, replies, before)

    def _find(
        self,
        block: int,
        piece: Piece,
        steps: list[Step],
        replies: str,
        before: str | None,
    ) -> None:
        """Find the prefixes and links of a piece in its replies, and those before."""
        step = steps[-1]
        keys = self.keys.step(step)
        every = f"{replies} UNION ALL {before}" if before else replies
        known = find_prefixes(replies, before, self._find_changes(every))
        self._put(keys.prefixes(block, piece.number), known)
        prefixes = self._rows.read_prefixes(steps, block)
        if prefixes is None:
            raise FileNotFoundError(keys.prefixes(block, piece.number))
        most = f"SELECT max(repeats) AS most FROM {prefixes} WHERE {piece.condition}"
        repeats = self.engine.read(most).to_pylist()[0]["most"] > 0
        links = find_links(replies, before, prefixes, repeats=repeats)
        if self._rows.are_traced and (found := self._rows.read_parts(block, [step])):
            links = read_links(found, piece, drop_private=self.rules.drop_private)
        self._put(keys.links(block, piece.number), links)

    def _find_changes(self, replies: str) -> str:
        """Return the query for the route changes that a piece's replies so far show.

        In traces none are found, since their probes do not leave in random order.
        """
        if self._rows.are_traced:
            return find_changes(replies, [], [])
        prefixes = f"SELECT uniq(prefix_index) AS prefixes FROM ({replies})"
        count = self.engine.read(prefixes).to_pylist()[0]["prefixes"]
        one_in = 1 + count // PREFIXES_LOOKED_AT
        exclusions = self.engine.read(find_exclusions(replies, one_in)).to_pylist()
        if not exclusions:
            return find_changes(replies, [], [])
        steps = self.engine.read(find_steps(replies)).to_pylist()
        return find_changes(replies, exclusions, steps)

    def _count(self, steps: list[Step]) -> dict[str, int]:
        """Count what the run has found so far."""
        counts = dict.fromkeys(("links", "prefixes", "amplified", "looping"), 0)
        links = self._rows.read_links(steps)
        prefixes = self._rows.read_prefixes(steps)
        if links is None or prefixes is None:
            return counts
        found = self.engine.read(
            "SELECT uniqExact(cityHash64(near_addr, far_addr)) AS links "
            f"FROM {judge_links(links, prefixes)} WHERE NOT is_suspect"
        )
        known = self.engine.read(
            "SELECT count() AS prefixes, countIf(amplified) AS amplified, "
            "countIf(looping) AS looping FROM (SELECT max(has_amplification) AS "
            f"amplified, max(has_loops) AS looping FROM {prefixes} "
            "GROUP BY prefix_index)"
        )
        return counts | found.to_pylist()[0] | known.to_pylist()[0]

    def _put(self, key: str, query: str) -> None:
        draft = self.scratch / "rows.parquet"
        draft.unlink(missing_ok=True)
        self.engine.write(query, draft)
        self.store.put_file(key, draft)
        draft.unlink()

    def _plan_next(
        self, steps: list[Step], outcomes: list[Outcome]
    ) -> tuple[Step | None, int]:
        """Put the plan of the next step into the store, and return the step and 0.

        If the run ends, return None and the probes that a further round would send.
        """
        rules, face = self.rules, face_of(self.rules.tool)
        sent, links = zip(
            *((each.probes, each.links) for each in outcomes), strict=True
        )
        candidates = face.next_steps(steps[-1], rules.max_rounds + 1)
        if candidates and candidates[0].round == 1:
            # Paths continue only in the next window; in later windows some may start.
            latest = self._demands.find_latest_begin()
            candidates = [
                each
                for each in candidates
                if each.round > 1
                or each == candidates[0]
                or each.first_window_ttl <= latest + WINDOW_STARS
            ]
        draft = self.scratch / "plan.parquet"
        for candidate in candidates:
            plan = self._targets.ask(draft, self._demands.ask(candidate, steps))
            if not plan.units:
                continue
            if not face.is_worth(plan.units, sent, links):
                return None, 0
            if candidate.round > rules.max_rounds:
                return None, plan.units
            self._put_plan(candidate, plan)
            return candidate, 0
        return None, 0
