"""The round job: from a step's replies to its links, and to what is probed next.

It may be stopped anywhere and run again: what it puts is the same each time.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from anabranch_engine import Plan

from anabranch.api.tool import Ping
from anabranch.rounds.planning import ask_flows, ask_last_ttl, ask_ttls, ask_window
from anabranch.rounds.steps import FIRST, WINDOW_STARS, Step, next_steps
from anabranch.warehouse.queries import (
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

    import pyarrow as pa

    from anabranch.api.tool import Tool
    from anabranch.store.keys import RunKeys
    from anabranch.store.store import Store
    from anabranch.warehouse.engine import Engine


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


class RoundJob:
    """Plans and concludes the steps of one agent's run.

    The store has all of it; ``scratch`` is a folder for files on their way there.
    """

    def __init__(
        self, store: Store, engine: Engine, keys: RunKeys, rules: Rules, scratch: Path
    ) -> None:
        self._store = store
        self._engine = engine
        self._keys = keys
        self._rules = rules
        self._scratch = scratch
        self._targets = Plan(store.fetch(keys.targets, scratch))

    def read_outcomes(self) -> dict[Step, Outcome]:
        """The steps that were concluded, in order."""
        outcomes: dict[Step, Outcome] = {}
        step: Step | None = FIRST
        while step:
            try:
                text = self._store.get(self._keys.step(step).outcome)
            except FileNotFoundError:
                break
            outcomes[step] = Outcome(**json.loads(text))
            step = outcomes[step].next_step
        return outcomes

    def begin(self) -> Plan:
        """The plan of the first step, which is written if it is not there yet."""
        key = self._keys.step(FIRST).plan
        draft = self._targets.ask(self._scratch / "plan.parquet", self._demand(FIRST))
        self._store.put_file(key, draft.path)
        draft.path.unlink()
        return self.read_plan(FIRST)

    def read_plan(self, step: Step) -> Plan:
        """The plan of a step."""
        return Plan(self._store.fetch(self._keys.step(step).plan, self._scratch))

    def conclude(self, step: Step) -> Outcome:
        """Finds the links of a step that is all probed, and plans the next one."""
        done = [*self.read_outcomes(), step]
        for block in self._blocks_with_parts(step):
            self._reduce(block, done)
        following, probes_left = self._plan_next(step)
        outcome = Outcome(
            step=str(step),
            **self._count(step),
            next=str(following) if following else None,
            probes_left=probes_left,
        )
        text = json.dumps(asdict(outcome), indent=1)
        self._store.put(self._keys.step(step).outcome, text.encode())
        return outcome

    def _blocks_with_parts(self, step: Step) -> list[int]:
        replies = self._keys.step(step).replies
        keys = self._store.list(replies)
        return sorted({int(key.removeprefix(f"{replies}/")[:5]) for key in keys})

    def _read_parts(self, block: int, steps: list[Step]) -> str | None:
        """The rows of a block's replies in some steps; none if there are no parts."""
        folders = [self._keys.step(step).parts(block) for step in steps]
        there = [folder for folder in folders if any(self._store.list(folder))]
        if not there:
            return None
        source = self._read_sql([f"{folder}/*.parquet" for folder in there])
        return Replies(self._rules.drop_private).choose(source)

    def _read_all(self, block: int, what: str) -> str | None:
        """What all steps so far found of a block: prefixes or links."""
        root = self._keys.root
        name = f"/{what}/{block:05}.parquet"
        found = [key for key in self._store.list(root) if key.endswith(name)]
        return self._read_sql(found) if found else None

    def _read_sql(self, patterns: list[str]) -> str:
        """The rows of all of these objects."""
        sources = [self._store.read_sql(pattern) for pattern in patterns]
        if len(sources) == 1:
            return sources[0]
        return f"({' UNION ALL '.join(f'SELECT * FROM {each}' for each in sources)})"

    def _reduce(self, block: int, steps: list[Step]) -> None:
        """Finds links and prefixes of a block that has parts in the last step."""
        *earlier, step = steps
        keys = self._keys.step(step)
        replies = self._read_parts(block, [step])
        if replies is None:
            raise FileNotFoundError(keys.parts(block))
        self._put(keys.prefixes(block), find_prefixes(replies))
        prefixes = self._read_all(block, "prefixes")
        if prefixes is None:
            raise FileNotFoundError(keys.prefixes(block))
        before = self._read_parts(block, earlier)
        self._put(keys.links(block), find_links(replies, before, prefixes))

    def _count(self, step: Step) -> dict[str, int]:
        """How much was found: links so far, prefixes in this step."""
        keys = self._keys.step(step)
        prefixes = self._store.read_sql(f"{keys.root}/prefixes/*.parquet")
        links = self._store.read_sql(f"{self._keys.root}/*/links/*.parquet")
        if not self._blocks_with_parts(step):
            return dict.fromkeys(("links", "prefixes", "amplified", "looping"), 0)
        counted = self._engine.read(
            "SELECT (SELECT uniqExact(cityHash64(near_addr, far_addr)) "
            f"FROM {links}) AS links, count() AS prefixes, "
            "countIf(has_amplification) AS amplified, countIf(has_loops) AS looping "
            f"FROM {prefixes}"
        )
        counts: dict[str, int] = counted.to_pylist()[0]
        return counts

    def _put(self, key: str, query: str) -> None:
        draft = self._scratch / "rows.parquet"
        draft.unlink(missing_ok=True)
        self._engine.write(query, draft)
        self._store.put_file(key, draft)
        draft.unlink()

    def _plan_next(self, step: Step) -> tuple[Step | None, int]:
        """The next step, with its plan in the store; else what a further round asks."""
        rules = self._rules
        latest = self._latest_begin()
        candidates = [
            each
            for each in next_steps(rules.tool, step, rules.max_rounds + 1)
            if each.round > 1
            or each.window == step.window + 1
            or each.first_window_ttl <= latest
        ]
        for candidate in candidates:
            draft = self._scratch / "plan.parquet"
            plan = self._targets.ask(draft, self._demand(candidate))
            if plan.probes and candidate.round > rules.max_rounds:
                draft.unlink()
                return None, plan.probes
            if plan.probes:
                self._store.put_file(self._keys.step(candidate).plan, draft)
            draft.unlink()
            if plan.probes:
                return candidate, 0
        return None, 0

    def _latest_begin(self) -> int:
        """The highest TTL that a target begins with."""
        targets = self._store.read_sql(self._keys.targets)
        found = self._engine.read(f"SELECT max(min_ttl) AS ttl FROM {targets}")
        latest: int = found.to_pylist()[0]["ttl"]
        return max(latest, self._rules.min_ttl)

    def _demand(self, step: Step) -> Iterator[pa.Table]:
        """What a step asks of each block."""
        rules = self._rules
        targets = self._store.read_sql(self._keys.targets)
        for block in range(self._targets.blocks):
            if step.round > 1:
                yield self._demand_flows(step, block)
                continue
            prefixes = self._engine.read(read_prefixes(targets, block))
            bounds = (rules.min_ttl, rules.max_ttl)
            match rules.tool:
                case Ping():
                    yield ask_last_ttl(prefixes, rules.max_ttl)
                case tool if next_steps(tool, FIRST, 1):
                    continuing = self._find_continuing(step, block)
                    yield ask_window(prefixes, continuing, step, bounds)
                case _:
                    yield ask_ttls(prefixes, *bounds)

    def _find_continuing(self, step: Step, block: int) -> pa.Table:
        nothing = "SELECT toUInt32(0) AS prefix_index WHERE 0"
        before = Step(step.round, step.window - 1)
        replies = self._read_parts(block, [before]) if step.window else None
        least_ttl = before.last_window_ttl - WINDOW_STARS
        query = find_continuing(replies, least_ttl) if replies else nothing
        return self._engine.read(query)

    def _demand_flows(self, step: Step, block: int) -> pa.Table:
        links = self._read_all(block, "links")
        prefixes = self._read_all(block, "prefixes")
        targets = self._store.read_sql(self._keys.targets)
        if links is None or prefixes is None:
            return ask_ttls(self._engine.read(read_prefixes(targets, block)), 1, 0)
        counts = count_links(links, prefixes, targets, block, step.round - 1)
        return ask_flows(self._engine.read(counts), self._rules.failure_probability)
