"""The round job: from a step's replies to its links, and to what is probed next.

It may be stopped anywhere and run again: what it puts is the same each time.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa
from anabranch_engine import Plan

from anabranch.api.tool import Ping
from anabranch.rounds.planning import (
    NOTHING,
    ask_flows,
    ask_last_ttl,
    ask_ttls,
    ask_window,
)
from anabranch.rounds.steps import FIRST, WINDOW_STARS, Step, next_steps
from anabranch.warehouse.queries import (
    WHOLE,
    Piece,
    Replies,
    count_links,
    find_continuing,
    find_links,
    find_prefixes,
    read_prefixes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from anabranch.api.tool import Tool
    from anabranch.store.keys import RunKeys
    from anabranch.store.store import Store
    from anabranch.warehouse.engine import Engine


PIECE_ROWS = 1 << 23
"""ClickHouse takes some 200 bytes for each."""


@dataclass(frozen=True)
class Rules:
    """What decides how a run goes on."""

    tool: Tool
    max_rounds: int
    failure_probability: float
    min_ttl: int
    """No probe of the agent has a TTL below."""
    max_ttl: int
    """No probe of the agent has a TTL above."""
    drop_private: bool
    """Whether replies from private addresses are passed over."""


@dataclass(frozen=True)
class Outcome:
    """What a step found, and what comes next."""

    step: str
    links: int
    """Links found so far, each once."""
    prefixes: int
    """Prefixes that replied."""
    amplified: int
    """Prefixes with more than one reply to a probe: not mapped any further."""
    looping: int
    """Prefixes with a flow that met an interface twice."""
    next: str | None
    """The next step, whose plan is there; none when the run has ended."""
    probes_left: int
    """Probes that a further round would have sent, had maxRounds allowed it."""

    @property
    def next_step(self) -> Step | None:
        """The next step, if there is one."""
        return Step.parse(self.next) if self.next else None


@dataclass(frozen=True)
class RoundJob:
    """Plans and concludes the steps of one agent's run."""

    store: Store
    engine: Engine
    keys: RunKeys
    rules: Rules
    scratch: Path
    """A folder for files on their way to the store."""
    piece_rows: int = PIECE_ROWS
    """Replies, or links, that are looked at together."""

    @cached_property
    def _targets(self) -> Plan:
        return Plan(self.store.fetch(self.keys.targets, self.scratch))

    def read_outcomes(self) -> dict[Step, Outcome]:
        """The steps that were concluded, in order."""
        outcomes: dict[Step, Outcome] = {}
        step: Step | None = FIRST
        while step:
            try:
                text = self.store.get(self.keys.step(step).outcome)
            except FileNotFoundError:
                break
            outcomes[step] = Outcome(**json.loads(text))
            step = outcomes[step].next_step
        return outcomes

    def begin(self) -> Plan:
        """The plan of the first step, which is written if it is not there yet."""
        key = self.keys.step(FIRST).plan
        demands = self._demand(FIRST, [])
        draft = self._targets.ask(self.scratch / "plan.parquet", demands)
        self.store.put_file(key, draft.path)
        draft.path.unlink()
        return self.read_plan(FIRST)

    def read_plan(self, step: Step) -> Plan:
        """The plan of a step."""
        return Plan(self.store.fetch(self.keys.step(step).plan, self.scratch))

    def conclude(self, step: Step) -> Outcome:
        """Finds the links of a step that is all probed, and plans the next one."""
        done = [*self.read_outcomes(), step]
        for block in self._blocks_with_parts(step):
            replies = self._read_parts(block, WHOLE, done)
            for piece in self._cut(f"({replies})"):
                self._reduce(block, piece, done)
        following, probes_left = self._plan_next(done)
        outcome = Outcome(
            step=str(step),
            **self._count(done),
            next=str(following) if following else None,
            probes_left=probes_left,
        )
        text = json.dumps(asdict(outcome), indent=1)
        self.store.put(self.keys.step(step).outcome, text.encode())
        return outcome

    def _blocks_with_parts(self, step: Step) -> list[int]:
        replies = self.keys.step(step).replies
        keys = self.store.list(replies)
        return sorted({int(key.removeprefix(f"{replies}/")[:5]) for key in keys})

    def _cut(self, rows: str) -> list[Piece]:
        """Pieces of a block of which so many rows fit into memory."""
        counted = self.engine.read(f"SELECT count() AS rows FROM {rows}")
        pieces = max(-(-counted.to_pylist()[0]["rows"] // self.piece_rows), 1)
        return [Piece(number, pieces) for number in range(pieces)]

    def _read_parts(self, block: int, piece: Piece, steps: list[Step]) -> str | None:
        """The replies to a piece in some steps; none if there are no parts."""
        folders = [self.keys.step(step).parts(block) for step in steps]
        there = [folder for folder in folders if any(self.store.list(folder))]
        if not there:
            return None
        source = self._read_sql([f"{folder}/*.parquet" for folder in there])
        return Replies(self.rules.drop_private).choose(source, piece)

    def _read_all(self, block: int, what: str, steps: list[Step]) -> str | None:
        """What some steps found of a block: prefixes or links."""
        folders = [f"{self.keys.step(step).root}/{what}" for step in steps]
        found = [
            key
            for folder in folders
            for key in self.store.list(folder)
            if key.startswith(f"{folder}/{block:05}-")
        ]
        return self._read_sql(found) if found else None

    def _read_sql(self, patterns: list[str]) -> str:
        """The rows of all of these objects."""
        sources = [self.store.read_sql(pattern) for pattern in patterns]
        if len(sources) == 1:
            return sources[0]
        return f"({' UNION ALL '.join(f'SELECT * FROM {each}' for each in sources)})"

    def _reduce(self, block: int, piece: Piece, steps: list[Step]) -> None:
        """Finds links and prefixes of a piece of a block in the last step."""
        *earlier, step = steps
        keys = self.keys.step(step)
        replies = self._read_parts(block, piece, [step])
        if replies is None:
            raise FileNotFoundError(keys.parts(block))
        self._put(keys.prefixes(block, piece.number), find_prefixes(replies))
        prefixes = self._read_all(block, "prefixes", steps)
        if prefixes is None:
            raise FileNotFoundError(keys.prefixes(block, piece.number))
        before = self._read_parts(block, piece, earlier)
        self._put(
            keys.links(block, piece.number), find_links(replies, before, prefixes)
        )

    def _count(self, steps: list[Step]) -> dict[str, int]:
        """How much was found: links so far, prefixes in the last step."""
        counts = dict.fromkeys(("links", "prefixes", "amplified", "looping"), 0)
        roots = [self.keys.step(step).root for step in steps]
        if any(any(self.store.list(f"{root}/links")) for root in roots):
            links = self.store.read_sql(f"{self.keys.root}/*/links/*.parquet")
            distinct = "uniqExact(cityHash64(near_addr, far_addr)) AS links"
            found = self.engine.read(f"SELECT {distinct} FROM {links}")
            counts |= found.to_pylist()[0]
        if any(self.store.list(f"{roots[-1]}/prefixes")):
            prefixes = self.store.read_sql(f"{roots[-1]}/prefixes/*.parquet")
            found = self.engine.read(
                "SELECT count() AS prefixes, countIf(has_amplification) AS amplified, "
                f"countIf(has_loops) AS looping FROM {prefixes}"
            )
            counts |= found.to_pylist()[0]
        return counts

    def _put(self, key: str, query: str) -> None:
        draft = self.scratch / "rows.parquet"
        draft.unlink(missing_ok=True)
        self.engine.write(query, draft)
        self.store.put_file(key, draft)
        draft.unlink()

    def _plan_next(self, steps: list[Step]) -> tuple[Step | None, int]:
        """The next step, with its plan in the store; else what a further round asks."""
        rules = self.rules
        candidates = next_steps(rules.tool, steps[-1], rules.max_rounds + 1)
        if candidates and candidates[0].round == 1:
            # Paths go on in the next window alone; in others some may begin.
            latest = self._latest_begin()
            candidates = [
                each
                for each in candidates
                if each.round > 1
                or each == candidates[0]
                or each.first_window_ttl <= latest
            ]
        for candidate in candidates:
            draft = self.scratch / "plan.parquet"
            plan = self._targets.ask(draft, self._demand(candidate, steps))
            if plan.probes and candidate.round > rules.max_rounds:
                draft.unlink()
                return None, plan.probes
            if plan.probes:
                self.store.put_file(self.keys.step(candidate).plan, draft)
            draft.unlink()
            if plan.probes:
                return candidate, 0
        return None, 0

    def _latest_begin(self) -> int:
        """The highest TTL that a target begins with."""
        targets = self.store.read_sql(self.keys.targets)
        found = self.engine.read(f"SELECT max(min_ttl) AS ttl FROM {targets}")
        latest: int = found.to_pylist()[0]["ttl"]
        return max(latest, self.rules.min_ttl)

    def _demand(self, step: Step, before: list[Step]) -> Iterator[pa.Table]:
        """What a step asks of each block, with these steps before it."""
        rules = self.rules
        targets = self.store.read_sql(self.keys.targets)
        for block in range(self._targets.blocks):
            if step.round > 1:
                yield self._demand_flows(block, before)
                continue
            prefixes = self.engine.read(read_prefixes(targets, block))
            bounds = (rules.min_ttl, rules.max_ttl)
            match rules.tool:
                case Ping():
                    yield ask_last_ttl(prefixes, rules.max_ttl)
                case tool if next_steps(tool, FIRST, 1):
                    continuing = self._find_continuing(step, block, before)
                    yield ask_window(prefixes, continuing, step, bounds)
                case _:
                    yield ask_ttls(prefixes, *bounds)

    def _find_continuing(self, step: Step, block: int, before: list[Step]) -> pa.Table:
        """The prefixes of a block whose paths go on in a window: prefix_index."""
        nothing = "SELECT toUInt32(0) AS prefix_index WHERE 0"
        previous = Step(step.round, step.window - 1)
        replies = None
        if previous in before:
            replies = self._read_parts(block, WHOLE, [previous])
        least_ttl = previous.last_window_ttl - WINDOW_STARS
        query = find_continuing(replies, least_ttl) if replies else nothing
        return self.engine.read(query)

    def _demand_flows(self, block: int, before: list[Step]) -> pa.Table:
        """What the round behind these steps asks of a block."""
        links = self._read_all(block, "links", before)
        prefixes = self._read_all(block, "prefixes", before)
        asked = read_prefixes(self.store.read_sql(self.keys.targets), block)
        if links is None or prefixes is None:
            return NOTHING
        demands = []
        for piece in self._cut(links):
            counts = count_links(links, prefixes, asked, piece, before[-1].round)
            share = self.rules.failure_probability
            demands.append(ask_flows(self.engine.read(counts), share))
        return pa.concat_tables(demands)
