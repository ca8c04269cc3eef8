"""Count what a step's demands depend on, and compute them for each block."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from anabranch.rounds.crossings import NO_INTERFACES, NO_LINKS, Crossings
from anabranch.rounds.planning import NOTHING, ask_flows, ask_window
from anabranch.rounds.refining import ask_parts
from anabranch.rounds.sent import Sent
from anabranch.rounds.steps import FIRST, WINDOW_STARS, Step
from anabranch.rounds.tools import face_of
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
    from pathlib import Path

    from anabranch_engine import Plan

    from anabranch.rounds.evidence import Scope
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
        parts = [
            _Part(block, self._spool(block, piece, before, scope), self._bounds)
            for block in range(self.targets.blocks)
            for piece in self._cut(block, before)
        ]
        share = self.rows.rules.failure_probability
        reads = [part.read for part in parts]
        asked = iter(ask_parts(reads, step, scope, share))
        for block in range(self.targets.blocks):
            of_block = [next(asked) for part in parts if part.block == block]
            yield pa.concat_tables(of_block)
        for part in parts:
            part.remove()

    def _cut(self, block: int, before: list[Step]) -> list[Piece]:
        links = self.rows.read_links(before, block)
        return cut(self.rows.engine, links, self.piece_rows) if links else [WHOLE]

    def _spool(
        self, block: int, piece: Piece, before: list[Step], scope: Scope
    ) -> dict[str, Path]:
        """Write what is known of a piece to files."""
        queries = {
            "prefixes": read_prefixes(self._targets, block, piece),
            "sent": find_sent(self.rows.read_plans(before), block, piece),
        }
        links = self.rows.read_links(before, block)
        prefixes = self.rows.read_prefixes(before, block)
        replies = self.rows.read_replies(block, piece, before)
        if links and prefixes and replies:
            queries["interfaces"] = count_interfaces(replies, prefixes, scope)
            queries["links"] = count_crossings(links, piece, scope)
        files = {}
        for name, query in queries.items():
            files[name] = self.scratch / f"{name}-{block:05}-{piece.number:03}.parquet"
            files[name].unlink(missing_ok=True)
            self.rows.engine.write(query, files[name])
        return files


@dataclass(frozen=True)
class _Part:
    """A piece of a block, in files."""

    block: int
    files: dict[str, Path]
    bounds: tuple[int, int]

    def read(self) -> tuple[Crossings, Sent]:
        prefixes, rows = (
            pq.read_table(self.files[each]) for each in ("prefixes", "sent")
        )
        sent = Sent.of(rows, prefixes, self.bounds)
        interfaces, links = NO_INTERFACES, NO_LINKS
        if "links" in self.files:
            interfaces = pq.read_table(self.files["interfaces"])
            links = pq.read_table(self.files["links"])
        return Crossings.of(interfaces, links, sent), sent

    def remove(self) -> None:
        for file in self.files.values():
            file.unlink()
