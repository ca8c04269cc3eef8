"""What must hold of a cluster at work, whatever strikes it: pure functions.

Each gives a sentence for each thing that is wrong.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

MEBIBYTE = 1 << 20
BURST = 20
"""Probes that a second may have beyond its rate, since its windows are not ours."""
BACK_SECONDS = 20.0
Frame = tuple[float, IPv4Address]
"""When a packet was sent, in seconds since 1970, and where to."""


@dataclass(frozen=True)
class Found:
    """What came of a measurement."""

    status: Mapping[str, Any]
    links: frozenset[tuple[str, str]]
    gaps: Sequence[str] = ()
    """Where the parts of steps end before their plans."""

    @property
    def totals(self) -> dict[str, Any]:
        """Its figures."""
        return dict(self.status.get("totals", {}))


@dataclass(frozen=True)
class Process:
    """What a process takes."""

    name: str
    memory: int
    """Resident, in bytes."""
    files: int
    threads: int


@dataclass(frozen=True)
class Limits:
    """What processes of a name may take."""

    memory: int
    files: int
    threads: int


AT_WORK = {
    "operator": Limits(400 * MEBIBYTE, 200, 80),
    "agent": Limits(800 * MEBIBYTE, 400, 150),
}
"""What processes may take while they work on all kinds of measurements at once."""
AT_REST = {
    "operator": Limits(250 * MEBIBYTE, 60, 40),
    "agent": Limits(250 * MEBIBYTE, 40, 30),
}
"""The same once nothing is left to do."""


def find_condition(status: Mapping[str, Any], kind: str) -> str:
    """The status of a condition, or nothing."""
    conditions = status.get("conditions", [])
    return next((c["status"] for c in conditions if c["type"] == kind), "")


def judge_end(
    name: str, found: Found, expected: Found, same: Collection[str]
) -> Iterator[str]:
    """A measurement ends well, with all that an undisturbed one finds.

    ``same`` has the totals that are to be the same, and agents if their counts are.
    """
    status = found.status
    if find_condition(status, "Complete") != "True":
        yield f"{name} is not complete: {status.get('conditions')}"
        return
    if "agents" in same and status.get("agents") != expected.status.get("agents"):
        wanted = expected.status.get("agents")
        yield f"{name} has agents {status.get('agents')} instead of {wanted}"
    for gap in found.gaps:
        yield f"{name}: {gap}"
    if "links" in same and found.links != expected.links:
        lacks, more = expected.links - found.links, found.links - expected.links
        yield f"{name} lacks {len(lacks)} links, and has {len(more)} others"
    for total in set(same) - {"agents"}:
        has, wanted = found.totals.get(total), expected.totals.get(total)
        if has != wanted:
            yield f"{name} has {has} {total} instead of {wanted}"


def judge_children(rounds: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """No agent has two Rounds for the same work."""
    works = Counter(
        (
            spec["measurement"]["uid"],
            spec["runId"],
            spec["agent"],
            spec.get("round"),
            spec.get("window", 0),
            tuple(spec.get("blocks", ())),
            str(spec.get("standing", "")),
        )
        for spec in (each["spec"] for each in rounds)
        if "team" not in spec
    )
    for work, count in works.items():
        if count > 1:
            yield f"there are {count} Rounds for {work}"


def judge_cycles(measurements: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """No cycle of a survey has two Measurements."""
    cycles = defaultdict(list)
    for each in measurements:
        labels = each["metadata"].get("labels", {})
        if cycle := labels.get("anabranch.dev/cycle"):
            survey = labels.get("anabranch.dev/survey-uid")
            cycles[survey, cycle].append(each["metadata"]["name"])
    for (_, cycle), names in cycles.items():
        if len(names) > 1:
            yield f"cycle {cycle} has the Measurements {', '.join(sorted(names))}"


def judge_rate(node: str, sent: Sequence[Frame], rate: float) -> Iterator[str]:
    """No second has more probes than an agent may send."""
    first = 0
    for last, (end, _) in enumerate(sent):
        while sent[first][0] < end - 1:
            first += 1
        if last - first > rate + BURST:
            yield f"{node} sends {last - first} probes within a second, at {end:.1f}"
            return


def judge_senders(frames: Iterable[tuple[float, str, IPv4Address]]) -> Iterator[str]:
    """No target of a team has two senders in turn.

    ``frames`` are of the team's targets alone: when, by which node, and where to.
    Another member may go on with a target, but the first one does not come back soon.
    """
    last: dict[int, list[tuple[float, str]]] = defaultdict(list)
    for at, node, to in sorted(frames):
        senders = last[int(to) >> 8]
        if senders and senders[-1][1] == node:
            senders[-1] = (at, node)
            continue
        if len(senders) > 1 and at - senders[-2][0] < BACK_SECONDS:
            prefix = IPv4Address(int(to) >> 8 << 8)
            yield f"{prefix}/24 has two senders in turn at {at:.1f}"
        senders.append((at, node))


def judge_process(process: Process, may: Mapping[str, Limits]) -> Iterator[str]:
    """A process takes no more than its like may."""
    limits = may[process.name]
    for what, has, most in (
        ("bytes", process.memory, limits.memory),
        ("open files", process.files, limits.files),
        ("threads", process.threads, limits.threads),
    ):
        if has > most:
            yield f"the {process.name} has more than {most} {what}"


@dataclass
class Book:
    """All that was wrong so far, each thing once."""

    wrong: list[str] = field(default_factory=list)

    def note(self, problems: Iterable[str]) -> None:
        """Notes what is wrong."""
        self.wrong += [each for each in problems if each not in self.wrong]
