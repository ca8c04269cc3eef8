"""What a run asks of its tool, whatever the tool: one face, and who wears it."""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from anabranch.api.tool import (
    ALIAS_ROUNDS,
    AliasResolution,
    DiamondMiner,
    Ping,
    Trace,
    Yarrp,
)
from anabranch.rounds.evidence import Scope
from anabranch.rounds.planning import (
    ask_last_ttl,
    ask_one_flow,
    ask_ttls,
    ask_window,
)
from anabranch.rounds.steps import FIRST, MAX_TTL, Step, next_rounds
from anabranch.rounds.stopping import LEAST_PROMISE, expect_links
from anabranch.rounds.sweeping import SWEEP, ask_pilots
from anabranch.rounds.tracing import choose_comparison, choose_parameters

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pyarrow as pa
    from anabranch_engine import Targets, TraceParameters

    from anabranch.api.agent import AgentSpec
    from anabranch.api.tool import Tool


_ICMP = frozenset({"icmp", "icmp6"})


@dataclass(frozen=True)
class SplitLengths:
    """The prefix lengths to which a tool splits its targets, in bits."""

    v4: int
    v6: int


class Unit(enum.Enum):
    """What a tool's plans and progress count."""

    PROBE = "probe"
    DESTINATION = "destination"


class Face(Protocol):
    """What is asked of a tool.

    *Prefixes* and *demands* are tables as in ``planning``. *Bounds* are the lowest and
    the highest TTL that an agent may probe.
    """

    @property
    def split(self) -> SplitLengths:
        """The prefix lengths to which it splits its targets."""

    @property
    def goes_on(self) -> bool:
        """Whether further rounds may follow, by what the first one finds."""

    @property
    def scope(self) -> Scope | None:
        """Which prefixes share evidence; None if rounds do not go by evidence."""

    @property
    def compares(self) -> bool:
        """Whether targets stand for lists of addresses, which are compared."""

    @property
    def unit(self) -> Unit:
        """What its plans and its progress count."""

    def trace(self, failure_probability: float) -> TraceParameters | None:
        """Return how it traces targets; None if its plans say each probe."""

    def choose_seed(self, run: bytes) -> int | None:
        """Return the seed of the addresses that are traced in a run.

        None stands for those of first flows, and for plans that say each probe. ``run``
        tells runs apart.
        """

    def fill_ttl(self, highest: int) -> int | None:
        """Return the TTL up to which paths are followed beyond their target's last one.

        None stands for sending only what plans say. ``highest`` is the highest TTL that
        an agent may probe.
        """

    def refuse(self, protocols: Collection[str]) -> str | None:
        """Return why it can't probe by these protocols, with the remedy."""

    def count_beyond(self, targets: Targets, agent: AgentSpec) -> tuple[int, int]:
        """Count the targets that the agent's TTLs rule out entirely, and in part."""

    def ask_first(self, prefixes: pa.Table, bounds: tuple[int, int]) -> pa.Table:
        """Return the demands of the first step."""

    def ask_most(self, prefixes: pa.Table, bounds: tuple[int, int]) -> pa.Table:
        """Return the most that the steps of the first round may demand together."""

    def next_steps(self, step: Step, max_rounds: int) -> list[Step]:
        """Return the steps that may follow. The next one is the first with probes."""

    def is_worth(
        self, probes: int, sent: Sequence[int], links: Sequence[int], /
    ) -> bool:
        """Return whether a next step promises enough for its probes.

        ``sent`` has the probes of each step, ``links`` what was known after each.
        """


def face_of(tool: Tool) -> Face:
    """Return the face of a tool."""
    match tool:
        case DiamondMiner(rule="shared"):
            return _Shared(tool)
        case DiamondMiner(rule=rule):
            return _DiamondMiner(tool, Scope.PREFIX if rule == "full" else None)
        case Yarrp():
            return _Yarrp(tool)
        case Ping():
            return _Ping(tool)
        case Trace():
            return _Trace(tool)
        case AliasResolution():
            return _Aliases(tool)


class _SendsPlans:
    """A tool whose plans say each probe."""

    unit = Unit.PROBE
    compares = False

    def trace(self, _: float) -> None:
        return None

    def choose_seed(self, _: bytes) -> None:
        return None

    def fill_ttl(self, _: int) -> int | None:
        return None


class _GoesToTheEnd:
    """A tool whose runs end when there is nothing more to probe."""

    def is_worth(
        self, _probes: int, _sent: Sequence[int], _links: Sequence[int], /
    ) -> bool:
        return True


@dataclass(frozen=True)
class _ReachesTtls(_GoesToTheEnd):
    """A tool that looks at all TTLs of its targets, by any protocol."""

    tool: DiamondMiner | Yarrp | Trace

    @property
    def split(self) -> SplitLengths:
        return SplitLengths(self.tool.prefix_len_v4, self.tool.prefix_len_v6)

    def refuse(self, _: Collection[str]) -> str | None:
        return None

    def count_beyond(self, targets: Targets, agent: AgentSpec) -> tuple[int, int]:
        return targets.beyond(agent.min_ttl, agent.max_ttl)


class _SweepsTtls(_ReachesTtls, _SendsPlans):
    """A tool whose first round probes all of these TTLs."""

    def ask_most(self, prefixes: pa.Table, bounds: tuple[int, int]) -> pa.Table:
        return ask_ttls(prefixes, *bounds)


@dataclass(frozen=True)
class _DiamondMiner(_SweepsTtls):
    """Its first round goes up in windows, so as not to probe far beyond paths' ends."""

    scope: Scope | None = None
    goes_on = True

    def ask_first(self, prefixes: pa.Table, bounds: tuple[int, int]) -> pa.Table:
        return ask_window(prefixes, prefixes.slice(0, 0), FIRST, bounds)

    def next_steps(self, step: Step, max_rounds: int) -> list[Step]:
        return next_rounds(step, max_rounds)


@dataclass(frozen=True)
class _Shared(_SweepsTtls):
    """Its first round is of pilots alone; see ``sweeping``."""

    scope = Scope.SURVEY
    goes_on = True

    def ask_most(self, prefixes: pa.Table, bounds: tuple[int, int]) -> pa.Table:
        return ask_one_flow(prefixes, *bounds)

    def ask_first(self, prefixes: pa.Table, bounds: tuple[int, int]) -> pa.Table:
        return ask_pilots(prefixes, bounds)

    def next_steps(self, step: Step, max_rounds: int) -> list[Step]:
        rounds = [step.round + 1]
        if rounds == [SWEEP]:
            # Where all prefixes are pilots, there is nothing to sweep.
            rounds.append(SWEEP + 1)
        return [Step(each) for each in rounds if each <= max_rounds]

    def is_worth(
        self, probes: int, sent: Sequence[int], links: Sequence[int], /
    ) -> bool:
        rounds = min(len(links) - SWEEP, 2)
        if rounds < 1:
            return True
        found = max(links[-1] - links[-1 - rounds], 0)
        promise = expect_links(probes, found, sum(sent[-rounds:]))
        return promise >= LEAST_PROMISE * links[-1]


@dataclass(frozen=True)
class _Yarrp(_SweepsTtls):
    tool: Yarrp
    scope = None
    goes_on = False

    def fill_ttl(self, highest: int) -> int | None:
        wanted = self.tool.fill_ttl
        return wanted if wanted is None else min(wanted, highest)

    def ask_first(self, prefixes: pa.Table, bounds: tuple[int, int]) -> pa.Table:
        return self.ask_most(prefixes, bounds)

    def next_steps(self, *_: object) -> list[Step]:
        return []


@dataclass(frozen=True)
class _Trace(_ReachesTtls):
    """It decides by each reply what to probe next, between the TTLs of a target."""

    tool: Trace
    scope = None
    unit = Unit.DESTINATION
    compares = False
    goes_on = False

    def refuse(self, protocols: Collection[str]) -> str | None:
        if self.tool.preset == "ark" and not _ICMP.issuperset(protocols):
            return (
                "trace with preset ark sends only ICMP; list icmp and icmp6 alone, or "
                "give algorithm and waitSeconds instead of the preset"
            )
        return None

    def choose_seed(self, run: bytes) -> int | None:
        if self.tool.random_destination is None:
            return None
        seed = self.tool.random_destination.seed
        if seed is not None:
            return seed
        return int.from_bytes(hashlib.sha256(b"destinations of " + run).digest()[:8])

    def fill_ttl(self, _: int) -> int | None:
        return None

    def trace(self, failure_probability: float) -> TraceParameters:
        return choose_parameters(self.tool, failure_probability)

    def ask_first(self, prefixes: pa.Table, bounds: tuple[int, int]) -> pa.Table:
        return ask_one_flow(prefixes, *bounds)

    def ask_most(self, prefixes: pa.Table, bounds: tuple[int, int]) -> pa.Table:
        return self.ask_first(prefixes, bounds)

    def next_steps(self, *_: object) -> list[Step]:
        return []


@dataclass(frozen=True)
class _Ping(_SendsPlans, _GoesToTheEnd):
    """It sends only at a target's highest TTL, or at the agent's if that is lower."""

    tool: Ping
    split = SplitLengths(32, 128)
    scope = None
    goes_on = False

    def refuse(self, protocols: Collection[str]) -> str | None:
        if not _ICMP.issuperset(protocols):
            return "ping sends only ICMP; list icmp and icmp6 alone"
        return None

    def count_beyond(self, targets: Targets, agent: AgentSpec) -> tuple[int, int]:
        outside, _ = targets.beyond(agent.min_ttl, MAX_TTL)
        return outside, sum(targets.beyond(1, agent.max_ttl))

    def ask_first(self, prefixes: pa.Table, bounds: tuple[int, int]) -> pa.Table:
        return ask_last_ttl(prefixes, bounds[1], self.tool.repetitions)

    def ask_most(self, prefixes: pa.Table, bounds: tuple[int, int]) -> pa.Table:
        return self.ask_first(prefixes, bounds)

    def next_steps(self, *_: object) -> list[Step]:
        return []


@dataclass(frozen=True)
class _Aliases(_GoesToTheEnd):
    """Each of its targets stands for a list of addresses; see ``comparing``."""

    tool: AliasResolution
    split = SplitLengths(32, 128)
    scope = None
    unit = Unit.DESTINATION
    compares = True
    goes_on = True

    def refuse(self, _: Collection[str]) -> str | None:
        return None

    def count_beyond(self, targets: Targets, agent: AgentSpec) -> tuple[int, int]:
        return targets.beyond(agent.min_ttl, agent.max_ttl)

    def choose_seed(self, _: bytes) -> None:
        return None

    def fill_ttl(self, _: int) -> int | None:
        return None

    def trace(self, failure_probability: float) -> TraceParameters:
        return choose_comparison(self.tool, failure_probability)

    def ask_first(self, prefixes: pa.Table, bounds: tuple[int, int]) -> pa.Table:
        return ask_one_flow(prefixes, *bounds)

    def ask_most(self, prefixes: pa.Table, bounds: tuple[int, int]) -> pa.Table:
        return self.ask_first(prefixes, bounds)

    def next_steps(self, step: Step, max_rounds: int) -> list[Step]:
        # Without a counter there is nothing to compare, but sources may tell.
        last = min(max_rounds, ALIAS_ROUNDS)
        return [Step(number) for number in range(step.round + 1, last + 1)]
