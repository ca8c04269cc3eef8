"""Count what a step's demands depend on, and compute them for each block."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from anabranch.rounds.crossings import NO_INTERFACES, NO_LINKS, Crossings
from anabranch.rounds.planning import NOTHING, ask_flows, ask_window
from anabranch.rounds.refining import ask_parts
from anabranch.rounds.sent import Sent
from anabranch.rounds.steps import FIRST, WINDOW_STARS, Step
from anabranch.rounds.tools import face_of
from anabranch.warehouse.arrays import read_arrays, write_arrays
from anabranch.warehouse.pieces import cut
from anabranch.warehouse.queries import (
    WHOLE,
    Piece,
    count_crossings,
    count_interfaces,
    count_links,
    find_continuing,
    find_sent,
    read_prefixes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anabranch_engine import Plan

    from anabranch.rounds.evidence import Scope
    from anabranch.rounds.refining import Part
    from anabranch.warehouse.runrows import RunRows


@dataclass(frozen=True)
class Demands:
    """What steps of a run ask for, block by block."""

    rows: RunRows
    targets: Plan
    scratch: Path
    """A folder for counts that do not fit into memory."""
    piece_rows: int
    """The number of rows that one query processes."""

    def ask(self, step: Step, before: list[Step]) -> Iterator[pa.Table]:
        """Yield the demands of a step for each block, given the steps before it."""
        face = face_of(self.rows.rules.tool)
        if step.round > 1 and face.scope:
            yield from self._ask_by_evidence(step, before, face.scope)
            return
        for block in range(self.targets.blocks):
            if step.round > 1:
                yield self._ask_flows(block, before)
                continue
            prefixes = self.rows.engine.read(read_prefixes(self._targets, block))
            if step == FIRST:
                yield face.ask_first(prefixes, self._bounds)
            else:
                continuing = self._find_continuing(step, block, before)
                yield ask_window(prefixes, continuing, step, self._bounds)

    def find_latest_begin(self) -> int:
        """Return the highest TTL at which the probes to a target start."""
        found = self.rows.engine.read(
            f"SELECT max(min_ttl) AS ttl FROM {self._targets}"
        )
        latest: int = found.to_pylist()[0]["ttl"]
        return max(latest, self.rows.rules.min_ttl)

    @cached_property
    def _targets(self) -> str:
        return self.rows.store.read_sql(self.rows.keys.targets)

    @property
    def _bounds(self) -> tuple[int, int]:
        return self.rows.rules.min_ttl, self.rows.rules.max_ttl

    def _find_continuing(self, step: Step, block: int, before: list[Step]) -> pa.Table:
        """Return the prefix_index of prefixes whose paths continue in a window."""
        nothing = "SELECT toUInt32(0) AS prefix_index WHERE 0"
        previous = Step(step.round, step.window - 1)
        replies = None
        if previous in before:
            replies = self.rows.read_replies(block, WHOLE, [previous])
        least_ttl = previous.last_window_ttl - WINDOW_STARS
        query = find_continuing(replies, least_ttl) if replies else nothing
        return self.rows.engine.read(query)

    def _ask_flows(self, block: int, before: list[Step]) -> pa.Table:
        """Return the demands for a block in the round after these steps."""
        links = self.rows.read_links(before, block)
        prefixes = self.rows.read_prefixes(before, block)
        asked = read_prefixes(self._targets, block)
        if links is None or prefixes is None:
            return NOTHING
        demands = []
        for piece in cut(self.rows.engine, links, self.piece_rows):
            counts = count_links(links, prefixes, asked, piece, before[-1].round)
            share = self.rows.rules.failure_probability
            demands.append(ask_flows(self.rows.engine.read(counts), share))
        return pa.concat_tables(demands)

    def _ask_by_evidence(
        self, step: Step, before: list[Step], scope: Scope
    ) -> Iterator[pa.Table]:
        """Yield the demands for each block by what flows have crossed."""
        share = self.rows.rules.failure_probability
        blocks = range(self.targets.blocks)
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            parts = {
                block: [
                    self._keep(block, piece, before, scope, Path(folder))
                    for piece in self._cut(block, before)
                ]
                for block in blocks
            }
            every = [part for block in blocks for part in parts[block]]
            asked = ask_parts(every, step, scope, share)
            for block in blocks:
                yield pa.concat_tables([next(asked) for _ in parts[block]])

    def _cut(self, block: int, before: list[Step]) -> list[Piece]:
        links = self.rows.read_links(before, block)
        return cut(self.rows.engine, links, self.piece_rows) if links else [WHOLE]

    def _keep(
        self, block: int, piece: Piece, before: list[Step], scope: Scope, folder: Path
    ) -> Part:
        """Keep what is known of a piece in files, and return what reads it."""
        read, rows = self.rows.engine.read, self.rows
        prefixes = read(read_prefixes(self._targets, block, piece))
        plans = find_sent(rows.read_plans(before), block, piece)
        sent = Sent.of(read(plans), prefixes, self._bounds)
        links = rows.read_links(before, block)
        known = rows.read_prefixes(before, block)
        replies = rows.read_replies(block, piece, before)
        interfaces, crossed = NO_INTERFACES, NO_LINKS
        if links and known and replies:
            interfaces = read(count_interfaces(replies, known, scope))
            crossed = read(count_crossings(links, piece, scope))
        places = [
            folder / f"{name}-{block:05}-{piece.number:03}"
            for name in ("crossings", "sent")
        ]
        write_arrays(Crossings.of(interfaces, crossed, sent), places[0])
        write_arrays(sent, places[1])
        return lambda: (
            read_arrays(Crossings, places[0]),
            read_arrays(Sent, places[1]),
        )
