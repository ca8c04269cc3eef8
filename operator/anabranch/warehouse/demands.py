"""Count what a step's demands depend on, and compute them for each block."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from anabranch.rounds.crossings import NO_INTERFACES, NO_LINKS, Crossings
from anabranch.rounds.evidence import Scope
from anabranch.rounds.planning import NOTHING, ask_flows, ask_window
from anabranch.rounds.refining import ask_parts, estimate_missing
from anabranch.rounds.sent import Sent
from anabranch.rounds.steps import FIRST, WINDOW_STARS, Step
from anabranch.rounds.tools import face_of
from anabranch.rounds.workers import ALONE
from anabranch.runs.chain import is_concluded
from anabranch.warehouse.arrays import read_arrays, write_arrays
from anabranch.warehouse.comparisons import Comparisons
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

    from anabranch.rounds.refining import Part
    from anabranch.rounds.workers import Worker
    from anabranch.store.keys import StepKeys
    from anabranch.warehouse.runrows import RunRows


@dataclass(frozen=True)
class Demands:
    """What steps of a run ask for, block by block."""

    rows: RunRows
    targets: Plan
    scratch: Path
    """A folder for files on their way to the store."""
    piece_rows: int
    """The number of rows that one query processes."""

    def ask(self, step: Step, before: list[Step]) -> Iterator[pa.Table]:
        """Yield the demands of a step for each block, given the steps before it."""
        face = face_of(self.rows.rules.tool)
        if face.compares:
            comparisons = Comparisons(self.rows, self._targets)
            yield from comparisons.ask(step, before, self.targets.blocks)
            return
        if step.round > 1 and face.scope:
            self.count(before, ALONE)
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

    def count(self, before: list[Step], worker: Worker) -> None:
        """Store what the step after these depends on, if it takes many counts.

        The counts do not fit into memory, so they are files, each of a block's piece.
        """
        scope = face_of(self.rows.rules.tool).scope
        if scope is None:
            return
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            for place in worker.take(self._list_places(before), self._is_counted):
                self._count(place, before, scope, Path(folder))

    def estimate_missing(self, done: list[Step]) -> float | None:
        """Return the links that these steps are expected to have missed.

        None if the rule does not share evidence, or the steps did not look for it.
        """
        if face_of(self.rows.rules.tool).scope is not Scope.SURVEY:
            return None
        self.count(done, ALONE)
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            return estimate_missing(self._fetch_all(done, Path(folder)), done[-1])

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
        places = self._list_places(before)
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            parts = self._fetch_all(before, Path(folder))
            asked = ask_parts(parts, step, scope, share)
            for _, pieces in groupby(places, key=lambda place: place.block):
                yield pa.concat_tables([next(asked) for _ in pieces])

    def _list_places(self, before: list[Step]) -> list[_Place]:
        """Return all pieces of all blocks, and where their counts are."""
        keys = self.rows.keys.step(before[-1])
        return [
            _Place(block, piece, keys)
            for block in range(self.targets.blocks)
            for piece in self._cut(block, before)
        ]

    def _cut(self, block: int, before: list[Step]) -> list[Piece]:
        links = self.rows.read_links(before, block)
        return cut(self.rows.engine, links, self.piece_rows) if links else [WHOLE]

    def _is_counted(self, place: _Place) -> bool:
        store, keys = self.rows.store, place.keys
        there = set(store.list(keys.counts))
        return {place.crossings, place.sent} <= there or is_concluded(store, keys)

    def _count(
        self, place: _Place, before: list[Step], scope: Scope, folder: Path
    ) -> None:
        """Store what is known of a piece."""
        read, rows = self.rows.engine.read, self.rows
        block, piece = place.block, place.piece
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
        crossings = Crossings.of(interfaces, crossed, sent)
        for key, arrays in ((place.crossings, crossings), (place.sent, sent)):
            draft = folder / "arrays"
            write_arrays(arrays, draft)
            rows.store.put_file(key, draft)
            draft.unlink()

    def _fetch_all(self, before: list[Step], folder: Path) -> list[Part]:
        return [self._fetch(place, folder) for place in self._list_places(before)]

    def _fetch(self, place: _Place, folder: Path) -> Part:
        """Return what reads what is known of a piece."""
        fetch = self.rows.store.fetch
        crossings, sent = fetch(place.crossings, folder), fetch(place.sent, folder)
        return lambda: (read_arrays(Crossings, crossings), read_arrays(Sent, sent))


@dataclass(frozen=True)
class _Place:
    """A piece of a block, and where its counts are."""

    block: int
    piece: Piece
    keys: StepKeys

    @property
    def crossings(self) -> str:
        return self.keys.count(self.block, self.piece.number, "crossings")

    @property
    def sent(self) -> str:
        return self.keys.count(self.block, self.piece.number, "sent")
